"""Bytes this machine sends and receives."""

import os

from podops_runners.kernel_files import KernelFiles
from podops_runners.typed import List, NamedTuple, Optional, Tuple


class Traffic(NamedTuple):
    """Bytes since boot."""

    received: int
    sent: int


def traffic(files: KernelFiles, table: str = "/proc/net/dev", interfaces: str = "/sys/class/net") -> Optional[Traffic]:
    """What went over the network, loopback left out; `None` where the kernel does not tell."""
    counted = [(name, found) for name, found in _rows(files.read(table)) if name != "lo"]
    # Bridges, bonds and tunnels count again what a real card counts. A container has none: there, all of them.
    real = {name for name, _ in counted if os.path.exists("{}/{}/device".format(interfaces, name))}
    chosen = [found for name, found in counted if name in real or not real]
    if not chosen:
        return None
    return Traffic(sum([each.received for each in chosen]), sum([each.sent for each in chosen]))


def _rows(table: bytes) -> List[Tuple[str, Traffic]]:
    found = []
    for line in table.split(b"\n"):
        name, colon, rest = line.rpartition(b":")
        fields = rest.split()
        if colon and len(fields) >= 9 and fields[0].isdigit() and fields[8].isdigit():
            found.append((os.fsdecode(name.strip()), Traffic(int(fields[0]), int(fields[8]))))
    return found
