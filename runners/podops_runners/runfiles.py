"""Small facts about a run that several modules on the pod read and write: claim, kill request, events, heartbeat."""

import os
import time

from podops_runners import process, records
from podops_runners.rundir import Layout, RunDir
from podops_runners.typed import Any, Dict, Optional


def iso(moment: Optional[float] = None) -> str:
    """A time as `2026-11-21T02:17:09Z`, whole seconds, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() if moment is None else moment))


def layout_of(spec: Optional[Dict[str, Any]]) -> Layout:
    """The layout a spec asks for; the standard one where it does not say."""
    names = (spec or {}).get("layout")
    if not isinstance(names, dict):
        return Layout()
    standard = Layout()
    return Layout(
        _plain_name(names.get("heartbeat"), standard.heartbeat),
        _plain_name(names.get("completion"), standard.completion),
    )


def _plain_name(name: Any, default: str) -> str:
    plain = isinstance(name, str) and name not in ("", ".", "..") and "/" not in name and "\0" not in name
    return str(name) if plain else default


def event(run: RunDir, name: str, **facts: Any) -> None:
    """Add one line to the run's timeline. Trouble with the disk is not the run's trouble, so it is passed over."""
    line: Dict[str, Any] = {"time": round(time.time(), 3), "event": name}
    line.update(facts)
    try:
        records.append_line(run.events, line)
    except OSError:
        pass


def claim_record(child: Optional[process.Identity] = None) -> Dict[str, Any]:
    """Who runs it: this process, this boot, this machine, and the child once there is one."""
    me = process.identity(os.getpid())
    return {
        "time": time.time(),
        "host": os.uname().nodename,
        "machine_id": process.machine_id(),
        "boot_id": process.boot_id(),
        "supervisor": None if me is None else me._asdict(),
        "child": None if child is None else child._asdict(),
    }


def heartbeat_line(state: str, facts: Dict[str, Any]) -> str:
    """One line: time, state, then `key=value` pairs; values never hold spaces or newlines."""
    pairs = ["{}={}".format(key, _plain(value)) for key, value in facts.items() if value is not None]
    return " ".join([iso(), state] + pairs) + "\n"


def parse_heartbeat(line: str) -> Dict[str, str]:
    """The pairs of a heartbeat line, with `time` and `state`; empty for a line that is not one."""
    words = line.split()
    if len(words) < 2 or "T" not in words[0]:
        return {}
    facts = {"time": words[0], "state": words[1]}
    for word in words[2:]:
        key, separator, value = word.partition("=")
        if separator:
            facts[key] = value
    return facts


def _plain(value: Any) -> str:
    text = "{:.6g}".format(value) if isinstance(value, float) else str(value)
    return "".join(text.split())[:200]
