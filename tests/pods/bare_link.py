"""A link to a pod without a fleet around it, and what is told when there can be none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from podops.config.model import PodConfig
from podops.errors import UnreachableError
from podops.link.bootstrap import Started, start_link
from podops.transport.base import Transport
from podops.transport.choose import transport_for
from tests.pods.fleet_config import pod_config
from tests.pods.loopback import SshPod


@asynccontextmanager
async def started(pod: SshPod | PodConfig, transport: Transport | None = None) -> AsyncIterator[Started]:
    """The pod side once it has spoken; by the app's own transport unless there is another."""
    config = pod_config(pod) if isinstance(pod, SshPod) else pod
    link = await start_link(transport or transport_for(config), config.name)
    try:
        yield link
    finally:
        await link.process.close()


async def failure(pod: SshPod | PodConfig, transport: Transport | None = None) -> UnreachableError:
    """What a user is told when `pod` cannot be reached."""
    with pytest.raises(UnreachableError) as caught:
        async with started(pod, transport):
            pass
    return caught.value
