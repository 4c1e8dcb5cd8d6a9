"""What the records of a run tell of it, in the wire form: the same as long as none of them is written anew."""

import re

from podops_runners import queue_view
from podops_runners.policies import read_policies
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, List, NamedTuple, Optional

#: Longest command or detail in a run list, characters; the records hold them whole.
_LONG = 4000

_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?Z\Z", re.ASCII)

Record = Optional[Dict[str, Any]]


class RecordFacts(NamedTuple):
    """`wire` of these three records."""

    spec: Record
    metadata: Record
    summary: Record
    wire: Dict[str, Any]

    def are_of(self, spec: Record, metadata: Record, summary: Record) -> bool:
        """Whether they were taken from these very records, which a cache returns as long as no file changes."""
        return spec is self.spec and metadata is self.metadata and summary is self.summary


def of(run: RunDir, spec: Record, metadata: Record, summary: Record) -> RecordFacts:
    """Whatever stands in the records."""
    wire = _facts(run, spec or {}, metadata or {}, summary or {})
    return RecordFacts(spec, metadata, summary, wire)


def _facts(run: RunDir, spec: Dict[str, Any], metadata: Dict[str, Any], summary: Dict[str, Any]) -> Dict[str, Any]:
    tmux = mapping(metadata.get("tmux"))
    service = mapping(spec.get("service"))
    wandb = mapping(mapping(summary.get("tracking")).get("wandb")).get("url")
    port = whole(mapping(metadata.get("endpoint")).get("port")) or whole(service.get("port"))
    started = number(summary.get("started")) or moment(summary.get("started_at")) or moment(metadata.get("started"))
    return {
        "run_id": run.run_id,
        "preset": spec.get("preset") or metadata.get("preset") or "",
        "kind": spec.get("kind") or metadata.get("kind") or "",
        "detail": str(summary.get("detail") or "")[:_LONG],
        "endpoint": "http://127.0.0.1:{}".format(port) if port else "",
        "run_dir": run.path,
        "session": tmux.get("session"),
        "command": str(spec.get("command") or "")[:_LONG],
        "gpus": [],
        "asked_gpus": queue_view.asked_gpus(spec),
        "tags": texts(spec.get("tags")),
        "exit_code": summary.get("exit_code"),
        "signal": summary.get("signal"),
        "attempt": whole(metadata.get("attempt")) or 1,
        "attempts_max": max(1, read_policies(spec).retries.max + 1),
        "user": spec.get("user") or metadata.get("user") or "",
        "tracking": {"wandb": wandb} if isinstance(wandb, str) else {},
        "created_at": moment(spec.get("created_at") or metadata.get("created")),
        "started_at": started,
        "ended_at": number(summary.get("ended")) or moment(summary.get("ended_at")),
        "elapsed_s": number(summary.get("elapsed_s")),
    }


def mapping(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def texts(value: Any) -> List[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def whole(value: Any) -> Optional[int]:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def number(value: Any) -> Optional[float]:
    try:
        return float(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError, OverflowError):
        return None


def moment(text: Any) -> Optional[float]:
    """Unix time of `2026-11-21T02:17:09Z` or `…09.250Z`; `None` for anything else."""
    # By hand, because strptime takes a third of the time that all of a run takes.
    match = _MOMENT.match(text) if isinstance(text, str) else None
    if match is None:
        return None
    fraction = float(match.group(7) or 0.0)
    try:
        return _unix_time(*(int(part) for part in match.groups()[:6])) + fraction
    except ValueError:
        return None


def _unix_time(year: int, month: int, day: int, hour: int, minute: int, second: int) -> float:
    """As `calendar.timegm`, which would bring `datetime` along. Raises `ValueError` for a month there is not."""
    if not 1 <= month <= 12:
        raise ValueError("no month {}".format(month))
    # The year begins in March, so that the odd day of a leap year is its last.
    years, months = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = years * 365 + years // 4 - years // 100 + years // 400 + (153 * months + 2) // 5 + day - 719469
    return float(((days * 24 + hour) * 60 + minute) * 60 + second)
