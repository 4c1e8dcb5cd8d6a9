"""Whether this pod holds W&B credentials, and the project's own script that puts them there."""

import netrc
import os
import subprocess
from typing import Optional


def has_wandb_credentials(path: Optional[str] = None) -> bool:
    """Whether `~/.netrc` has an entry with a password for a W&B host. A broken file counts as none."""
    try:
        hosts = netrc.netrc(path or os.path.expanduser("~/.netrc")).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return False
    return any((host == "wandb.ai" or host.endswith(".wandb.ai")) and bool(entry[2]) for host, entry in hosts.items())


def ensure_wandb_credentials(script: Optional[str], environment: "dict[str, str]") -> bool:
    """Run the project's script when there are no credentials yet; whether there are some afterwards.

    Its output is thrown away, because it may hold the key.
    """
    if has_wandb_credentials():
        return True
    if not script or not os.path.isfile(os.path.expanduser(script)):
        return False
    try:
        subprocess.run(
            ["bash", os.path.expanduser(script)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        pass
    return has_wandb_credentials()
