"""Why a program says it failed: the last line of its traceback, else its last line."""

import re

_TAIL_BYTES = 64 * 1024
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning)\b.*")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def last_words(path: str) -> str:
    """At most 300 characters from the end of the log; empty when there is none."""
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [_CONTROL.sub("", line).strip() for line in re.split(r"[\r\n]", text)]
    lines = [line for line in lines if line]
    for line in reversed(lines[-50:]):
        if _EXCEPTION.match(line):
            return line[:300]
    return lines[-1][:300] if lines else ""
