"""Overrides: from `KEY=VALUE` as typed to a value, and from a value to words of a shell line."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from podops.config.model import OverrideStyle
from podops.config.secrets import secret_kind
from podops.errors import UsageError
from podops_runners.command_script import python_literal

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")

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
    """`text` as the type of the preset's own value, else as a YAML scalar, else as the text it is."""
    if isinstance(like, str) and like != AUTO:
        return text
    scalar = _scalar(text)
    if scalar == AUTO or like is None or like == AUTO:
        return scalar
    if isinstance(like, bool):
        fits = isinstance(scalar, bool)
    elif isinstance(like, (int, float)):
        fits = isinstance(scalar, (int, float)) and not isinstance(scalar, bool)
    else:
        fits = isinstance(scalar, (list, dict))
    if not fits:
        wanted = {bool: "true or false", int: "a number", float: "a number"}.get(type(like), "a list or mapping")
        raise UsageError(f"{key} takes {wanted}, not {text!r}", f"the preset has {key}: {like}")
    return float(scalar) if isinstance(like, float) and isinstance(scalar, int) else scalar


def _scalar(text: str) -> Any:
    if not text or text != text.strip() or "\n" in text:
        return text
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
    if isinstance(value, str):
        # YAML would read quotes and comments away; what was typed is what arrives.
        return text
    if isinstance(value, float) and not math.isfinite(value):
        return value
    if isinstance(value, (list, dict)):
        return value if text[0] in "[{" and _is_plain(value) else text
    if value is None:
        return None if text in ("null", "~") else text
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not _is_number(text):
        return text  # YAML reads 12:30 and 0o17 as numbers; nobody who types them means that
    return value if isinstance(value, (bool, int, float)) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
