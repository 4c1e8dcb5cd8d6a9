"""The keys of a pod source."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import PurePath

from podops.config.model import PodConfig, PodSource
from podops.config.pod_keys import read_common
from podops.config.reader import Section

#: Keys of a source whose values are JMESPath on one item.
FIELDS = ("name", "id", "ssh", "host", "port", "user", "identity_file", "docker", "tags", "gpu", "price_per_hour")

INTERVAL_S, TIMEOUT_S, KEEP_GONE_S = 60.0, 30.0, 24 * 3600.0

_SHELL = re.compile(r"[|;&<>`]|\$\(")


def read_sources(top: Section, places: PodConfig) -> tuple[PodSource, ...]:
    """`pod_sources`: a list, each named by the program it asks."""
    value = top.raw("pod_sources")
    if value is None:
        return ()
    if not isinstance(value.data, list):
        top.fault(value, "pod_sources must be a list", "begin each with `- command: …`")
        return ()
    sources: list[PodSource] = []
    for number, item in enumerate(value.data):
        source = _source(top.item(item, f"pod_sources.{number}"), places)
        same = sum(other.name.rpartition("-")[0] == source.name or other.name == source.name for other in sources)
        sources.append(replace(source, name=f"{source.name}-{same + 1}") if same else source)
    return tuple(sources)


def _source(section: Section, places: PodConfig) -> PodSource:
    command = read_command(section, "command")
    if not command:
        section.fault(None, f"{section.path}.command is missing", "it is what tells of the pods, in JSON")
    fields = {name: text for name in FIELDS if (text := _expression(section, name)) is not None}
    if "name" not in fields:
        section.fault(None, f"{section.path}.name is missing", "it says where the name is in an item")
    if not {"ssh", "host", "docker"} & set(fields):
        section.fault(None, f"{section.path} needs one of `ssh`, `host` and `docker`", "it is how a pod is reached")
    common = section.section("pod")
    source = PodSource(
        name=PurePath(command[0]).name if command else "?",
        command=command,
        fields=fields,
        items=_expression(section, "items") or "@",
        filter=_expression(section, "filter"),
        detail=read_command(section, "detail"),
        interval_s=_seconds(section, "interval", INTERVAL_S, 5.0),
        timeout_s=_seconds(section, "timeout", TIMEOUT_S, 1.0),
        keep_gone_s=_seconds(section, "keep_gone", KEEP_GONE_S, 0.0),
        pod=read_common(common, places),
    )
    common.done()
    section.done()
    return source


def read_command(section: Section, key: str) -> tuple[str, ...]:
    """A command as a list of words, or as one text that is split as a shell would. No shell ever reads it."""
    value = section.raw(key)
    if value is None:
        return ()
    section.plain(key)
    if isinstance(value.data, list):
        return section.texts(key) or ()
    text = section.text(key) or ""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        section.fault(value, f"{section.path}.{key}: {error}")
        return ()
    if any(_SHELL.search(word) for word in words) and not isinstance(value.data, list):
        hint = "put it into a script; or write a list of words, if they are meant as they stand"
        section.fault(value, f"{section.path}.{key} is not read by a shell", hint)
    return words


def _expression(section: Section, key: str) -> str | None:
    """JMESPath, checked."""
    text, value = section.text(key), section.raw(key)
    if text is None or value is None:
        return None
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        jmespath.compile(text)
    except JMESPathError as error:
        told = str(error).splitlines()[0][:200]
        section.fault(value, f"{section.path}.{key} is not JMESPath: {told}", "see https://jmespath.org")
    return text


def _seconds(section: Section, key: str, standard: float, least: float) -> float:
    seconds = section.duration(key, standard)
    if seconds is None or seconds < least:
        section.fault(section.raw(key), f"{section.path}.{key} must be {least:g} seconds or more")
        return standard
    return seconds
