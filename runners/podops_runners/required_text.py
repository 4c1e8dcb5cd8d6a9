"""What every match of a regular expression must hold, so that a search can look for plain text first, which is fast."""

import re

from podops_runners.typed import Any, Iterable, List, Optional, Union

try:
    from re import _parser  # type: ignore[attr-defined]
except ImportError:  # before Python 3.11
    import sre_parse as _parser

#: A text shorter than this stands nearly everywhere, bytes; more alternatives than this cost more than they save.
_LEAST, _MOST = 2, 8

#: Letters that others than their own two cases are equal to, where case is ignored.
_ODD_CASE = "iks"

Texts = List[bytes]


def required_texts(pattern: Union[str, bytes], ignore_case: bool) -> List[Texts]:
    """Lists of texts: of each list, every match holds at least one. Empty where nothing is known.

    With `ignore_case` they are lower case, and what is searched has to be.
    """
    try:
        return _lists(_parser.parse(pattern, 0), ignore_case, isinstance(pattern, str))
    except Exception:  # the parser is an inner part of Python: whatever it does, the search must go on
        return []


def _lists(items: Iterable[Any], ignore_case: bool, text: bool) -> List[Texts]:
    found: List[Texts] = []
    run = bytearray()
    for op, value in items:
        letter = _letter(value, ignore_case, text) if str(op) == "LITERAL" else None
        if letter is not None:
            run += letter
            continue
        _close(run, found)
        found += _inside(str(op), value, ignore_case, text)
    _close(run, found)
    return found


def _letter(code: int, ignore_case: bool, text: bool) -> Optional[bytes]:
    letter = chr(code)
    if not ignore_case:
        return letter.encode("utf-8", "surrogateescape") if text else bytes([code])
    plain = code < 128 and not (text and letter.lower() in _ODD_CASE)
    return letter.lower().encode("ascii") if plain else None


def _close(run: bytearray, found: List[Texts]) -> None:
    if len(run) >= _LEAST:
        found.append([bytes(run)])
    run.clear()


def _inside(op: str, value: Any, ignore_case: bool, text: bool) -> List[Texts]:
    """Of one item that is not a letter."""
    if op == "SUBPATTERN" and not value[1] and not value[2]:
        return _lists(value[3], ignore_case, text)
    if op in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and value[0] >= 1:
        return _lists(value[2], ignore_case, text)
    if op == "ATOMIC_GROUP":
        return _lists(value, ignore_case, text)
    if op == "BRANCH":
        return _of_all([_lists(branch, ignore_case, text) for branch in value[1]])
    return []


def _of_all(branches: List[List[Texts]]) -> List[Texts]:
    """Each branch's best list, joined."""
    joined: Texts = []
    for lists in branches:
        if not lists:
            return []
        joined += max(lists, key=lambda texts: min(map(len, texts)))
    return [joined] if len(joined) <= _MOST else []


def compiled(pattern: Union[str, bytes], ignore_case: bool) -> "re.Pattern[Any]":
    """Raises `re.error`, and `ValueError`, `OverflowError` or `RecursionError` for odder patterns."""
    return re.compile(pattern, re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
