"""From a provider's answer to pods, by the project file's JMESPath. No provider is trusted: what is odd is told."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, replace
from typing import Any

from podops.config.model import PodConfig, PodSource
from podops.config.pod_keys import is_container
from podops.config.reader import is_name
from podops.errors import SourceError
from podops.sources.ssh_words import SshWay, parse_ssh

#: A source that tells of more pods is a mistake in its mapping.
MOST_ITEMS = 5000

#: So many problems of single items are kept.
_MOST_PROBLEMS = 20

_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one answer says: the pods, those it names without a way to reach them yet, and why others were left out.

    `refused` are those of the latter that it does name.
    """

    pods: tuple[PodConfig, ...] = ()
    coming: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def parse_answer(text: str, name: str) -> Any:
    """The JSON of an answer: one document, one for each line, or one that comes after lines of prose.

    Nothing at all is `None`. Raises `SourceError`.
    """
    stripped = text.strip()
    if not stripped:
        return None
    for candidate in (stripped, _after_prose(stripped)):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    try:
        return [json.loads(line) for line in stripped.splitlines()]
    except (ValueError, RecursionError):
        told = f"{name} did not answer in JSON but with: {stripped.splitlines()[0][:100]}"
        raise SourceError(told, "give it the option that prints JSON") from None


def _after_prose(text: str) -> str:
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if line.lstrip()[:1] in ("{", "[")), 0)
    return "\n".join(lines[start:])


def items_of(source: PodSource, document: Any) -> list[Any]:
    """The items that pass the filter. Raises `SourceError` when the mapping does not fit the answer."""
    if document is None:
        return []
    found = _search(source.items, document)
    if source.items == "@" and isinstance(found, dict):
        found = [_alone(source, found)]
    if not isinstance(found, list):
        what = "nothing" if found is None else "something that is not a list"
        raise SourceError(f"{source.name}: items {source.items!r} finds {what} in its answer", "correct `items`")
    if len(found) > MOST_ITEMS:
        raise SourceError(f"{source.name} tells of {len(found)} pods; {MOST_ITEMS} are the most", "add a `filter`")
    return found if source.filter is None else [item for item in found if _true(_search(source.filter, item))]


def _alone(source: PodSource, item: dict[str, Any]) -> dict[str, Any]:
    """One object a line, and only one line. Raises `SourceError` where it is no item, such as an error message."""
    try:
        if source.detail:
            detail_words(source, item)
        else:
            _name(source, item)
    except (ValueError, SourceError) as error:
        # A filter would leave it out, and an empty fleet behind.
        raise _no_pod(source, item, error) from None
    return item


def _no_pod(source: PodSource, item: Any, why: object) -> SourceError:
    told = f"{source.name} tells of no pod, but: {json.dumps(item)[:100]}"
    return SourceError(told, f"try its command by hand, or correct the mapping: {why}")


def detail_words(source: PodSource, item: Any) -> list[str]:
    """The command that asks for the details of `item`. Raises `SourceError` for one that lacks what it needs."""

    def value(match: re.Match[str]) -> str:
        found = item.get(match[1]) if isinstance(item, dict) else None
        if not isinstance(found, (str, int)) or isinstance(found, bool):
            raise SourceError(f"detail: an item has no {match[1]!r}", "name a key of the item in braces")
        if str(found).startswith("-"):
            raise SourceError(f"detail: {match[1]} is {str(found)[:40]!r}, which would be an option")
        return str(found)

    return [_PLACE.sub(value, word) for word in source.detail]


def map_items(source: PodSource, items: list[Any]) -> Mapped:
    """The pods among `items`. Of two with one name the first counts.

    Raises `SourceError` when there are items and not one of them names a pod.
    """
    pods: dict[str, PodConfig] = {}
    coming: list[str] = []
    refused: list[str] = []
    problems: list[str] = []
    for number, item in enumerate(items, start=1):
        name = ""
        try:
            name = _name(source, item)
            if name in pods or name in coming:
                raise ValueError("stands twice; the first counts")
            pod = _pod(source, item, name)
        except (ValueError, SourceError) as error:
            problems.append(f"{f'pod {name}' if name else f'item {number}'}: {error}")
            refused += [name] if name else []
            continue
        if pod is None:
            coming.append(name)
        else:
            pods[name] = pod
    if items and not (pods or coming or refused):
        raise _no_pod(source, items[0], problems[0])
    not_taken = tuple(dict.fromkeys(name for name in refused if name not in pods and name not in coming))
    return Mapped(tuple(pods.values()), tuple(coming), _few(problems), not_taken)


def _few(problems: list[str]) -> tuple[str, ...]:
    more = len(problems) - _MOST_PROBLEMS
    return (*problems[:_MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else []))


def _search(expression: str, data: Any) -> Any:
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.search(expression, data)
    except JMESPathError as error:
        raise SourceError(f"{expression!r} cannot be applied: {str(error).splitlines()[0][:200]}") from None


def _true(value: Any) -> bool:
    """As JMESPath has it: empty and null are false, 0 is not."""
    return value is not None and value is not False and value != "" and value != [] and value != {}


def _name(source: PodSource, item: Any) -> str:
    value = _value(source, "name", item)
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise ValueError(f"`name` finds no name but {json.dumps(value)[:80]}")
    name = "-".join(str(value).split())
    if not is_name(name):
        raise ValueError(f"{name[:80]!r} cannot be a name: letters, digits, . _ - and at most 64 of them")
    return name


def _value(source: PodSource, key: str, item: Any) -> Any:
    expression = source.fields.get(key)
    return None if expression is None else _search(expression, item)


def _pod(source: PodSource, item: Any, name: str) -> PodConfig | None:
    """The pod an item tells of; `None` while it does not tell how to reach it."""
    tags = (*source.pod.tags, *_tags(_value(source, "tags", item)), *_tags(_value(source, "gpu", item)))
    price = _price(_value(source, "price_per_hour", item))
    number = _text(source, "id", item) or None
    pod = replace(source.pod, name=name, source=source.name, source_id=number, price_per_hour=price)
    pod = replace(pod, tags=tuple(dict.fromkeys(tags)))
    container = _text(source, "docker", item)
    if container:
        if not is_container(container):
            raise ValueError(f"{container[:80]!r} is not a container")
        return replace(pod, docker=container)
    way = _way(source, item)
    if way is None:
        return None
    # `user` of a pod belongs to containers; by SSH it is part of the destination.
    user = way.user or source.pod.user
    identity = way.identity_file or source.pod.identity_file
    return replace(pod, ssh=replace(way, user=user).destination, port=way.port, identity_file=identity, user=None)


def _way(source: PodSource, item: Any) -> SshWay | None:
    written = _text(source, "ssh", item)
    way = parse_ssh(written) if written else None
    if way is None:
        host = _text(source, "host", item)
        way = parse_ssh(host) if host else None
    if way is None:
        return None
    flags = (("-p", "port"), ("-l", "user"), ("-i", "identity_file"))
    told = [(flag, text) for flag, key in flags if (text := _text(source, key, item))]
    asked = parse_ssh(shlex.join([*(word for pair in told for word in pair), way.host]))
    return SshWay(way.host, asked.user or way.user, asked.port or way.port, asked.identity_file or way.identity_file)


def _text(source: PodSource, key: str, item: Any) -> str:
    value = _value(source, key, item)
    if value is None or value is False:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise ValueError(f"`{key}` finds no text but {json.dumps(value)[:80]}")
    return str(value).strip()


def _tags(value: Any) -> list[str]:
    if isinstance(value, str):
        value = value.split(",")
    found = value if isinstance(value, list) else [] if value is None else [value]
    words = ("".join(c for c in str(word) if c.isprintable()).strip()[:64] for word in found[:16])
    return [word for word in words if word]


def _price(value: Any) -> float | None:
    if isinstance(value, str):
        value = value.strip().removeprefix("$")
        try:
            value = float(value)
        except ValueError:
            return None
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e6
    return float(value) if good else None
