"""The keys that say what a run may do and what happens when it does more: timeouts, stalls, retries, services."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal, cast, get_args

from podops.config.model import (
    OnMaxLog,
    OnNan,
    OnStall,
    OnUnhealthy,
    Policies,
    RetryConfig,
    ServiceConfig,
)
from podops.config.reader import Section, nearest
from podops_runners.states import REASONS


def read_policies(section: Section, standard: Policies) -> Policies:
    """The policies among the keys of `section`; what it leaves out is taken from `standard`."""
    grace = section.duration("grace", standard.grace_s)
    return Policies(
        timeout_s=section.duration("timeout", standard.timeout_s),
        timeout_said=section.raw("timeout") is not None,
        stall_timeout_s=section.duration("stall_timeout", standard.stall_timeout_s),
        on_stall=cast(OnStall, section.choice("on_stall", get_args(OnStall), standard.on_stall)),
        grace_s=standard.grace_s if grace is None else grace,
        max_log_bytes=section.size("max_log_size", standard.max_log_bytes),
        on_max_log=cast(OnMaxLog, section.choice("on_max_log", get_args(OnMaxLog), standard.on_max_log)),
        on_nan=cast(OnNan, section.choice("on_nan", get_args(OnNan), standard.on_nan)),
        retries=_retries(section, standard.retries),
    )


def _retries(section: Section, standard: RetryConfig) -> RetryConfig:
    value = section.raw("retries")
    if value is not None and isinstance(value.data, int) and not isinstance(value.data, bool):
        if 0 <= value.data <= 1000:
            return replace(standard, max=value.data)
        section.fault(value, f"{section.path}.retries must be a number from 0 to 1000, or a mapping")
        return standard
    if value is None:
        return standard
    retries = section.section("retries")
    on = retries.texts("on")
    for reason in on or ():
        if reason not in REASONS:
            retries.fault(retries.raw("on"), f"{retries.path}.on: unknown reason {reason!r}", nearest(reason, REASONS))
    pattern = retries.text("unless_log_matches")
    try:
        re.compile(pattern or "")
    except re.error as error:
        retries.fault(retries.raw("unless_log_matches"), f"{retries.path}.unless_log_matches: {error}")
    first = retries.duration("backoff", standard.backoff_s)
    longest = retries.duration("backoff_max", standard.backoff_max_s)
    most = retries.whole("max", 0, 1000)
    found = RetryConfig(
        max=standard.max if most is None else most,
        on=standard.on if on is None else on,
        exit_codes=retries.wholes("exit_codes", 0, 255) if retries.has("exit_codes") else standard.exit_codes,
        backoff_s=0.0 if first is None else first,
        backoff_max_s=standard.backoff_max_s if longest is None else longest,
        unless_log_matches=pattern if pattern is not None else standard.unless_log_matches,
    )
    retries.done()
    return found


def read_service(section: Section, *, needs_port: bool = True) -> ServiceConfig | None:
    """A `service:` section; `None` when its port is wrong, or missing although it is needed."""
    port = read_port(section) if needs_port or section.has("port") else "auto"
    health = section.text("health", "/v1/models") or "/v1/models"
    if port is None and not section.has("port"):
        section.fault(None, f"{section.path}.port is missing", "a number, or auto")
    if not health.startswith("/") or not health.isprintable() or " " in health:
        section.fault(section.raw("health"), f"{section.path}.health must be a path such as /v1/models")
    ready = section.duration("ready_timeout", None)
    unhealthy = cast(OnUnhealthy, section.choice("on_unhealthy", get_args(OnUnhealthy), "flag"))
    section.done()
    return None if port is None else ServiceConfig(port, health, ready, unhealthy)


def read_port(section: Section) -> int | Literal["auto"] | None:
    value = section.raw("port")
    if value is not None and value.data == "auto":
        return "auto"
    return section.whole("port", 1, 65535)
