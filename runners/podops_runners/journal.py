"""A supervisor's own writes: none of them may fail the run, none of them is forgotten."""

import errno
import sys
import time

from podops_runners import records
from podops_runners.run_trouble import MACHINE
from podops_runners.rundir import RunDir
from podops_runners.runfiles import heartbeat_line
from podops_runners.typed import Any, Callable, Dict, List

#: Trouble is told in the heartbeat for so long after it was last met, seconds.
_TELL_S = 60.0

#: Events kept for a volume that takes none.
_MOST = 10_000


class Journal:
    """Events, heartbeat and records of one run. What the volume does not take now is written when it does again."""

    def __init__(self, run: RunDir, is_gone: Callable[[], bool] = lambda: False) -> None:
        """Once the run's directory `is_gone`, nothing is written: half a run would come to be."""
        self._run = run
        self._is_gone = is_gone
        self._waiting: List[Dict[str, Any]] = []
        self._again: Dict[str, Callable[[], object]] = {}
        self._trouble = ""
        self._trouble_at = 0.0

    def keep(self, write: Callable[[], object]) -> bool:
        """Do one write beside the run, in the machine directory; whether it worked.

        Trouble goes to the pane and into the heartbeat.
        """
        try:
            write()
            return True
        except OSError as error:
            self.tell(error, MACHINE)
            return False

    def keep_here(self, write: Callable[[], object]) -> bool:
        """Do one write into the run's directory; whether it worked."""
        if self._is_gone():
            return False
        try:
            write()
            return True
        except OSError as error:
            self.tell(error)
            return False

    def tell(self, error: OSError, where: str = "") -> None:
        """Show what the volume refuses, in the pane and in the heartbeats of the next minute."""
        text = "{}: {}{}".format(errno.errorcode.get(error.errno or 0, "EIO"), error.strerror or error, where)
        now = time.monotonic()
        if text != self._trouble or now - self._trouble_at > _TELL_S:
            _say("podops: {}: {}\n".format(self._run.path, text))
        self._trouble, self._trouble_at = text, now

    def keep_until_done(self, name: str, write: Callable[[], object]) -> None:
        """Do one write now or, when the volume takes it again, later; a later write of the same name replaces it."""
        self._again.pop(name, None)
        if not self.keep_here(write):
            self._again[name] = write

    @property
    def trouble(self) -> str:
        """What the volume refused within the last minute; empty when all is well."""
        fresh = self._trouble and time.monotonic() - self._trouble_at < _TELL_S
        return self._trouble if fresh else ""

    def event(self, name: str, **facts: Any) -> None:
        """Add one line to the timeline, in order, with the time it happened."""
        self._waiting.append(dict({"time": round(time.time(), 3), "event": name}, **facts))
        del self._waiting[:-_MOST]
        self.catch_up()

    def catch_up(self) -> bool:
        """Write what waits; whether nothing does any more."""
        for name in list(self._again):
            if not self.keep_here(self._again[name]):
                return False
            del self._again[name]
        while self._waiting:
            line = self._waiting[0]
            if not self.keep_here(lambda line=line: records.append_line(self._run.events, line)):  # type: ignore[misc]
                return False
            self._waiting.pop(0)
        return True

    def beat(self, state: str, facts: Dict[str, Any]) -> None:
        """Write the heartbeat, on a full disk into the file that is there."""
        line = heartbeat_line(state, dict(facts, trouble=self.trouble.replace(" ", "_") or None)).encode()
        if not self.keep_here(lambda: records.write_bytes(self._run.heartbeat, line, durable=False)):
            line = heartbeat_line(state, dict(facts, trouble=self.trouble.replace(" ", "_"))).encode()
            self.keep_here(lambda: records.overwrite_bytes(self._run.heartbeat, line))


def _say(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass
