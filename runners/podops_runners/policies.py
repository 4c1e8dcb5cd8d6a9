"""What a spec allows a run, and what is to be done when it goes beyond: `policies` of `run_spec.json`."""

import re

from podops_runners import records
from podops_runners.typed import Any, Dict, List, NamedTuple, Optional, Tuple

#: Reasons worth another attempt unless the preset names its own: trouble that may pass by itself.
TRANSIENT = ("nonzero_exit", "signal", "nccl", "gpu_fault", "oom_host", "stalled", "pod_lost", "unknown")

#: Restarts of a service in a row where `retries` says nothing.
_RESTARTS = 5

#: A pod that was told to stop has so long to go before a run is tried on it again, seconds.
_GOING_S = 120.0

_TAIL_BYTES = 256 * 1024


class Retries(NamedTuple):
    """`max` further attempts after the first. `exit_codes` empty: any."""

    max: int = 0
    on: Tuple[str, ...] = TRANSIENT
    exit_codes: Tuple[int, ...] = ()
    backoff_s: float = 10.0
    backoff_max_s: float = 600.0
    unless_log_matches: Optional[str] = None

    def cover(self, reason: str) -> bool:
        """Whether it is worth another attempt; a pod that was told to stop is about to be lost."""
        return reason in self.on or (reason == "preempted" and "pod_lost" in self.on)


class Policies(NamedTuple):
    """Seconds and bytes; `None` is never."""

    timeout_s: Optional[float] = None
    stall_timeout_s: Optional[float] = None
    #: flag, kill or retry
    on_stall: str = "flag"
    grace_s: float = 30.0
    max_log_bytes: Optional[int] = None
    #: punch (free the middle of the file) or end
    on_max_log: str = "punch"
    #: flag or stop
    on_nan: str = "flag"
    retries: Retries = Retries()
    #: Glob of checkpoints relative to the run directory; `None`: what is usual.
    checkpoints: Optional[str] = None


def read_policies(spec: Dict[str, Any]) -> Policies:
    """The policies of a spec; whatever is missing or absurd counts as not said."""
    stored = _mapping(spec.get("policies"))
    limit = records.number(stored.get("max_log_bytes"))
    grace = records.number(stored.get("grace_s"))
    checkpoints = stored.get("checkpoints")
    return Policies(
        records.number(stored.get("timeout_s")),
        records.number(stored.get("stall_timeout_s")),
        _one_of(stored.get("on_stall"), ("flag", "kill", "retry")),
        30.0 if grace is None else max(0.0, grace),
        int(limit) if limit else None,
        _one_of(stored.get("on_max_log"), ("punch", "end")),
        _one_of(stored.get("on_nan"), ("flag", "stop")),
        _retries(
            _mapping(stored.get("retries")),
            stored.get("on_stall") == "retry",
            _mapping(spec.get("service")).get("on_unhealthy") == "restart",
        ),
        checkpoints if isinstance(checkpoints, str) else None,
    )


def _retries(stored: Dict[str, Any], retry_stalls: bool, restart: bool) -> Retries:
    given = stored.get("on")
    on = tuple(name for name in given if isinstance(name, str)) if isinstance(given, list) else TRANSIENT
    if retry_stalls and "stalled" not in on:
        on += ("stalled",)
    if restart and "unhealthy" not in on:
        on += ("unhealthy",)
    codes = stored.get("exit_codes")
    pattern = stored.get("unless_log_matches")
    standard = Retries()
    first, last = records.number(stored.get("backoff_s")), records.number(stored.get("backoff_max_s"))
    most = records.number(stored.get("max"))
    # Whoever writes `on_stall: retry` and nothing else means one more attempt, not none; a service should stay there.
    fallback = float(_RESTARTS) if restart else 1.0 if retry_stalls else 0.0
    return Retries(
        int(fallback if most is None else most),
        on,
        tuple(code for code in codes if isinstance(code, int)) if isinstance(codes, list) else (),
        standard.backoff_s if first is None else max(0.0, first),
        standard.backoff_max_s if last is None else max(0.0, last),
        pattern if isinstance(pattern, str) and pattern else None,
    )


def retry_delay(
    retries: Retries, reason: str, exit_code: Optional[int], attempts: int, log: "LogRange"
) -> Tuple[Optional[float], str]:
    """`(seconds to wait, why)` for another attempt after `attempts` made; `(None, why not)`."""
    if retries.max <= 0:
        return None, ""
    if not retries.cover(reason):
        return None, "{} is not retried".format(reason)
    if attempts > retries.max:
        return None, "all {} attempts are used".format(retries.max + 1)
    if retries.exit_codes and reason == "nonzero_exit" and exit_code not in retries.exit_codes:
        return None, "exit status {} is not retried".format(exit_code)
    if retries.unless_log_matches and log.matches(retries.unless_log_matches):
        return None, "its log matches {!r}".format(retries.unless_log_matches)
    delay = min(retries.backoff_max_s, retries.backoff_s * 2.0 ** (attempts - 1))
    if reason == "preempted":
        delay = max(delay, _GOING_S)
    return delay, "attempt {} of {} after {}".format(attempts + 1, retries.max + 1, reason)


class LogRange(NamedTuple):
    """The part of `stdout.log` that one attempt wrote."""

    path: str
    start: int
    end: int

    def matches(self, pattern: str) -> bool:
        """Whether its last 256 KiB match; a pattern that is none matches nothing."""
        try:
            with open(self.path, "rb") as stream:
                stream.seek(max(self.start, self.end - _TAIL_BYTES))
                text = stream.read(min(_TAIL_BYTES, self.end - self.start)).decode("utf-8", "replace")
            return bool(re.search(pattern, text, re.MULTILINE))
        except (OSError, re.error, ValueError):
            return False


def _mapping(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _one_of(value: Any, known: "Tuple[str, ...] | List[str]") -> str:
    return value if value in known else known[0]
