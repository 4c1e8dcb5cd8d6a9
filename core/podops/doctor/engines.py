"""The engines that containers run on: what each calls itself, or why it cannot be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from podops.config.model import PodConfig
from podops.doctor.check import Check
from podops.errors import UnreachableError
from podops.transport.docker import DockerTransport


async def engine_checks(pods: Iterable[PodConfig]) -> list[Check]:
    """One check for each engine that one of `pods` names."""
    engines = {pod.docker_host: pod for pod in pods}
    return list(await asyncio.gather(*(_engine(pod) for pod in engines.values())))


async def _engine(pod: PodConfig) -> Check:
    where = pod.docker_host or "where the docker command looks"
    try:
        told = await DockerTransport(pod).version()
    except UnreachableError as error:
        return Check("fail", "this machine", "engine", error.message, error.hint)
    return Check("ok", "this machine", "engine", f"{told}, {where}")
