"""A project's own script for its W&B key: run so that the key is found whichever way it gives it, and upgraded.

Older scripts only export `WANDB_API_KEY`. That does not outlive their shell, and where it does it stands in the
environment of everything started from there.
"""

import os
import re
import shlex
import signal
import subprocess
import time

from podops_runners import records
from podops_runners.typed import Dict, List, NamedTuple, Optional

#: A script that takes longer waits for something that never comes, seconds.
_LIMIT_S = 60.0

_LONGEST_KEY = 4096

#: The script is read by a shell of ours, which tells at its end what the key is, through a pipe: it stands in no
#: argument list, and in no environment but that shell's own.
_SOURCE = 'trap \'printf %s "${{WANDB_API_KEY-}}" >&{fd}\' EXIT; . "$0"'

_MARK = "# podops: the key goes to ~/.netrc"

_UPGRADE = """
{mark}, for wandb to find in every session, and out of this shell's environment.
if [ -n "${{WANDB_API_KEY:-}}" ]; then
  printf '%s' "$WANDB_API_KEY" | {{ exec 3<&0; env -u WANDB_API_KEY python3 - <<'PODOPS_NETRC'
{source}
with os.fdopen(3) as _key:
    store(standard_path(), _key.read().strip(), WANDB_HOSTS)
PODOPS_NETRC
  }}
fi
unset WANDB_API_KEY
"""


class Answer(NamedTuple):
    """What came of the script. `problem` says how it ended where that was not well, and nothing of what it said."""

    key: str
    problem: str


def run(path: str, environment: Dict[str, str]) -> Answer:
    """Run the script; the key that it exports, and how it failed. What it prints is lost: it may hold the key."""
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            _command(path, writer),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(writer,),
            start_new_session=True,
        )
        try:
            problem = _how(process.wait(_LIMIT_S))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            problem = "did not end within {:g} s".format(_LIMIT_S)
        # Not to the pipe's end: something that the script left behind may hold it open.
        os.set_blocking(reader, False)
        return Answer(_read(reader), problem)
    except OSError as error:
        return Answer("", "cannot be run: {}".format(error.strerror or error))
    finally:
        os.close(reader)
        os.close(writer)


def _how(status: int) -> str:
    if status < 0:
        return "was ended by signal {}".format(-status)
    return "ended with exit status {}".format(status) if status else ""


def _read(pipe: int) -> str:
    try:
        return os.read(pipe, _LONGEST_KEY).decode("utf-8", "replace").strip()
    except BlockingIOError:
        return ""


def only_exports(path: str) -> bool:
    """Whether it sets `WANDB_API_KEY` for its shell and does nothing to keep it. Raises `OSError`."""
    text = _text(path)
    sets = re.search(r"^\s*(?:export\s+)?WANDB_API_KEY=", text, re.MULTILINE)
    keeps = re.search(r"netrc|wandb[ .]login", text)
    return bool(sets) and not keeps and _is_for_a_shell(text)


def upgrade(path: str) -> Optional[str]:
    """Let an export-only script fill `~/.netrc` instead; where the old one is kept, or `None` when it is not one.

    Raises `OSError`.
    """
    import pkgutil

    target = os.path.realpath(path)
    if not only_exports(target):
        return None
    with open(target, "rb") as stream:
        old, mode = stream.read(), os.fstat(stream.fileno()).st_mode & 0o7777
    source = pkgutil.get_data("podops_runners", "netrc_file.py")
    if source is None:
        raise OSError("the pod side cannot read itself")
    kept = target + ".bak"
    if os.path.lexists(kept):
        kept += time.strftime("-%Y%m%dT%H%M%SZ", time.gmtime())
    records.write_bytes(kept, old, mode)
    added = _UPGRADE.format(mark=_MARK, source=source.decode("utf-8").rstrip())
    records.write_bytes(target, old.rstrip(b"\n") + b"\n" + added.encode("utf-8"), mode)
    return kept


def _command(path: str, pipe: int) -> List[str]:
    text = _text(path)
    if _is_for_a_shell(text):
        return ["bash", "-c", _SOURCE.format(fd=pipe), path]
    return shlex.split(text.splitlines()[0][2:]) + [path]


def _is_for_a_shell(text: str) -> bool:
    first = text.splitlines()[0] if text else ""
    return not first.startswith("#!") or re.search(r"\b(?:ba|da|z|k)?sh\b", first) is not None


def _text(path: str) -> str:
    with open(path, "rb", opener=records.regular_file) as stream:
        return stream.read(256 * 1024).decode("utf-8", "replace")
