"""Pods behind a network that a test can make bad."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.network.bad_network import BadNetwork
from tests.pods.conftest import (
    MakeSshPod,
    client_home,
    ops,
    project,
    ssh_pod,
    start_ops,
    tmux_socket,
    used_before,
    world,
)
from tests.pods.loopback import SshPod

__all__ = ["client_home", "ops", "project", "ssh_pod", "start_ops", "tmux_socket", "used_before", "world"]


@pytest.fixture
def pod_behind(ssh_pod: MakeSshPod) -> Iterator[tuple[SshPod, BadNetwork]]:
    """A pod behind a real sshd, reached only through the network that comes with it."""
    pod = ssh_pod()
    with BadNetwork(pod.port) as network:
        for file in (pod.ssh_config, pod.known_hosts):
            file.write_text(file.read_text().replace(str(pod.port), str(network.port)))
        yield pod, network
