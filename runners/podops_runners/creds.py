"""W&B credentials on this pod: whether there are any, and the project's own script that brings them into ~/.netrc."""

import os
import time

from podops_runners import machine, records
from podops_runners.netrc_file import WANDB_HOSTS, NetrcError, is_broken, is_key, passwords, standard_path, store
from podops_runners.typed import Any, Dict, Mapping, NamedTuple, Optional, Tuple

_LOCK = "netrc"

#: What came of the script when it was run last.
_RECORD = "creds.json"

#: Addresses that wandb takes for that of its default host.
_PROXIES = ("forge.coreweave.com",)


def hosts_of(environment: Mapping[str, str]) -> Tuple[str, ...]:
    """The hosts a run would log in to: W&B's own, or the server that its environment names."""
    host = environment.get("WANDB_BASE_URL", "").partition("://")[2].partition("/")[0]
    return WANDB_HOSTS if not host or host in WANDB_HOSTS + _PROXIES else (host,)


def has_wandb_credentials(path: Optional[str] = None, hosts: Tuple[str, ...] = WANDB_HOSTS) -> bool:
    """Whether `~/.netrc` has a password for one of the hosts. A broken file counts as none."""
    known = passwords(path or standard_path())
    return any(host in known for host in hosts) or (hosts == WANDB_HOSTS and any(map(_is_wandbs, known)))


def needed(spec: Mapping[str, Any]) -> bool:
    """Whether a run may log in to W&B at all."""
    settings, environment = spec.get("wandb"), spec.get("env")
    mode = settings.get("mode", "auto") if isinstance(settings, dict) else "auto"
    declared = environment.get("WANDB_MODE") if isinstance(environment, dict) else None
    return mode in ("auto", "online") and declared not in ("disabled", "offline", "dryrun")


class Credentials(NamedTuple):
    """Whether there are any, and what is wrong with the script that brings them: how it ended, never what it said."""

    found: bool
    problem: str = ""


def warning(credentials: Credentials) -> str:
    """What a person is told of the problem."""
    return "W&B credentials: {}".format(credentials.problem)


def ensure_for(spec: Mapping[str, Any], declared: Mapping[str, str], environment: Dict[str, str]) -> Credentials:
    """What a run that declares this environment finds, after the project's script if it needs any."""
    settings = spec.get("wandb")
    script = settings.get("ensure_creds_script") if isinstance(settings, dict) and needed(spec) else None
    return ensure_wandb_credentials(str(script) if script else None, environment, hosts_of(declared))


def ensure_wandb_credentials(
    script: Optional[str], environment: Dict[str, str], hosts: Tuple[str, ...] = WANDB_HOSTS
) -> Credentials:
    """Let the project's script bring the key into `~/.netrc`, for every host.

    It is run when a host has none, and again when it is newer than the file: its key may have changed.
    """
    path = os.path.abspath(os.path.expanduser(script)) if script else ""
    if not os.path.isfile(path):
        return Credentials(has_wandb_credentials(hosts=hosts))
    try:
        with machine.locked(_LOCK):
            problem = _ensure(path, environment, hosts)
            _remember(path, problem)
    except NetrcError as error:
        problem = str(error)
    except (OSError, ValueError) as error:
        problem = "{} cannot be used: {}".format(path, getattr(error, "strerror", None) or type(error).__name__)
    found = has_wandb_credentials(hosts=hosts)
    if problem and found:
        problem += "; the credentials from before are used"
    return Credentials(found, problem)


def last_problem(script: str) -> str:
    """How the script failed when it was run last here; empty when it did not, or has been changed since."""
    try:
        record, _ = records.read_record(machine.path_of(_RECORD))
        tried = records.number((record or {}).get("time")) or 0.0
        if record is not None and record.get("script") == script and os.stat(script).st_mtime <= tried:
            return str(record.get("problem") or "")
    except OSError:
        pass
    return ""


def _remember(script: str, problem: str) -> None:
    """For `ops doctor`, which must not run it."""
    if problem or last_problem(script):
        try:
            told = {"script": script, "problem": problem, "time": time.time()}
            records.write_record(machine.path_of(_RECORD), told, durable=False)
        except OSError:
            pass


def _ensure(script: str, environment: Dict[str, str], hosts: Tuple[str, ...]) -> str:
    """How the script has failed; empty when all is well. Raises `NetrcError`, `OSError`, `ValueError`."""
    from podops_runners import creds_script

    file = standard_path()
    before = found = _password(file, hosts)
    problem = ""
    if before is None or _is_newer(script, file):
        answer = creds_script.run(script, environment)
        found = answer.key if is_key(answer.key) else _password(file, hosts)
        if answer.problem and found == before and not is_key(answer.key):
            problem = "{} {}".format(script, answer.problem)
        elif found is None and is_broken(file):
            problem = "{} cannot be parsed".format(file)
        elif found is None:
            problem = "{} ended well, but gave no key that W&B would take".format(script)
    if found is not None:
        store(file, found, hosts)
        if not problem and _is_newer(script, file):
            os.utime(file)
    return problem


def _password(file: str, hosts: Tuple[str, ...]) -> Optional[str]:
    known = passwords(file)
    return next((known[host] for host in hosts if host in known), None)


def _is_newer(script: str, file: str) -> bool:
    try:
        return os.stat(script).st_mtime > os.stat(file).st_mtime
    except OSError:
        return True


def _is_wandbs(host: str) -> bool:
    return host in WANDB_HOSTS or host == "wandb.ai" or host.endswith((".wandb.ai", ".forge.coreweave.com"))
