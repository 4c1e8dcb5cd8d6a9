"""W&B credentials on this pod: whether there are any, and the project's own script that brings them into ~/.netrc."""

import os
from typing import Any, Dict, Mapping, Optional, Tuple

from podops_runners import machine
from podops_runners.netrc_file import WANDB_HOSTS, NetrcError, is_key, passwords, standard_path, store

_LOCK = "netrc"

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


def ensure_for(spec: Mapping[str, Any], declared: Mapping[str, str], environment: Dict[str, str]) -> bool:
    """Whether a run that declares this environment finds credentials, after the project's script if it needs any."""
    settings = spec.get("wandb")
    script = settings.get("ensure_creds_script") if isinstance(settings, dict) and needed(spec) else None
    return ensure_wandb_credentials(str(script) if script else None, environment, hosts_of(declared))


def ensure_wandb_credentials(
    script: Optional[str], environment: Dict[str, str], hosts: Tuple[str, ...] = WANDB_HOSTS
) -> bool:
    """Let the project's script bring the key into `~/.netrc`, for every host; whether there are credentials then.

    It is run when a host has none, and again when it is newer than the file: its key may have changed.
    """
    path = os.path.abspath(os.path.expanduser(script)) if script else ""
    if not os.path.isfile(path):
        return has_wandb_credentials(hosts=hosts)
    try:
        with machine.locked(_LOCK):
            _ensure(path, environment, hosts)
    except (OSError, NetrcError, ValueError):
        pass  # whether it worked is told by what stands in the file now
    return has_wandb_credentials(hosts=hosts)


def _ensure(script: str, environment: Dict[str, str], hosts: Tuple[str, ...]) -> None:
    from podops_runners import creds_script

    file = standard_path()
    known = passwords(file)
    found = next((known[host] for host in hosts if host in known), None)
    if found is None or _is_newer(script, file):
        key = creds_script.run(script, environment) or ""
        known = passwords(file)
        stored = next((known[host] for host in hosts if host in known), None)
        found = key if is_key(key) else stored
    if found is not None:
        store(file, found, hosts)
        if _is_newer(script, file):
            os.utime(file)


def _is_newer(script: str, file: str) -> bool:
    try:
        return os.stat(script).st_mtime > os.stat(file).st_mtime
    except OSError:
        return True


def _is_wandbs(host: str) -> bool:
    return host in WANDB_HOSTS or host == "wandb.ai" or host.endswith((".wandb.ai", ".forge.coreweave.com"))
