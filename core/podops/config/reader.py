"""Taking typed values out of a mapping; each wrong one becomes a fault, and the default stands in."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from podops.config.document import Value
from podops.config.other_names import other_name, shape
from podops.config.secrets import secret_kind
from podops.config.units import parse_duration, parse_size
from podops.errors import ConfigFault

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{([^}]*)\}?")
NAME_RULE = "up to 64 letters, digits, . _ -, a letter or digit first, no two dots in a row"
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def nearest(word: str, known: Collection[str]) -> str:
    """`did you mean 'x'?`, or the known names when none is near."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(sorted(known))}" if known else ""


class Section:
    """One mapping of the file at the dotted `path`. Every key must be taken; `done` reports those that were not."""

    def __init__(self, value: Value, path: str, faults: list[ConfigFault], environ: Mapping[str, str]) -> None:
        self.value = value
        self.path = path
        self.faults = faults
        self._environ = environ
        self._known: set[str] = set()
        self._data: dict[str, Value] = value.data if isinstance(value.data, dict) else {}
        #: Something else stands where the mapping should, and that was told.
        self.malformed = value.data is not None and not isinstance(value.data, dict)
        if self.malformed:
            self.fault(value, f"{path or 'the file'} must be a mapping of keys", shape(path))

    def fault(self, at: Value | None, message: str, hint: str = "") -> None:
        place = at or self.value
        self.faults.append(ConfigFault(place.file, place.line, message, hint))

    def has(self, key: str) -> bool:
        return key in self._data

    def names(self) -> Iterator[str]:
        return iter(self._data)

    def raw(self, key: str) -> Value | None:
        """The value as it stands; null counts as absent."""
        self._known.add(key)
        value = self._data.get(key)
        return None if value is None or value.data is None else value

    def section(self, key: str) -> Section:
        value = self.raw(key) or Value({}, self.value.file, self.value.line)
        return Section(value, self._name(key), self.faults, self._environ)

    def item(self, value: Value, path: str) -> Section:
        """One mapping of a list, at `path`."""
        return Section(value, path, self.faults, self._environ)

    def text(self, key: str, default: str | None = None) -> str | None:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value.data, str):
            hint = "" if isinstance(value.data, (list, dict)) else "put it in quotes"
            self.fault(value, f"{self._name(key)} must be text, not {_kind(value.data)}", hint)
            return default
        return self._clean(value, key)

    def path_text(self, key: str) -> str | None:
        """Text with `${VAR}` filled in from this machine's environment."""
        text, value = self.text(key), self.raw(key)
        if text is None or value is None:
            return None

        def fill(match: re.Match[str]) -> str:
            name = match.group(1)
            if name is not None and name in self._environ:
                return self._environ[name]
            self.fault(value, f"{self._name(key)}: {match.group(0)} is not set in the environment")
            return ""

        return _VARIABLE.sub(fill, text)

    def flag(self, key: str, default: bool) -> bool:
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value.data, bool):
            self.fault(value, f"{self._name(key)} must be true or false, not {_kind(value.data)}")
            return default
        return value.data

    def whole(self, key: str, low: int, high: int) -> int | None:
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value.data, int) or isinstance(value.data, bool) or not low <= value.data <= high:
            self.fault(value, f"{self._name(key)} must be a whole number from {low} to {high}")
            return None
        return value.data

    def number(self, key: str) -> float | None:
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value.data, (int, float)) or isinstance(value.data, bool) or not 0 <= value.data < math.inf:
            self.fault(value, f"{self._name(key)} must be a number, 0 or more")
            return None
        return float(value.data)

    def duration(self, key: str, default: float | None) -> float | None:
        value = self.raw(key)
        if value is None:
            return default
        try:
            return parse_duration(value.data)
        except ValueError as error:
            self.fault(value, f"{self._name(key)}: {error}")
            return default

    def size(self, key: str, default: int | None) -> int | None:
        value = self.raw(key)
        if value is None:
            return default
        try:
            return parse_size(value.data)
        except ValueError as error:
            self.fault(value, f"{self._name(key)}: {error}")
            return default

    def choice(self, key: str, known: Collection[str], default: str) -> str:
        text = self.text(key, default) or default
        if text not in known:
            self.fault(self.raw(key), f"{self._name(key)}: unknown value {text!r}", nearest(text, known))
            return default
        return text

    def name(self, key: str, default: str) -> str:
        """Text that is one safe word: a session prefix, a file name, a project."""
        text, value = self.text(key, default) or default, self.raw(key)
        if value is not None and isinstance(value.data, str) and not is_name(text):
            self.fault(self.raw(key), f"{self._name(key)}: {text[:80]!r} cannot be a name", NAME_RULE)
            return default
        return text

    def texts(self, key: str) -> tuple[str, ...] | None:
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value.data, list) or any(not isinstance(item.data, str) for item in value.data):
            hint = "put each in quotes" if isinstance(value.data, list) else ""
            self.fault(value, f"{self._name(key)} must be a list of texts", hint)
            return None
        return tuple(item.data for item in value.data)

    def wholes(self, key: str, low: int, high: int) -> tuple[int, ...]:
        value = self.raw(key)
        if value is None:
            return ()
        data = value.plain()
        if not isinstance(data, list) or not all(type(item) is int and low <= item <= high for item in data):
            self.fault(value, f"{self._name(key)} must be a list of whole numbers from {low} to {high}")
            return ()
        return tuple(data)

    def plain(self, key: str) -> Any:
        """A free value (overrides, args), checked for secrets only."""
        value = self.raw(key)
        if value is None:
            return None
        self._search_secrets(value, key)
        return value.plain()

    def done(self) -> None:
        """Report every key nobody asked for."""
        for key, value in self._data.items():
            if key not in self._known:
                where = f" in {self.path}" if self.path else ""
                cure = other_name(self.path, key) or nearest(key, self._known)
                self.fault(value, f"unknown key {key!r}{where}", cure)

    def _search_secrets(self, value: Value, key: str) -> None:
        if isinstance(value.data, str):
            self._clean(value, key)
        children = value.data.values() if isinstance(value.data, dict) else value.data
        for child in children if isinstance(value.data, (dict, list)) else ():
            self._search_secrets(child, key)

    def _clean(self, value: Value, key: str) -> str:
        if _UNSENDABLE.search(value.data):
            self.fault(value, f"{self._name(key)} holds a character that no program can be given (NUL or half of one)")
            return ""
        kind = secret_kind(value.data)
        if kind is not None:
            self.fault(value, f"{self._name(key)} seems to hold {kind}", "keep secrets out; name a file on the pod")
            return ""
        return str(value.data)

    def _name(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def is_name(text: str) -> bool:
    return bool(_NAME.match(text)) and ".." not in text


def _kind(data: object) -> str:
    names = {bool: "true/false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a mapping"}
    return names.get(type(data), "nothing")
