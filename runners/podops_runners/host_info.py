"""The pod itself: the facts that stay."""

import os
import sys

from podops_runners import process, tmux
from podops_runners.typed import Any, Dict


def host_info() -> Dict[str, Any]:
    """HostInfo in its wire form."""
    return {
        "hostname": os.uname().nodename,
        "os": _os_name(),
        "python": sys.version.split()[0],
        "tmux": tmux.version(),
        "user": _user(),
        "cpu_count": os.cpu_count() or 0,
        "boot_id": process.boot_id(),
        "machine_id": process.machine_id(),
    }


def _os_name() -> str:
    try:
        with open("/etc/os-release") as stream:
            for line in stream:
                if line.startswith("PRETTY_NAME="):
                    return line.split("=", 1)[1].strip().strip('"')
    except OSError:
        pass
    return os.uname().sysname


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
