"""A YAML or JSON file as plain values that remember their lines; every fault is collected, none is thrown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from podops.config.written import DECIMAL, Loader, WrittenFloat
from podops.errors import ConfigFault

_MAX_BYTES = 1024 * 1024
_MAX_NODES = 50_000

#: What YAML calls the key `<<`.
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(slots=True)
class Value:
    """One node: `data` is a scalar, a list of `Value`, or a dict of `Value`; `line` counts from 1."""

    data: Any
    file: str
    line: int

    def plain(self) -> Any:
        """The same without lines."""
        if isinstance(self.data, dict):
            return {key: value.plain() for key, value in self.data.items()}
        if isinstance(self.data, list):
            return [value.plain() for value in self.data]
        return self.data


def read_document(path: Path, faults: list[ConfigFault]) -> Value | None:
    """The file's content, or `None` with the reason in `faults`."""
    file = str(path)
    try:
        data = path.read_bytes()
        text = data[: _MAX_BYTES + 1].decode("utf-8-sig")
    except OSError as error:
        faults.append(ConfigFault(file, 0, f"cannot be read: {error.strerror or error}"))
        return None
    except UnicodeDecodeError:
        faults.append(ConfigFault(file, 0, "is not UTF-8 text"))
        return None
    if len(data) > _MAX_BYTES:
        faults.append(ConfigFault(file, 0, "is larger than 1 MiB"))
        return None
    if path.suffix == ".json" and not _is_json(text, file, faults):
        return None
    try:
        # JSON is YAML but for tabs between tokens; inside a JSON string a tab cannot stand.
        node = yaml.compose(text.replace("\t", " ") if path.suffix == ".json" else text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        faults.append(ConfigFault(file, line, f"is not valid YAML: {error.problem or error}"))
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        faults.append(ConfigFault(file, line, f"is not valid YAML: it holds the character {error.character:#04x}"))
        return None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        faults.append(ConfigFault(file, 0, f"is not valid YAML: {error}"))
        return None
    if node is None:
        return Value({}, file, 1)
    if not isinstance(node, yaml.MappingNode):
        found = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        faults.append(ConfigFault(file, node.start_mark.line + 1, f"must be a mapping of keys, not {found}"))
        return None
    return _Builder(file, faults).build(node)


def _is_json(text: str, file: str, faults: list[ConfigFault]) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        faults.append(ConfigFault(file, error.lineno, f"is not valid JSON: {error.msg}"))
        return False
    except RecursionError:
        faults.append(ConfigFault(file, 0, "is nested too deeply"))
        return False
    return True


class _Builder:
    def __init__(self, file: str, faults: list[ConfigFault]) -> None:
        self._file = file
        self._faults = faults
        self._nodes = 0
        #: Mappings and lists that are being built, each within the one before.
        self._open: list[yaml.Node] = []
        self._constructor = yaml.SafeLoader("")

    def build(self, node: yaml.Node) -> Value:
        self._nodes += 1
        line = node.start_mark.line + 1
        if self._nodes > _MAX_NODES:
            # Aliases of aliases grow without bound; a project file is small.
            if self._nodes == _MAX_NODES + 1:
                self._faults.append(ConfigFault(self._file, line, "expands to too many values (aliases?)"))
            return Value(None, self._file, line)
        if not isinstance(node, yaml.CollectionNode):
            return Value(self._scalar(node, line), self._file, line)
        if any(node is outer for outer in self._open):
            self._faults.append(ConfigFault(self._file, line, "holds itself (an alias within its own anchor)"))
            return Value(None, self._file, line)
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return Value(dict(self._pairs(node)), self._file, line)
            return Value([self.build(item) for item in node.value], self._file, line)
        finally:
            self._open.pop()

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[str, Value]]:
        seen: dict[str, int] = {}
        merged: list[Value] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._faults.append(ConfigFault(self._file, line, "a key must be a word, not a list or a mapping"))
                continue
            if key_node.tag == _MERGE:
                merged += self._merged(value_node, line)
                continue
            key = _whole(key_node.value)
            if key in seen:
                self._faults.append(ConfigFault(self._file, line, f"{key!r} stands twice, first in line {seen[key]}"))
                continue
            seen[key] = line
            value = self.build(value_node)
            value.line = line
            yield key, value
        for other in merged:
            for key, value in other.data.items():
                if key not in seen:
                    seen[key] = value.line
                    yield key, value

    def _merged(self, node: yaml.Node, line: int) -> list[Value]:
        """The mappings of `<<: *a` or `<<: [*a, *b]`; what stands beside it counts before them, and a before b."""
        found = [self.build(item) for item in (node.value if isinstance(node, yaml.SequenceNode) else [node])]
        if not all(isinstance(value.data, dict) for value in found):
            self._faults.append(ConfigFault(self._file, line, "<< takes a mapping, or a list of them: `<<: *anchor`"))
            return []
        return found

    def _scalar(self, node: yaml.Node, line: int) -> Any:
        try:
            value = self._constructor.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError) as error:
            why = getattr(error, "problem", None) or error
            self._faults.append(ConfigFault(self._file, line, f"cannot be read: {why}"))
            return None
        if isinstance(value, str):
            return _whole(value)
        if isinstance(value, float) and DECIMAL.match(node.value):
            return WrittenFloat(node.value)
        # Dates and bytes are strings to us: no key takes one.
        return value if value is None or isinstance(value, (str, int, float, bool)) else str(node.value)


def _whole(text: str) -> str:
    """`text` with characters that JSON writes as two escapes in one piece."""
    try:
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return text


def merge(base: Value, over: Value) -> Value:
    """`over` laid over `base`: mappings key by key, anything else replaced whole."""
    if not isinstance(base.data, dict) or not isinstance(over.data, dict):
        return over
    merged = dict(base.data)
    for key, value in over.data.items():
        merged[key] = merge(merged[key], value) if key in merged else value
    return Value(merged, base.file, base.line)
