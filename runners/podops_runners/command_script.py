"""The exact shell line of a run, and `command.sh` around it."""

import shlex
from typing import Any, Dict, List, Tuple

from podops_runners import protocol
from podops_runners.rundir import RunDir
from podops_runners.submit_error import SubmitError


def render_command(parts: List[Any], run: RunDir, have_creds: bool) -> Tuple[List[str], str]:
    """The parts as text, and joined: the line that will run. Raises `SubmitError` for a part of unknown form."""
    texts = [_part(part, run, have_creds) for part in parts]
    return texts, "".join(texts)


def _part(part: Any, run: RunDir, have_creds: bool) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and isinstance(part.get("yes"), str) and isinstance(part.get("no"), str):
        return str(part["yes"] if have_creds else part["no"])
    value = {"run_dir": run.path, "run_id": run.run_id}.get(part.get("ref", "")) if isinstance(part, dict) else None
    if value is None:
        raise SubmitError(protocol.E_USAGE, "the command has a part of unknown form: {!r}".format(part))
    value += str(part.get("suffix") or "")
    style = part.get("style", "shell")
    if style == "text":
        return value
    return shlex.quote(repr(value) if style == "literal" else value)


def render_script(spec: Dict[str, Any]) -> str:
    """`command.sh`: runnable by hand in the same directory and environment. It holds no secret: the spec has none."""
    lines = [
        "#!/usr/bin/env bash",
        "# Run {} of preset {}. Runs by hand too: bash command.sh".format(spec["run_id"], _one_line(spec["preset"])),
    ]
    for name, value in sorted(spec["env"].items()):
        lines.append("export {}={}".format(name, shlex.quote(str(value))))
    lines.append("cd {} || exit 1".format(shlex.quote(spec["workdir"])))
    lines.append(spec["command"])
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())
