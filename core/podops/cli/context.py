"""What every command shares: the options that stand before it, the project, and a fleet that is open while it works."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from podops.cli.hasten import hasten
from podops.errors import NotFoundError, UnreachableError, UsageError

if TYPE_CHECKING:
    from podops.config.model import ProjectConfig
    from podops.fleet.fleet import Fleet
    from podops.fleet.snapshot import PodSnapshot, RunSnapshot
    from podops.history.history import History

#: A command about a run does not wait for a provider to say again what it said less than so many seconds ago.
_OLD_S = 600.0

#: A pod whose time is up needs this long at most to say so, seconds.
_TOLD_S = 1.5

#: Where a source has taken all the time there was, pods are given so long, seconds.
_LEAST_S = 1.0

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Options:
    """The global options, wherever on the line they stood."""

    config: Path | None = None
    timeout_s: float = 15.0
    json: bool = False
    #: Whether links of another process of this user may be used.
    share: bool = True
    #: Whether `timeout_s` was asked for.
    timeout_said: bool = False

    def alone(self) -> Options:
        """The same with links of one's own."""
        return replace(self, share=False)

    def project(self, pod: str | None = None) -> ProjectConfig:
        """The project with the pods of its sources as they were told last; asks them when `pod` may be a new one."""
        from podops.config.load import load_project

        config = load_project(path=self.config, environ=os.environ)
        if not config.pod_sources:
            return config
        from podops.sources.answers import ask_all, recall, with_pods

        known = with_pods(config, recall(config))[0]
        if known.pods and (pod is None or pod in known.pods):
            return known
        return with_pods(config, run_async(ask_all(config, self.timeout_s)))[0]


def json_option(command: F) -> F:
    """`--json`, accepted after the command as well as before it."""

    def chosen(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            context.obj = replace(context.obj, json=True)

    option = click.option(
        "--json", is_flag=True, expose_value=False, callback=chosen, help="Print one JSON document on standard output."
    )
    return option(command)


def run_async(work: Awaitable[T]) -> T:
    # Here, because a command that only tells its options must not pay for it.
    import asyncio

    async def main() -> T:
        return await work

    return asyncio.run(main())


@asynccontextmanager
async def open_fleet(
    options: Options,
    pods: Sequence[str] | None = None,
    *,
    fresh: bool = False,
    about: Sequence[str] = (),
    changes: bool = False,
    lists: bool = False,
) -> AsyncIterator[Fleet]:
    """The fleet with every pod live or failed once, at the latest after the time limit.

    `fresh`: pod sources are asked as often as they want to be, else only when what they said is old.
    `about`: the runs it is opened for, as typed; once they are found for certain no other pod is waited for.
    `changes`: they will be changed, so that what is not typed in full is looked for on every pod.
    `lists`: what there is is shown to a person; pods that have just been silent are given a moment only.
    """
    asked = open_remembering(options, pods, fresh=fresh, about=about, changes=changes, lists=lists)
    async with asked as (fleet, _):
        yield fleet


@asynccontextmanager
async def open_remembering(
    options: Options,
    pods: Sequence[str] | None = None,
    *,
    fresh: bool = False,
    about: Sequence[str] = (),
    changes: bool = False,
    lists: bool = False,
) -> AsyncIterator[tuple[Fleet, History | None]]:
    """Likewise, with the history that all this is noted in, unless none is kept."""
    key = hasten(options.config, options.share, pods, os.environ)

    import asyncio

    from podops.cli.lately_silent import LatelySilent
    from podops.cli.output import say
    from podops.cli.passphrase import settled
    from podops.cli.sought import found
    from podops.cli.waiting import told_waiting
    from podops.fleet.fleet import Fleet
    from podops.history.keep import history_of
    from podops.sharing.shared_pod import SharedLinks
    from podops.transport.choose import transport_for_a_command

    begun = time.monotonic()
    # Not in this loop: sources may have to be asked for a pod by that name.
    config = await asyncio.to_thread(options.project, pods[0] if pods else None)
    # In whole seconds, as it is told in these.
    patience = max(min(_LEAST_S, options.timeout_s), options.timeout_s - int(time.monotonic() - begun))
    history = history_of(config, os.environ, say)
    sharer = SharedLinks(config, os.environ).open if options.share else None
    waits = {"connect_timeout": patience, "answer_timeout": patience, "source_age": 0.0 if fresh else _OLD_S}
    lately = LatelySilent(key, config, os.environ)
    hurries = lists and not options.json and not options.timeout_said and sys.stdout.isatty()
    try:
        choose = transport_for_a_command(len(config.pods if pods is None else pods))
        async with Fleet(config, pods=pods, **waits, memory=history, sharer=sharer, choose=choose) as fleet:
            enough = partial(found, fleet, history, about, changes) if about else None
            if hurries and lately.names():
                enough = partial(lately.others_told, fleet)
            with told_waiting(fleet, patience), lately.noted(fleet, patience):
                await settled(fleet, patience + _TOLD_S, enough)
            yield fleet, history
    finally:
        if history is not None:
            history.close()
        if key is not None:
            from podops.transport import early

            early.end()
            early.remember(key, os.environ)


def unreachable(fleet: Fleet) -> list[PodSnapshot]:
    """Pods whose runs are not known now, each with the reason; one that is gone only where there are no others."""
    every = fleet.snapshot.pods.values()
    pods = [pod for pod in every if pod.state != "gone"] or every
    hung = "it answers, but did not list its runs in time; does its volume hang?"
    return [
        replace(pod, reason=pod.unlisted or hung) if pod.state == "live" else pod
        for pod in pods
        if pod.state != "live" or pod.unlisted or not pod.listed
    ]


def none_answers(pods: Iterable[PodSnapshot], silent: Sequence[PodSnapshot]) -> bool:
    """Whether all of `pods`, some of which are `silent`, have runs that are not known now."""
    names = {pod.name for pod in silent}
    return bool(silent) and all(pod.name in names or pod.state == "gone" for pod in pods)


def tell_unreachable(pods: Sequence[PodSnapshot]) -> list[dict[str, str]]:
    """Say why each of them does not answer, and each thing to do about it once; the same for a JSON document."""
    from podops.cli.output import say, say_hint

    hints: set[str] = set()
    for pod in pods:
        say(f"pod {pod.name} is {pod.state}: {pod.reason or 'no answer yet'}")
        if pod.hint not in hints:
            say_hint(pod.hint, "  ")
        hints.add(pod.hint)
    return [{"name": pod.name, "state": pod.state, "reason": pod.reason, "hint": pod.hint} for pod in pods]


def find_run(fleet: Fleet, text: str, *, beyond_doubt: bool = False) -> RunSnapshot:
    """The run named `text`, in full or by a unique prefix.

    Raises `NotFoundError`; `UnreachableError` when a pod that does not answer may have it, `beyond_doubt` also when
    that may only make a prefix ambiguous; `UsageError` for a prefix of several.
    """
    from podops.fleet.find_run import named

    found = named(fleet.snapshot.told().runs(), text)
    if len(found) == 1:
        if beyond_doubt and found[0].run_id != text and (away := unreachable(fleet)):
            names = ", ".join(pod.name for pod in away)
            told = f"{text!r} may name a run of {names} too, and no answer comes from there"
            raise UnreachableError(told, f"write its whole id: {found[0].run_id}")
        return found[0]
    if found:
        names = ", ".join(f"{run.run_id} on {run.pod}" for run in found[:8])
        raise UsageError(f"{text!r} names {len(found)} runs: {names}", "write more of its id, or name the pod")
    silent = unreachable(fleet)
    if silent:
        told = "; ".join(f"{pod.name}: {pod.reason or 'no answer yet'}" for pod in silent)
        hint = "it may be on one that does not; `ops doctor` tells what to do about them"
        cure = hint if len(silent) > 1 else silent[0].hint or "it may be there"
        raise UnreachableError(f"no pod that answers has a run {text!r} ({told})", cure)
    gone = any(pod.state == "gone" for pod in fleet.snapshot.pods.values())
    hint = "see `ops run list --all`, which has the runs of pods that are gone, too" if gone else "see `ops run list`"
    raise NotFoundError(f"there is no run {text!r}", hint)
