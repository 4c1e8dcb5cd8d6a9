"""Run ids: how they are made, and which strings are accepted as one."""

import os
import re
import time

#: Letters, digits, `.`, `_` and `-`; starts with a letter or digit; at most 100 characters. So an id is one path
#: component, never an option, never a tmux target expression.
_VALID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


def is_valid_run_id(text: str) -> bool:
    """Whether `text` can name a run: one safe path component that is neither `.` nor `..` nor ends in a dot."""
    return bool(_VALID.match(text)) and not text.endswith(".") and ".." not in text


def new_run_id(preset: str) -> str:
    """A fresh id that sorts by time and tells its preset: `20261121-021709-hc_small-3f9a`, in UTC."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", preset).strip("-")[:60] or "run"
    return "{}-{}-{}".format(stamp, name, os.urandom(2).hex())


def session_name(prefix: str, run_id: str) -> str:
    """The tmux session of a run. tmux forbids `.` and `:` in a session name and would silently rewrite them."""
    return "{}-{}".format(prefix, run_id).replace(".", "_").replace(":", "_")
