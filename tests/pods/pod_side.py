"""The pod side as it is shipped: one file, run by a bare Python, spoken to over its pipes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from podops_runners.frames import Frame, FrameDecoder, encode_frame
from podops_runners.protocol import PROTOCOL_VERSION

VERSIONS = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"


def pythons() -> list[str]:
    """This Python, and 3.8 and a newer one where they are found."""
    found = [sys.executable]
    for minor in ("3.8", "3.13"):
        found += [str(path) for path in sorted(VERSIONS.glob(f"{minor}.*/bin/python"))[:1]]
    return found


class PodSide:
    """One link process."""

    def __init__(
        self,
        python: str,
        pyz: Path,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        """`options` are Python's own."""
        command = [*prefix, python, *options, "-I", "-S", str(pyz), "link", *arguments]
        # Never this machine's own agent: with a state directory of its own it has one of its own.
        own = {"HOME": str(pyz.parent), "PODOPS_STATE_DIR": str(pyz.parent / "state")}
        environment = {"PATH": os.environ["PATH"], **own, **(env or {})}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        self._decoder = FrameDecoder()
        self._frames: list[Frame] = []
        #: Where the last frame stood that was waited for.
        self._place = 0

    def send(self, **header: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(encode_frame(header))
        self.process.stdin.flush()

    def hello(self, root: Path, **fields: Any) -> dict[str, Any]:
        projects = [{"name": "t", "outputs_dir": str(root), "layout": {}}]
        self.send(id=1, op="hello", protocol=PROTOCOL_VERSION, projects=projects, sample_interval_s=0.2, **fields)
        return self.wait_for(lambda frame: frame.header.get("id") == 1).header

    def wait_for(self, wanted: Callable[[Frame], bool], seconds: float = 60) -> Frame:
        """The first frame that fits, from now on."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for place, frame in enumerate(self._frames):
                if wanted(frame):
                    del self._frames[place]
                    self._place = place
                    return frame
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, self.process.stderr.read().decode() if self.process.stderr else ""
            self._frames += self._decoder.feed(data)
        raise AssertionError("no such frame came")

    def push(self, name: str, wanted: Callable[[dict[str, Any]], bool] = lambda header: True) -> Frame:
        """The first push that fits; those of its name before it are told no more."""
        found = self.wait_for(lambda frame: frame.header.get("push") == name and wanted(frame.header))
        newer = self._frames[self._place :]
        self._frames = [frame for frame in self._frames[: self._place] if frame.header.get("push") != name] + newer
        return found
