"""Asking something that may hang (a driver, a stale NFS mount) without hanging with it."""

import threading
import time
from typing import Callable, Generic, Optional, TypeVar

Answer = TypeVar("Answer")


class Patient(Generic[Answer]):
    """Asks in a daemon thread, one question at a time; those who want the answer wait a bounded time for it."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        """`ask` should not raise: a question that does has no answer."""
        self._ask = ask
        self._lock = threading.Lock()
        self._asking: Optional[_Asking[Answer]] = None

    def answer(self, wait_s: float) -> Optional[Answer]:
        """A fresh answer, or `None` when none came in `wait_s` seconds. A question still open is not asked twice."""
        with self._lock:
            asking = self._asking
            if asking is None or asking.done.is_set():
                asking = self._asking = _Asking(self._ask)
        return asking.answer if asking.done.wait(wait_s) else None

    def waiting_s(self) -> float:
        """How long the open question has been open, seconds; 0 when none is."""
        asking = self._asking
        return 0.0 if asking is None or asking.done.is_set() else time.monotonic() - asking.started


class _Asking(Generic[Answer]):
    def __init__(self, ask: Callable[[], Answer]) -> None:
        self.answer: Optional[Answer] = None
        self.done = threading.Event()
        self.started = time.monotonic()
        threading.Thread(target=self._run, args=(ask,), daemon=True).start()

    def _run(self, ask: Callable[[], Answer]) -> None:
        try:
            self.answer = ask()
        finally:
            self.done.set()
