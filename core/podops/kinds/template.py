"""Kinds that run a shell line of the user's: `command`, `train`, `eval`, and any that a package adds."""

from __future__ import annotations

import difflib
import re
import shlex
from typing import Any

from podops.errors import UsageError
from podops.kinds.overrides import write_overrides
from podops.kinds.registry import KindInput, KindOutput

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_TORCHRUN = re.compile(r"\s*torchrun\s")
_KNOWN = ("python", "torchrun", "overrides", "run_dir", "run_id", "config", "resume_from", "gpu_count", "port")


def run_template(given: KindInput) -> KindOutput:
    """The preset's `command` with its placeholders filled in; without `{overrides}` they stand at the end."""
    from podops.kinds.registry import kind_of

    style = given.preset.override_style or kind_of(given.preset.kind).style
    overrides = write_overrides(given.overrides, style, wandb_mode=given.config.storage.wandb.mode)
    parts = fill_template(given.preset.command or "", given, overrides)
    return KindOutput(tuple(parts), workdir=given.preset.workdir or given.pod.repo_dir)


def fill_template(template: str, given: KindInput, overrides: list[Any]) -> list[Any]:
    """Parts of the command. Raises `UsageError` for a placeholder that does not exist."""
    parts: list[Any] = []
    used = False
    end = 0
    template = _counted(template, given)
    for match in _TOKEN.finditer(template):
        parts.append(template[end : match.start()])
        end = match.end()
        name = match.group(1)
        if name == "overrides":
            parts.extend(_joined(overrides))
            used = True
        elif name is None:
            parts.append(_brace(match.group(0), given))
        else:
            parts.append(_placeholder(name, given))
    parts.append(template[end:])
    if not used and overrides:
        parts.extend(overrides)
    return [part for part in parts if part != ""]


def _counted(template: str, given: KindInput) -> str:
    """A `train` line that begins with `torchrun` and counts no processes gets one for each GPU of the run."""
    if given.preset.kind == "train" and _TORCHRUN.match(template) and "--nproc" not in template:
        return template.replace("torchrun", "torchrun --standalone --nproc_per_node={gpu_count}", 1)
    return template


def _joined(overrides: list[Any]) -> list[Any]:
    """Each part begins with a space; the first stands where the template already has its own."""
    if not overrides:
        return []
    first = overrides[0]
    if isinstance(first, str):
        return [first[1:], *overrides[1:]]
    return [first | {"yes": first["yes"][1:], "no": first["no"][1:]}, *overrides[1:]]


def _brace(token: str, given: KindInput) -> str:
    if token in ("{{", "}}"):
        return token[0]
    raise UsageError(f"preset {given.preset.name}: a single {token!r} in its command", "write {{ or }} for a brace")


def _placeholder(name: str, given: KindInput) -> Any:
    preset = given.preset.name
    if name in ("run_dir", "run_id", "resume_from", "gpu_count"):
        return {"ref": name}
    if name == "port":
        return _port(given)
    if name == "python":
        return shlex.quote(given.pod.venv_python or "python3")
    if name == "torchrun":
        return {"torchrun": shlex.quote(given.pod.venv_python or "python3")}
    if name == "config":
        config = given.preset.options.get("config")
        if not isinstance(config, str):
            raise UsageError(f"preset {preset}: {{config}} is used, but there is no `config` key")
        return shlex.quote(config)
    close = difflib.get_close_matches(name, _KNOWN, n=1)
    hint = f"did you mean {{{close[0]}}}?" if close else "known: " + ", ".join(f"{{{key}}}" for key in _KNOWN)
    raise UsageError(f"preset {preset}: unknown placeholder {{{name}}} in its command", hint + " ({{ is a brace)")


def _port(given: KindInput) -> Any:
    service = given.preset.service
    if service is None:
        raise UsageError(f"preset {given.preset.name}: {{port}} is used, but there is no `service: {{port: …}}`")
    return {"ref": "port"} if service.port == "auto" else str(service.port)
