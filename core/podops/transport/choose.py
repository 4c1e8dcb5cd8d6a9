"""Which way leads to a pod."""

from __future__ import annotations

from collections.abc import Callable

from podops.config.model import PodConfig
from podops.transport.base import Transport


def transport_for(pod: PodConfig) -> Transport:
    """The way to `pod`. asyncssh and the Docker SDK are imported only where a pod needs them."""
    if pod.local:
        from podops.transport.local import LocalTransport

        return LocalTransport()
    if pod.docker:
        from podops.transport.docker import DockerTransport

        return DockerTransport(pod)
    from podops.transport.ssh import SshTransport

    return SshTransport(pod)


#: With more pods than this a command makes its own connections, which together cost less than so many processes.
MOST_OPENSSH = 16


def transport_for_a_command(pods: int) -> Callable[[PodConfig], Transport]:
    """The ways for a command that works on so many pods and has no time to lose."""

    def choose(pod: PodConfig) -> Transport:
        if pod.ssh and pods <= MOST_OPENSSH:
            from podops.transport import openssh

            if openssh.available():
                return openssh.OpenSshTransport(pod)
        return transport_for(pod)

    return choose
