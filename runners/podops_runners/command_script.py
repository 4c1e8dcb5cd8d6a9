"""The exact shell line of a run, and `command.sh` around it."""

import shlex

from podops_runners import protocol
from podops_runners.rundir import RunDir
from podops_runners.submit_error import SubmitError
from podops_runners.typed import Any, Dict, List, Tuple


def render_command(parts: List[Any], run: RunDir, have_creds: bool, *, gpus: int = 0) -> Tuple[List[str], str]:
    """The parts as text, and joined: the line that will run. Raises `SubmitError` for a part of unknown form.

    `gpus` is how many the run will get.
    """
    values = {"run_dir": run.path, "run_id": run.run_id, "gpu_count": str(max(1, gpus))}
    texts = [_part(part, values, have_creds) for part in parts]
    return texts, "".join(texts)


def _part(part: Any, values: Dict[str, str], have_creds: bool) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and isinstance(part.get("yes"), str) and isinstance(part.get("no"), str):
        return str(part["yes"] if have_creds else part["no"])
    if isinstance(part, dict) and part.get("ref") == "resume_from":
        # Known when an attempt starts, and another one each time; an empty word when there is no checkpoint yet.
        return '"${OPS_RESUME_FROM-}"'
    if isinstance(part, dict) and part.get("ref") == "port":
        # Chosen when the run starts, from those that are free then.
        return '"$OPS_PORT"'
    if isinstance(part, dict) and isinstance(part.get("torchrun"), str):
        return torchrun(part["torchrun"], values["gpu_count"])
    value = values.get(part.get("ref", "")) if isinstance(part, dict) else None
    if value is None:
        raise SubmitError(protocol.E_USAGE, "the command has a part of unknown form: {!r}".format(part))
    value += str(part.get("suffix") or "")
    style = part.get("style", "shell")
    if style == "text":
        return value
    return shlex.quote(python_literal(value) if style == "literal" else value)


def python_literal(value: Any) -> str:
    """`value` as Python writes it, text in double quotes where it can be: quoted for a shell, that stays readable."""
    text = repr(value)
    return '"{}"'.format(text[1:-1]) if text.startswith("'") and '"' not in text else text


def torchrun(python: str, gpus: str) -> str:
    """What starts a training script: `python`, or one process for each of several GPUs. `gpus` is their number."""
    if gpus == "1":
        return python
    return "{} -m torch.distributed.run --standalone --nproc_per_node={}".format(python, gpus)


def render_script(spec: Dict[str, Any], run: RunDir) -> str:
    """`command.sh`: runnable by hand in the same directory and environment. It holds no secret: the spec has none."""
    lines = [
        "#!/usr/bin/env bash",
        "# Run {} of preset {}. Runs by hand too: bash command.sh".format(spec["run_id"], _one_line(spec["preset"])),
    ]
    for name, value in sorted(spec["env"].items()):
        lines.append("export {}={}".format(name, shlex.quote(str(value))))
    lines += _by_hand(spec, run)
    lines.append("cd {} || exit 1".format(shlex.quote(spec["workdir"])))
    lines.append(spec["command"])
    return "\n".join(lines) + "\n"


def _by_hand(spec: Dict[str, Any], run: RunDir) -> List[str]:
    """What a supervisor would have set, unless one has."""
    # The metrics of the run itself are its record: nothing that is tried by hand belongs there.
    ours = {"OPS_RUN_ID": run.run_id, "OPS_RUN_DIR": run.path, "OPS_METRICS_FILE": "/dev/null", "OPS_ATTEMPT": "1"}
    words = " ".join("{}={}".format(name, shlex.quote(value)) for name, value in ours.items())
    lines = ['[ "${{OPS_RUN_ID-}}" = {} ] || export {} PYTHONUNBUFFERED=1'.format(shlex.quote(run.run_id), words)]
    port = (spec.get("service") or {}).get("port")
    if port is not None:
        chosen = (
            "OPS_PORT={}".format(port) if isinstance(port, int) else 'OPS_PORT="${OPS_PORT:?is the port it shall have}"'
        )
        lines.append('[ -n "${{OPS_PORT-}}" ] || export {}'.format(chosen))
    return lines


def _one_line(text: str) -> str:
    return " ".join(text.split())
