"""Overrides: from `KEY=VALUE` as typed to a value, and from a value to words of a shell line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from podops.config.model import OverrideStyle
from podops.config.secrets import secret_kind
from podops.config.written import DECIMAL, WHOLE, Loader, WrittenFloat
from podops.errors import UsageError
from podops_runners.command_script import python_literal

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")

_WORDS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "~")),
}

#: What else says true and false where the preset has one of them.
_SWITCH = {"yes": True, "on": True, "1": True, "no": False, "off": False, "0": False, "true": True, "false": False}

#: The override value that is decided on the pod, by whether it holds W&B credentials.
AUTO = "auto"


def parse_overrides(typed: Sequence[str], preset: Mapping[str, Any]) -> dict[str, Any]:
    """Values of `KEY=VALUE` texts; a later one wins. Raises `UsageError` that names the faulty one."""
    values: dict[str, Any] = {}
    for text in typed:
        key, separator, value = text.partition("=")
        if not separator or not _KEY.match(key):
            raise UsageError(f"{text!r} is not an override", "write KEY=VALUE, such as max_iters=50")
        kind = secret_kind(value)
        if kind is not None:
            raise UsageError(f"the value of {key} seems to hold {kind}", "keep secrets in files on the pod")
        if "\0" in value:
            raise UsageError(f"the value of {key} holds a NUL byte", "no program can take one as an argument")
        values[key] = _typed(key, value, preset.get(key))
    return values


def _typed(key: str, text: str, like: object) -> Any:
    """`text` as the type of the preset's own value, else as a scalar, else as the text it is."""
    if isinstance(like, str) and like != AUTO:
        return text
    scalar = _scalar(text)
    if scalar == AUTO or like is None or like == AUTO:
        return scalar
    if isinstance(like, bool):
        scalar = _SWITCH.get(text.lower(), scalar)
        fits = isinstance(scalar, bool)
    elif isinstance(like, (int, float)):
        scalar = _number_like(text, like, scalar)
        fits = isinstance(scalar, (int, float)) and not isinstance(scalar, bool)
    else:
        fits = isinstance(scalar, (list, dict))
    if not fits:
        kinds = {bool: "true or false", int: "a number", WrittenFloat: "a number"}
        wanted = kinds.get(type(like), "a list or mapping")
        raise UsageError(f"{key} takes {wanted}, not {text!r}", f"the preset has {key}: {plain_text(like)}")
    return scalar


def _number_like(text: str, like: float, scalar: object) -> object:
    """A number where one is wanted: `1e3` and `1_000` are whole where the preset's is, `1` is not where it is not."""
    if isinstance(like, int):
        try:
            return int(text)
        except ValueError:
            whole = isinstance(scalar, float) and "." not in text and scalar.is_integer()
            return int(scalar) if whole and isinstance(scalar, float) else scalar
    return WrittenFloat(text) if type(scalar) is int else scalar


def _scalar(text: str) -> Any:
    """What is plainly a number, a truth value, null, a list or a mapping; anything else is the text it is."""
    if text in _WORDS:
        return _WORDS[text]
    if WHOLE.match(text):
        return int(text)
    if DECIMAL.match(text):
        return WrittenFloat(text)
    if text[:1] not in ("[", "{") or text != text.strip() or "\n" in text:
        return text
    try:
        value = yaml.load(text, Loader=Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    return value if isinstance(value, (list, dict)) and _is_plain(value) else text


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, (str, int, float, bool))


def write_overrides(
    values: Mapping[str, Any], style: OverrideStyle, *, prefix: str = "", wandb_mode: str = "auto"
) -> list[Any]:
    """Parts of a command, a space before each: text quoted for the shell, or a part only the pod can decide."""
    parts: list[Any] = []
    for key, value in values.items():
        if value == AUTO and wandb_mode == "auto":
            yes, no = (_words(key, flag, style, prefix) for flag in (True, False))
            parts.append({"auto": key, "yes": _spaced(yes), "no": _spaced(no)})
            continue
        known = wandb_mode != "disabled" if value == AUTO else value
        parts.append(_spaced(_words(key, known, style, prefix)))
    return [part for part in parts if part != ""]


def _spaced(words: list[str]) -> str:
    return "".join(" " + shlex.quote(word) for word in words)


def _words(key: str, value: Any, style: OverrideStyle, prefix: str) -> list[str]:
    if style == "literal":
        return [f"{prefix}{key}={python_literal(value)}"]
    if style == "keyval":
        return [f"{prefix}{key}={plain_text(value)}"]
    flag = "--" + key
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    text = plain_text(value)
    # `--key -5` would read the value as an option.
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def plain_text(value: Any) -> str:
    """A value as a program expects it on its command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)
