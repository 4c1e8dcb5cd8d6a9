"""Names and numbers both ends of a link agree on; `docs/protocol.md` tells the whole exchange."""

PROTOCOL_VERSION = 1

#: A pod-side link ends itself when it has heard nothing from its client for this long, seconds.
DEAD_MAN_S = 20.0

#: A client pings this often, however much else is said, seconds.
PING_S = 8.0

#: A client that hears nothing for this long asks for a sign of life, seconds.
QUIET_S = 2.0

#: Error codes a pod answers with; the client turns them into its own error tree.
E_USAGE = "usage"
E_NOT_FOUND = "not_found"
E_REFUSED = "refused"
E_FAILED = "failed"
E_PROTOCOL = "protocol"
E_NO_TMUX = "no_tmux"
E_UNWRITABLE = "unwritable"
E_DISK_FULL = "disk_full"
E_NO_GPU = "no_gpu"
E_EXISTS = "exists"

#: Connections to services that one link carries at the same time; a process may have 1,024 files open by default.
MAX_CONNECTIONS = 800


def connection_window(already_open: int) -> int:
    """How many bytes of a new connection may be on their way in one direction: wide for a few, narrow for many.

    All together stay below 80 MiB in each direction, whatever the connections do.
    """
    if already_open < 32:
        return 1024 * 1024
    return 128 * 1024 if already_open < 256 else 32 * 1024
