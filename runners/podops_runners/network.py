"""Bytes this machine sends and receives."""

import os
from typing import List, NamedTuple, Optional, Tuple


class Traffic(NamedTuple):
    """Bytes since boot."""

    received: int
    sent: int


def traffic(table: str = "/proc/net/dev", interfaces: str = "/sys/class/net") -> Optional[Traffic]:
    """What went over the network, loopback left out; `None` where the kernel does not tell."""
    counted = {name: found for name, found in _read(table) if name != "lo"}
    # Bridges, bonds and tunnels count again what a real card counts. A container has none: there, all of them.
    real = {name for name in counted if os.path.exists(os.path.join(interfaces, name, "device"))}
    chosen = [found for name, found in counted.items() if name in real or not real]
    if not chosen:
        return None
    return Traffic(sum(each.received for each in chosen), sum(each.sent for each in chosen))


def _read(table: str) -> List[Tuple[str, Traffic]]:
    found = []
    try:
        with open(table, errors="replace") as stream:
            for line in stream:
                name, colon, rest = line.rpartition(":")
                fields = rest.split()
                if colon and len(fields) >= 9 and fields[0].isdigit() and fields[8].isdigit():
                    found.append((name.strip(), Traffic(int(fields[0]), int(fields[8]))))
    except OSError:
        pass
    return found
