"""What a run sees: the pod's own basics, what is declared, and where it is. Nothing of whoever submitted it."""

import os
import re

from podops_runners import creds
from podops_runners.basics import FOR_RUNS
from podops_runners.gpu_claims import visible_devices
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, Iterable, List, NamedTuple, Optional

_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z", re.DOTALL)


class EnvironmentFileError(Exception):
    """An environment file of the project cannot be used; the text says which and why, never what stands in it."""


class Surroundings(NamedTuple):
    """The whole environment of a run's child, and what went wrong in making it without being worth ending the run."""

    variables: Dict[str, str]
    warnings: List[str]


def base_environment() -> Dict[str, str]:
    """The pod's own basics, from the process that asks."""
    return {name: value for name, value in os.environ.items() if name in FOR_RUNS}


def run_environment(
    spec: Dict[str, Any],
    run: RunDir,
    *,
    attempt: int,
    gpus: Iterable[int],
    resume_from: Optional[str],
    port: Optional[int] = None,
) -> Surroundings:
    """Raises `EnvironmentFileError`.

    Later wins: the pod's basics, the files, what the spec declares, ours.
    """
    base = _texts(spec.get("base_env"))
    declared = dict(base, **declared_in_files(spec))
    declared.update(_texts(spec.get("env")))
    # Again, as the pod may have been made anew since the submit, with an empty home.
    credentials = creds.ensure_for(spec, declared, base)
    if credentials.found:
        # wandb would take the variable before ~/.netrc, and everything the run starts would inherit the key.
        declared.pop("WANDB_API_KEY", None)
    declared.update(visible_devices(gpus))
    declared.update(
        OPS_RUN_ID=run.run_id,
        OPS_RUN_DIR=run.path,
        OPS_METRICS_FILE=run.metrics,
        OPS_ATTEMPT=str(attempt),
        PYTHONUNBUFFERED="1",
    )
    if resume_from:
        declared["OPS_RESUME_FROM"] = resume_from
    if port is not None:
        declared["OPS_PORT"] = str(port)
    return Surroundings(declared, [creds.warning(credentials)] if credentials.problem else [])


def declared_in_files(spec: Dict[str, Any]) -> Dict[str, str]:
    """What the environment files of a spec declare, a later one over an earlier. Raises `EnvironmentFileError`."""
    found: Dict[str, str] = {}
    files = spec.get("env_files")
    for path in files if isinstance(files, list) else ():
        found.update(read_environment_file(str(path)))
    return found


def read_environment_file(path: str) -> Dict[str, str]:
    """`NAME=value` lines, with or without `export` and quotes; comments and blank lines are passed over.

    Nothing is expanded or run. Raises `EnvironmentFileError`.
    """
    place = os.path.expanduser(path)
    try:
        with open(place, "rb") as stream:
            lines = stream.read(1024 * 1024).decode("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        raise EnvironmentFileError("the environment file {} cannot be read: {}".format(path, error.strerror))
    found: Dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _ASSIGNMENT.match(text)
        if match is None:
            raise EnvironmentFileError("line {} of {} is not NAME=value".format(number, path))
        found[match.group(1)] = _unquoted(match.group(2).strip())
    return found


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def _texts(value: Any) -> Dict[str, str]:
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}
