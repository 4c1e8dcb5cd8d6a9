"""A few threads that do what they are given: the standard pool would bring `logging` along."""

import threading
from queue import SimpleQueue

from podops_runners.typed import Any, Callable, Tuple


class Workers:
    """Up to `most` daemon threads, each started when all others are busy. Any thread may give them work."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._given: "SimpleQueue[Tuple[Callable[..., Any], Tuple[Any, ...]]]" = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._undone = 0

    def give(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Have `work(*arguments)` done, after what was given before. Of what it raises nobody hears."""
        with self._lock:
            self._undone += 1
            if self._started < min(self._undone, self._most):
                self._started += 1
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
        self._given.put((work, arguments))

    def _run(self) -> None:
        while True:
            work, arguments = self._given.get()
            try:
                work(*arguments)
            except Exception:
                pass
            with self._lock:
                self._undone -= 1
