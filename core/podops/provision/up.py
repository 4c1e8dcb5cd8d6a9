"""Making a pod: order it, follow until it answers, and run its bootstrap."""

from __future__ import annotations

import asyncio
import base64
import shlex
import time
from collections.abc import Callable
from dataclasses import replace

from podops.config.model import PodConfig, PodSource, ProjectConfig, ProvisionConfig
from podops.errors import PodActionError, SourceError, UnreachableError
from podops.fleet.fleet import Fleet
from podops.provision.made import forget, note
from podops.provision.order import Order
from podops.sources.answers import SourceAnswer, keep, recall
from podops.sources.ask import ask
from podops.sources.program import run_program
from podops.transport.base import PodProcess
from podops.transport.choose import transport_for

#: How often the provider is asked whether the new pod is there, seconds.
ASK_S = 5.0

#: How often a pod that refuses the login is tried again: keys may arrive a moment after the pod, seconds.
_AGAIN_S = 10.0

#: A longer script would not fit into a command line.
MAX_BOOTSTRAP = 64 * 1024

#: Refusals that pass by themselves while a pod starts.
_PASSING = {"auth_refused"}

Tell = Callable[[str], None]


def source_of(config: ProjectConfig, provider: ProvisionConfig) -> PodSource:
    return next(source for source in config.pod_sources if source.name == provider.source)


async def listed(config: ProjectConfig, source: PodSource) -> SourceAnswer:
    """What the provider tells now, kept for others. Raises `SourceError`."""
    asked = time.time()
    mapped = await ask(source)
    answer = recall(config).get(source.name, SourceAnswer(source.name)).after(mapped, source, asked)
    await asyncio.to_thread(keep, config, {source.name: answer})
    return answer


def here(answer: SourceAnswer) -> dict[str, PodConfig]:
    """The pods that are there, by name."""
    return {pod.name: pod for pod in answer.pods if pod.gone_since is None}


async def up(config: ProjectConfig, order: Order, tell: Tell) -> PodConfig:
    """Make the pod and return it once its provider tells how to reach it. Raises `SourceError`.

    It is noted before the provider is asked, and told of under its own name where its provider gives it one.
    """
    source = source_of(config, order.provider)
    before = {*here(first := await listed(config, source)), *first.without_way}
    if order.name in before:
        raise SourceError(f"{source.name} tells of a pod {order.name} already", "choose another --name")
    await asyncio.to_thread(note, config, order)
    done = await run_program(order.words, order.provider.timeout_s, tell, acts=True)
    for line in done.stdout.splitlines()[-20:]:
        tell(line)
    if done.status != 0:
        raise SourceError(f"{order.words[0]} ended with status {done.status}: {done.last_words}", "correct the inputs")
    async with asyncio.timeout(order.provider.ready_timeout_s):
        return await _found(config, source, order, before, tell)


async def _found(config: ProjectConfig, source: PodSource, order: Order, before: set[str], tell: Tell) -> PodConfig:
    """The new pod, once the provider tells of it: by its name, or as the one that was not there before."""
    said = ""
    while True:
        problem = ""
        try:
            answer = await listed(config, source)
            pods = here(answer)
            fresh = [pod for name, pod in pods.items() if name not in before]
            if order.name in pods:
                return pods[order.name]
            if len(fresh) == 1 and "{name}" not in " ".join(order.provider.up):
                await asyncio.to_thread(note, config, order, fresh[0].name)
                await asyncio.to_thread(forget, config, order.name)
                return fresh[0]
            problem = _missing_way(answer, before)
        except SourceError as error:
            problem = error.message
        problem = problem or f"{source.name} does not tell of it yet"
        if problem != said:
            tell(problem)
            said = problem
        await asyncio.sleep(ASK_S)


def _missing_way(answer: SourceAnswer, before: set[str]) -> str:
    """Why a pod that was not there before cannot be reached, as far as its provider tells of it."""
    coming = [name for name in answer.coming if name not in before]
    if coming:
        return f"{answer.name} tells of {coming[0]}, not how to reach it yet"
    refused = tuple(f"pod {name}:" for name in answer.refused if name not in before)
    return next((note for note in answer.notes if refused and note.startswith(refused)), "")


async def answers(config: ProjectConfig, pod: PodConfig, timeout_s: float, tell: Tell) -> None:
    """Return once the pod is live; each change of its state is told. Raises `UnreachableError`."""
    with_it = replace(config, pods={**config.pods, pod.name: pod})
    async with Fleet(with_it, pods=[pod.name]) as fleet:
        changed = asyncio.Event()
        fleet.subscribe(lambda _names: changed.set())
        deadline, said = time.monotonic() + timeout_s, ""
        while True:
            seen = fleet.snapshot.pods[pod.name]
            shown = f"{pod.name}: {seen.state}" + (f", {seen.reason}" if seen.reason else "")
            if shown != said:
                tell(shown)
                said = shown
            if seen.state == "live":
                return
            if time.monotonic() > deadline or (seen.state == "refused" and _lasting(fleet, pod.name)):
                raise UnreachableError(f"pod {pod.name} is {seen.state}: {seen.reason or 'no answer'}", seen.hint)
            changed.clear()
            try:
                async with asyncio.timeout(min(_AGAIN_S, max(0.1, deadline - time.monotonic()))):
                    await changed.wait()
            except TimeoutError:
                fleet.retry(pod.name)


def _lasting(fleet: Fleet, name: str) -> bool:
    return fleet.link(name).error_code not in _PASSING


async def bootstrap(pod: PodConfig, script: str, tell: Tell) -> None:
    """Run `script` on the pod; what it prints is told line by line. Raises `PodActionError`."""
    if len(script.encode()) > MAX_BOOTSTRAP:
        raise PodActionError(f"bootstrap is longer than {MAX_BOOTSTRAP >> 10} KiB", "let it fetch the rest")
    code = base64.b64encode(script.encode()).decode()
    first = script.splitlines()[0] if script else ""
    shell = first[2:].strip() if first.startswith("#!") else "sh"
    steps = (
        f'f=$(mktemp) && printf %s {code} | base64 -d >"$f" && {shell} "$f" 2>&1 </dev/null; s=$?; rm -f "$f"; exit $s'
    )
    process = await transport_for(pod).start(f"exec sh -c {shlex.quote(steps)}")
    try:
        await _lines(process, tell)
        status, said = await process.wait_closed()
    finally:
        await process.close()
    if status != 0:
        how = "the connection was lost" if status is None else f"it ended with status {status}"
        told = f": {said.splitlines()[-1][:300]}" if said else ""
        why = f"the bootstrap of pod {pod.name} failed: {how}{told}"
        raise PodActionError(why, f"look with: ops pod ssh {pod.name}")


async def _lines(process: PodProcess, tell: Tell) -> None:
    rest = b""
    while data := await process.read(65536):
        *whole, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            tell(line.decode("utf-8", "replace"))
    if rest:
        tell(rest.decode("utf-8", "replace"))
