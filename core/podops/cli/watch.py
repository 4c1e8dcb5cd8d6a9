"""`ops watch`: the links of every pod, held for the commands of this user, without the app."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from podops.cli.context import Options, json_option, run_async
from podops.cli.lazy_group import until_ctrl_c
from podops.cli.output import clean, colour_state, iso, json_text, say
from podops.cli.streams import drop_stdout, unwritable
from podops.errors import RefusedActionError

if TYPE_CHECKING:
    import asyncio

    from podops.config.model import ProjectConfig
    from podops.fleet.fleet import Fleet
    from podops.fleet.snapshot import PodSnapshot


@click.command()
@json_option
@click.pass_obj
def watch(options: Options) -> int:
    """Hold a link to every pod for other commands.

    They need none of their own then, and what the pods tell is remembered. Prints each change of a pod's state; with
    --json one object a line. Goes on until ctrl-c or SIGTERM.
    """
    with until_ctrl_c():
        return run_async(_watch(options, options.project()))


async def _watch(options: Options, config: ProjectConfig) -> int:
    import asyncio

    from podops.fleet.fleet import Fleet
    from podops.history.keep import history_of

    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    history = history_of(config, os.environ, say)
    fleet = Fleet(config, connect_timeout=options.timeout_s, memory=history)
    try:
        await fleet.recall()
        await _hold(options, config, fleet, ended)
    finally:
        if history is not None:
            history.close()
    return 0


async def _hold(options: Options, config: ProjectConfig, fleet: Fleet, ended: asyncio.Event) -> None:
    import asyncio

    from podops.cli.passphrase import settled
    from podops.history.collect import ends_collected
    from podops.sharing.holder import HeldElsewhere, Holder

    holder = Holder(fleet, config, os.environ, "ops watch")
    try:
        await holder.start()
    except HeldElsewhere:
        message = "another process holds the links of this project already"
        raise RefusedActionError(message, "commands use those of the app, or of the other `ops watch`") from None
    except OSError as error:
        hint = "links are shared through a socket there; OPS_STATE_DIR names another folder"
        raise RefusedActionError(f"{holder.path}: {error.strerror or error}", hint) from None
    try:
        async with fleet:
            say(f"holding the links of {len(fleet.snapshot.pods)} pods for other commands; ctrl-c ends it")
            stop = _tell_changes(options, fleet)
            asking = asyncio.create_task(settled(fleet, options.timeout_s))
            try:
                async with ends_collected(fleet):
                    await ended.wait()
            finally:
                stop()
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
    finally:
        await holder.stop()


def _tell_changes(options: Options, fleet: Fleet) -> Callable[[], None]:
    told: dict[str, tuple[str, str]] = {}

    def changed(pods: frozenset[str]) -> None:
        for name in sorted(pods):
            seen = fleet.snapshot.pods.get(name)
            if seen is not None and told.get(name) != (seen.state, seen.reason):
                told[name] = (seen.state, seen.reason)
                try:
                    click.echo(_line(seen, options.json))
                except BrokenPipeError:
                    drop_stdout()  # nobody reads along any more; the links are still there for others
                except OSError as error:
                    say(f"{unwritable(error).message}; the links are still there for other commands")

    return fleet.subscribe(changed)


def _line(pod: PodSnapshot, as_json: bool) -> str:
    now = time.time()
    if as_json:
        return json_text({"time": iso(now), "pod": pod.name, "state": pod.state, "reason": pod.reason})
    why = f"  {pod.reason}" if pod.reason else ""
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    return f"{clock}  {pod.name}  {colour_state(pod.state)}{clean(why)}"
