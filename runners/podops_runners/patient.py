"""Asking something that may hang (a driver, a stale NFS mount) without hanging with it."""

import threading
import time
from queue import Empty, SimpleQueue

from podops_runners.typed import Callable, Generic, Optional, TypeVar

Answer = TypeVar("Answer")

#: A thread that nobody has asked anything for so long ends, seconds: one for each question would cost more than most
#: questions.
_IDLE_S = 60.0


class Patient(Generic[Answer]):
    """Asks in a daemon thread, one question at a time; those who want the answer wait a bounded time for it."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        """`ask` should not raise: a question that does has no answer."""
        self._ask = ask
        self._lock = threading.Lock()
        self._asking: Optional[_Asking[Answer]] = None
        self._given: "SimpleQueue[_Asking[Answer]]" = SimpleQueue()
        self._has_thread = False

    def answer(self, wait_s: float) -> Optional[Answer]:
        """A fresh answer, or `None` when none came in `wait_s` seconds. A question still open is not asked twice."""
        with self._lock:
            asking = self._asking
            if asking is None or asking.done.is_set():
                asking = self._asking = _Asking()
                self._give(asking)
        return asking.answer if asking.done.wait(wait_s) else None

    def waiting_s(self) -> float:
        """How long the open question has been open, seconds; 0 when none is."""
        asking = self._asking
        return 0.0 if asking is None or asking.done.is_set() else time.monotonic() - asking.started

    def _give(self, asking: "_Asking[Answer]") -> None:
        if not self._has_thread:
            self._has_thread = True
            threading.Thread(target=self._run, daemon=True).start()
        self._given.put(asking)

    def _run(self) -> None:
        while True:
            try:
                asking = self._given.get(timeout=_IDLE_S)
            except Empty:
                with self._lock:
                    if self._given.empty():
                        self._has_thread = False
                        return
                continue
            try:
                asking.answer = self._ask()
            except Exception:
                pass
            asking.done.set()


class _Asking(Generic[Answer]):
    """One question."""

    def __init__(self) -> None:
        self.answer: Optional[Answer] = None
        self.done = threading.Event()
        self.started = time.monotonic()
