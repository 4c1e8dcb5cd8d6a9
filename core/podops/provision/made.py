"""What was made from here, noted before the provider is asked: whatever happens then, it is not lost sight of."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from podops.config.inputs import InputValue
from podops.config.model import ProjectConfig
from podops.provision.order import Order
from podops.state_dir import state_dir, write_whole

#: So many of the newest are kept.
_MOST = 500


@dataclass(frozen=True, slots=True)
class Made:
    """A pod that was ordered. Times are Unix seconds; `ends_at` of `None`: it lives until it is removed."""

    name: str
    provider: str
    values: Mapping[str, InputValue]
    made_at: float
    ends_at: float | None


def note(config: ProjectConfig, order: Order, name: str | None = None) -> None:
    """Keep that `order` is given out, as pod `name` where its provider calls it otherwise. Never raises."""
    ends = None if order.ttl_s is None else time.time() + order.ttl_s
    made = Made(name or order.name, order.provider.name, dict(order.values), time.time(), ends)
    _write(config, {**recall(config), made.name: made})


def forget(config: ProjectConfig, name: str) -> None:
    """Drop a pod that was removed. Never raises."""
    _write(config, {key: made for key, made in recall(config).items() if key != name})


def recall(config: ProjectConfig) -> dict[str, Made]:
    """Every pod noted, by name; empty when that cannot be read."""
    try:
        stored = json.loads(_path(config).read_bytes())
        return {str(entry["name"]): _made(entry) for entry in stored}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def _made(entry: dict[str, Any]) -> Made:
    ends = entry["ends_at"]
    values = {str(key): value for key, value in dict(entry["values"]).items()}
    ends_at = None if ends is None else float(ends)
    return Made(str(entry["name"]), str(entry["provider"]), values, float(entry["made_at"]), ends_at)


def _write(config: ProjectConfig, made: Mapping[str, Made]) -> None:
    newest = sorted(made.values(), key=lambda one: one.made_at, reverse=True)[:_MOST]
    path = _path(config)
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, json.dumps([asdict(one) for one in newest]).encode())


def _path(config: ProjectConfig) -> Path:
    name = hashlib.sha256(str(config.sources[0].resolve() if config.sources else "").encode()).hexdigest()[:16]
    return state_dir(os.environ) / f"made-{name}.json"
