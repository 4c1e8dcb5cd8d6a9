"""The keys of making pods at a provider."""

from __future__ import annotations

import re
from typing import cast, get_args

from podops.config.inputs import checked
from podops.config.model import InputConfig, InputType, ProjectConfig, ProvisionConfig
from podops.config.reader import NAME_RULE, Section, is_name, nearest
from podops.config.source_keys import read_command

#: How the time to live is written into a command; each is a whole number but for `{until}`.
TTL_PLACES = ("ttl_s", "ttl_m", "ttl_h", "until")

PLACE = re.compile(r"\{(\w+)\}")
_INPUT = re.compile(r"[a-z][a-z0-9_]*\Z")
_SCALARS = (str, int, float, bool)


def read_provision(section: Section, config: ProjectConfig) -> dict[str, ProvisionConfig]:
    found = {}
    for name in section.names():
        entry = section.section(name)
        if is_name(name):
            found[name] = _provider(entry, name, config)
        else:
            entry.fault(entry.value, f"{name[:80]!r} cannot be a name in provision", NAME_RULE)
    return found


def _provider(section: Section, name: str, config: ProjectConfig) -> ProvisionConfig:
    sources = [source.name for source in config.pod_sources]
    source = section.text("source") or ""
    if source not in sources:
        hint = f"one of: {', '.join(sources)}" if sources else "add one that lists the provider's pods"
        section.fault(section.raw("source"), f"{section.path}.source must name one of pod_sources", hint)
    ttl = section.raw("ttl")
    if ttl is None:
        section.fault(None, f"{section.path}.ttl is missing", "how long a pod lives, such as 12h; or `ttl: none`")
    inputs = {key: _input(entry, key) for key, entry in _inputs(section.section("inputs"))}
    provider = ProvisionConfig(
        name=name,
        up=_required(section, "up"),
        rm=_required(section, "rm"),
        source=source,
        inputs=inputs,
        ttl_s=section.duration("ttl", None),
        price_per_hour=section.number("price_per_hour"),
        price=read_command(section, "price"),
        bootstrap=section.text("bootstrap"),
        timeout_s=section.duration("timeout", 900.0) or 900.0,
        ready_timeout_s=section.duration("ready_timeout", 900.0) or 900.0,
    )
    _check_places(section, provider)
    section.done()
    return provider


def _required(section: Section, key: str) -> tuple[str, ...]:
    words = read_command(section, key)
    if not words:
        section.fault(section.raw(key), f"{section.path}.{key} is missing", "it is a command of the provider")
    return words


def _check_places(section: Section, provider: ProvisionConfig) -> None:
    """Every placeholder is known, and the time to live reaches the provider."""
    made = {*provider.inputs, "name", *TTL_PLACES}
    for key, words, known in (
        ("up", provider.up, made),
        ("rm", provider.rm, {*provider.inputs, "name", "id"}),
        ("price", provider.price, made),
    ):
        for place in (match for word in words for match in PLACE.findall(word)):
            if place not in known:
                told = f"{section.path}.{key}: unknown placeholder {{{place}}}"
                section.fault(section.raw(key), told, nearest(place, known))
    if provider.ttl_s is not None and provider.up and not _has(provider.up, TTL_PLACES):
        hint = "pass {ttl_s}, {ttl_m}, {ttl_h} or {until}; a provider that has no such option needs `ttl: none`"
        section.fault(section.raw("up"), f"{section.path}.up does not tell the provider the ttl", hint)
    if not _has(provider.rm, ("name", "id")):
        section.fault(section.raw("rm"), f"{section.path}.rm does not say what to remove", "use {name} or {id}")


def _has(words: tuple[str, ...], places: tuple[str, ...]) -> bool:
    return any(place in places for word in words for place in PLACE.findall(word))


def _inputs(section: Section) -> list[tuple[str, Section]]:
    found = []
    for key in section.names():
        entry = section.section(key)
        if not _INPUT.match(key) or key in ("name", "id", *TTL_PLACES):
            entry.fault(entry.value, f"{entry.path}: {key!r} cannot name an input", "lower case, not name, id or ttl_…")
        else:
            found.append((key, entry))
    return found


def _input(section: Section, name: str) -> InputConfig:
    kind = cast(InputType, section.choice("type", get_args(InputType), "string"))
    choices = section.texts("choices") or ()
    if (kind == "choice") != bool(choices):
        section.fault(section.raw("choices"), f"{section.path}: `choices` belongs to `type: choice`, and it needs some")
    flag = section.text("flag")
    if flag is not None and not re.fullmatch(r"--?[A-Za-z0-9][\w-]*", flag):
        section.fault(section.raw("flag"), f"{section.path}.flag: {flag!r} is not an option", "such as --gpu")
    value = section.raw("default")
    given = InputConfig(
        name=name,
        type=kind,
        default=section.plain("default") if value is not None and isinstance(value.data, _SCALARS) else None,
        optional=section.flag("optional", False),
        choices=choices,
        low=section.number("min"),
        high=section.number("max"),
        flag=flag,
        description=section.text("description") or "",
    )
    if value is not None:
        try:
            checked(given, value.data)
        except ValueError as error:
            section.fault(value, f"{section.path}.default {error}")
    section.done()
    return given
