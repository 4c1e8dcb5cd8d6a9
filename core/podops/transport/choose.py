"""Which way leads to a pod."""

from __future__ import annotations

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
