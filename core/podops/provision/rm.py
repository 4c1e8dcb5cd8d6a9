"""Removing a pod at its provider."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable

from podops.config.model import PodConfig, PodSource, ProjectConfig, ProvisionConfig
from podops.errors import NotFoundError, RefusedActionError, SourceError
from podops.provision.made import Made, forget
from podops.provision.order import fill
from podops.provision.up import here, listed, source_of
from podops.sources.answers import SourceAnswer, recall
from podops.sources.program import run_program

#: How often and how long the provider is asked whether it is gone, seconds.
_ASK_S, _WITHIN_S = 2.0, 30.0


def provider_of(
    config: ProjectConfig, name: str, made: dict[str, Made], chosen: str | None
) -> tuple[ProvisionConfig, PodConfig | None]:
    """Who can remove pod `name`, and what is known of it. Raises `NotFoundError` and `RefusedActionError`."""
    pod = config.pods.get(name)
    if pod is not None and not pod.source:
        told = f"pod {name} stands in the project file; only what a provider made is removed"
        raise RefusedActionError(told, "take it out of the file instead")
    if chosen is not None:
        if chosen not in config.provision:
            there = ", ".join(config.provision) or "none"
            raise NotFoundError(f"there is no provision {chosen!r}", f"there are: {there}")
        return config.provision[chosen], pod
    if name in made and made[name].provider in config.provision:
        return config.provision[made[name].provider], pod
    fitting = [one for one in config.provision.values() if pod is not None and one.source == pod.source]
    if len(fitting) == 1:
        return fitting[0], pod
    if pod is None:
        raise NotFoundError(f"no provider tells of a pod {name!r}, and none was made here", "see `ops pod list`")
    names = ", ".join(one.name for one in fitting)
    hint = f"name one with --provider: {names}" if names else "add one under `provision:` with this source"
    raise NotFoundError(f"pod {name} comes from {pod.source}; which provision removes it is not clear", hint)


def rm_words(
    config: ProjectConfig, provider: ProvisionConfig, name: str, pod: PodConfig | None, made: Made | None
) -> list[str]:
    """The command that removes it. Raises `SourceError` when what it needs is not known."""
    number = pod.source_id if pod is not None else None
    if "{id}" in " ".join(provider.rm) and not number:
        raise _no_id(config, provider, name, pod)
    values = {key: one.default for key, one in provider.inputs.items()} | dict(made.values if made else {})
    return fill(provider.rm, provider.inputs, values, {"name": name, "id": number or name})


def _no_id(config: ProjectConfig, provider: ProvisionConfig, name: str, pod: PodConfig | None) -> SourceError:
    """Why it is not known what its provider calls pod `name`."""
    source = source_of(config, provider)
    told = f"what {source.name} calls pod {name} is not known"
    if "id" not in source.fields:
        return SourceError(told, "map `id` in its pod source")
    if pod is not None:
        return SourceError(f"{told}: its `id` finds nothing", "correct `id` in its pod source")
    answer = recall(config).get(source.name, SourceAnswer(source.name))
    if answer.problem:
        return SourceError(f"{told}: {answer.problem}", answer.hint)
    if name in answer.without_way:
        return SourceError(f"{told} before it tells how to reach it", "try again later, or remove it there")
    return SourceError(f"{source.name} lists no pod {name}, so there is none to remove", "see `ops pod list`")


async def remove(
    config: ProjectConfig, provider: ProvisionConfig, name: str, words: list[str], tell: Callable[[str], None]
) -> None:
    """Have the provider remove the pod, and make sure that it tells of it no more. Raises `SourceError`."""
    done = await run_program(words, provider.timeout_s, tell, acts=True)
    if done.status != 0:
        told = f"{words[0]} ended with status {done.status}: {done.last_words}"
        raise SourceError(told, f"pod {name} may still be there: {shlex.join(words)}")
    await _gone(config, source_of(config, provider), name, tell)
    await asyncio.to_thread(forget, config, name)


async def _gone(config: ProjectConfig, source: PodSource, name: str, tell: Callable[[str], None]) -> None:
    """Return once `source` tells of the pod no more. Raises `SourceError` when it does, or does not say."""
    until = time.monotonic() + _WITHIN_S
    failed: SourceError | None = None
    while True:
        try:
            answer = await listed(config, source)
            if name not in here(answer) and name not in answer.without_way:
                return
            failed = None
        except SourceError as error:
            if failed is None:
                tell(f"{source.name} has taken the removal; whether the pod is gone is asked again: {error.message}")
            failed = error
        if time.monotonic() + _ASK_S > until:
            break
        await asyncio.sleep(_ASK_S)
    if failed is None:
        told = f"{source.name} has accepted the removal of pod {name}, and still tells of it"
        raise SourceError(told, "look again with `ops pod list`; it may cost money")
    told = (
        f"{source.name} has accepted the removal of pod {name}; whether it is gone could not be seen: {failed.message}"
    )
    first = f"{failed.hint}; then " if failed.hint else ""
    raise SourceError(told, f"{first}look with `ops pod list`: until it is gone it may cost money")
