"""Reading the files of a run through its pod's link, piece by piece."""

from __future__ import annotations

from podops.errors import NotFoundError
from podops.fleet.fleet import Fleet
from podops.fleet.snapshot import RunSnapshot

#: The most one answer of a pod holds, bytes.
_PIECE = 1024 * 1024

#: Of a file that is longer only so much of its end is read, bytes.
_TAIL = 8 * 1024 * 1024


class GrowingFile:
    """One file of a run that is read as it grows."""

    def __init__(self, fleet: Fleet, run: RunSnapshot, name: str) -> None:
        self._fleet = fleet
        self._run = run
        self._name = name
        self._next: int | None = None

    async def more(self) -> bytes:
        """What has been added since the last call; empty when nothing was or there is no such file yet.

        Starts at a line near the end of a file that is very long. Raises `PodopsError`.
        """
        found: list[bytes] = []
        try:
            while True:
                start = -_TAIL if self._next is None else self._next
                offset, size, data = await read(self._fleet, self._run, self._name, offset=start, length=_PIECE)
                if self._next is None and offset:
                    cut = data.find(b"\n") + 1
                    found.append(data[cut:])
                else:
                    found.append(data)
                self._next = offset + len(data)
                if not data or self._next >= size:
                    return b"".join(found)
        except NotFoundError:
            return b"".join(found)


async def read(
    fleet: Fleet, run: RunSnapshot, name: str, *, offset: int = 0, length: int = _PIECE
) -> tuple[int, int, bytes]:
    """`(offset, size, data)` of one file of the run. Raises `PodopsError`."""
    return await fleet.read(run.pod, run.run_id, name, project=run.project, offset=offset, length=length)
