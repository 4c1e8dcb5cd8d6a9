"""`ops pod rm`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from podops.cli.context import Options, json_option, open_fleet, run_async
from podops.cli.output import ago, print_json, say
from podops.cli.project_names import complete_pods, complete_providers
from podops.cli.question import confirmed
from podops.errors import RefusedActionError, UsageError

if TYPE_CHECKING:
    from podops.config.model import PodConfig


@click.command("rm")
@click.argument("names", metavar="POD...", nargs=-1, required=True, shell_complete=complete_pods)
@click.option("--provider", metavar="NAME", shell_complete=complete_providers, help="Which `provision` removes it.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def rm(options: Options, names: tuple[str, ...], provider: str | None, yes: bool) -> int:
    """Remove pods at their provider.

    Names the runs that are still on them, and asks. Only pods that a provider made are removed; what is known of them
    stays in the history.
    """
    if not yes and not sys.stdin.isatty():
        told = "removing a pod ends everything on it, so it asks first, and there is no terminal"
        raise UsageError(told, "add --yes")
    for name in names:
        run_async(_removed(options, name, provider, yes))
    if options.json:
        print_json({"ok": True, "removed": list(names)})
    return 0


async def _removed(options: Options, name: str, chosen: str | None, yes: bool) -> None:
    import asyncio

    from podops.provision import made
    from podops.provision.rm import provider_of, remove, rm_words

    config = await asyncio.to_thread(options.project, name)
    noted = made.recall(config)
    provider, pod = provider_of(config, name, noted, chosen)
    words = rm_words(config, provider, name, pod, noted.get(name))
    await _tell_runs(options, pod)
    say(f"command  {shlex.join(words)}")
    if not yes and not await confirmed(f"Remove pod {name} at {provider.source}, with everything on it?"):
        raise RefusedActionError("nothing was removed")
    await remove(config, provider, name, words, say)
    say(f"pod {name} is removed")


async def _tell_runs(options: Options, pod: PodConfig | None) -> None:
    """The runs on the pod that have not ended, as it tells them now or as it told them last."""
    if pod is None or pod.gone_since is not None:
        return
    async with open_fleet(options, [pod.name]) as fleet:
        await fleet.recall()
        seen = fleet.snapshot.pods[pod.name]
    if seen.state != "live":
        known = f"; what is known is from {ago(seen.as_of)}" if seen.as_of else ", and its runs are not known"
        say(f"pod {pod.name} does not answer ({seen.reason}){known}")
    alive = [run for run in seen.runs.values() if not run.ended]
    for run in alive:
        say(f"  {run.run_id}  {run.state}  {run.preset}")
    if alive:
        say(f"not ended on {pod.name}: {len(alive)} run{'' if len(alive) == 1 else 's'}")
