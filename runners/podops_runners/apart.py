"""Work on a volume that may hang, in a process that hangs in our place.

A thread would not do: a process cannot end, nor let go of its locks, while one of its threads is stuck in the kernel.
"""

import json
import os
import select
import time

from podops_runners.typed import Any, Callable, Dict, List, Optional

#: Descriptors above this are not looked for when a new process closes what is not its own.
_MOST_DESCRIPTORS = 4096

_CHUNK = 1 << 18

#: Processes given up, until they have ended and been waited for.
_left: List[int] = []


def asked(ask: Callable[[], bool], wait_s: float) -> Optional[bool]:
    """The answer to one question, or `None` when there is none within `wait_s` seconds."""
    near, far = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            _keep_only(far)
            os.write(far, b"1" if ask() else b"0")
        finally:
            os._exit(0)
    os.close(far)
    try:
        ready, _, _ = select.select([near], [], [], max(0.0, wait_s))
        answer = os.read(near, 1) if ready else b""
    finally:
        os.close(near)
        _left.append(pid)
        _reap()
    return None if not answer else answer == b"1"


class Apart:
    """A process that does one piece of work after the other, until `close` or our own end.

    Raises `OSError` where no process can be made. What it is asked and answers are JSON objects.
    """

    def __init__(self, work: Callable[[Dict[str, Any]], Dict[str, Any]]) -> None:
        """A `work` that raises ends the process."""
        # Here, because a link that only looks needs none.
        import socket

        self._near, far = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            try:
                _keep_only(far.fileno())
                _serve(far, work)
            finally:
                os._exit(0)
        far.close()
        self._received = bytearray()
        self._asked_at: Optional[float] = None

    @property
    def waiting_s(self) -> float:
        """How long the open question has been open, seconds; 0 when none is."""
        return 0.0 if self._asked_at is None else time.monotonic() - self._asked_at

    @property
    def busy(self) -> bool:
        return self._asked_at is not None

    def ask(self, question: Dict[str, Any]) -> None:
        """Ask what `answer` will tell; not while it is busy. Raises `OSError` when it has ended."""
        self._asked_at = time.monotonic()
        self._near.sendall(json.dumps(question).encode("utf-8") + b"\n")

    def answer(self, until: float) -> Optional[Dict[str, Any]]:
        """The answer to what was asked last, `None` when there is none by `until` (monotonic seconds).

        Raises `OSError` when the process has ended.
        """
        while b"\n" not in self._received:
            ready, _, _ = select.select([self._near], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            data = self._near.recv(_CHUNK)
            if not data:
                raise EOFError("the process that looks after a volume has ended")
            self._received += data
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received = bytearray(rest)
        self._asked_at = None
        found: Dict[str, Any] = json.loads(line.decode("utf-8"))
        return found

    def close(self) -> None:
        """Let it end once it has done what it is about."""
        self._near.close()
        _left.append(self.pid)
        _reap()


def _serve(far: Any, work: Callable[[Dict[str, Any]], Dict[str, Any]]) -> None:
    with far.makefile("rb") as questions:
        for line in questions:
            far.sendall(json.dumps(work(json.loads(line.decode("utf-8")))).encode("utf-8") + b"\n")


def _keep_only(descriptor: int) -> None:
    """Let go of what our parent has open: its locks, and whoever reads what it prints, must not wait for us."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, descriptor)
    os.closerange(max(3, descriptor + 1), _MOST_DESCRIPTORS)


def all_ended(within_s: float) -> bool:
    """Whether every process that was closed has ended, after this time at most."""
    deadline = time.monotonic() + within_s
    while True:
        _reap()
        if not _left or time.monotonic() > deadline:
            return not _left
        time.sleep(0.01)


def _reap() -> None:
    for pid in list(_left):
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                _left.remove(pid)
        except ChildProcessError:
            _left.remove(pid)
