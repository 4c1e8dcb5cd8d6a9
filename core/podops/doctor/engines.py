"""The engines that containers run on: what each calls itself, or why it cannot be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterable

from podops.config.model import PodConfig
from podops.doctor.check import Check
from podops.errors import UnreachableError
from podops.transport.docker import DockerTransport


async def engine_checks(
    pods: Iterable[PodConfig], live: Container[str], patience_s: float, left_s: float
) -> list[Check]:
    """One check for each engine that one of `pods` names.

    One that carries a `live` pod may take `patience_s`, any other `left_s`: the pod has waited for it already.
    """
    engines: dict[str | None, PodConfig] = {}
    for pod in sorted(pods, key=lambda pod: pod.name in live):
        engines[pod.docker_host] = pod
    asked = (_engine(pod, patience_s if pod.name in live else left_s) for pod in engines.values())
    return list(await asyncio.gather(*asked))


async def _engine(pod: PodConfig, patience_s: float) -> Check:
    where = pod.docker_host or "where the docker command looks"
    try:
        async with asyncio.timeout(patience_s):
            told = await DockerTransport(pod).version()
    except UnreachableError as error:
        return Check("fail", "this machine", "engine", error.message, error.hint)
    except TimeoutError:
        return Check("fail", "this machine", "engine", f"did not answer in time, {where}", "is its host well?")
    return Check("ok", "this machine", "engine", f"{told}, {where}")
