"""`ops pod up`."""

from __future__ import annotations

import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from podops.cli.context import Options, json_option, run_async
from podops.cli.output import clean, duration, iso, print_json, say
from podops.cli.project_names import complete_providers
from podops.cli.question import confirmed
from podops.errors import NotFoundError, PodopsError, RefusedActionError, SourceError, UnreachableError, UsageError

if TYPE_CHECKING:
    from podops.config.model import PodConfig, ProjectConfig, ProvisionConfig
    from podops.provision.order import Order

#: How long the provider is asked, after an interruption, whether the pod exists, seconds.
_LOOK_S = 10.0


def _complete_inputs(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    from podops.cli.project_names import inputs_of

    return inputs_of(context, str(context.params.get("provider") or ""), incomplete)


@click.command("up")
@click.argument("provider", shell_complete=complete_providers)
@click.argument("inputs", metavar="[INPUT=VALUE]...", nargs=-1, shell_complete=_complete_inputs)
@click.option("--name", metavar="NAME", help="What to call it; without it, a name is made up.")
@click.option("--ttl", metavar="DURATION", help="How long it lives, such as 6h; without it, the project file's.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Return as soon as the provider tells of it; no bootstrap is run.")
@click.option("--dry-run", is_flag=True, help="Show the command and the price, and do nothing.")
@json_option
@click.pass_obj
def up(
    options: Options,
    provider: str,
    inputs: tuple[str, ...],
    name: str | None,
    ttl: str | None,
    yes: bool,
    no_wait: bool,
    dry_run: bool,
) -> int:
    """Make a pod at a provider, and wait until it answers.

    PROVIDER is one of `provision:`. Shows the command and the price, and asks; in the end runs the pod's bootstrap. The
    time to live is passed to the provider, which ends the pod by itself. Interrupted, it says what exists and how to
    remove it.

    \b
      ops pod up lium gpu=H100 --ttl 6h
    """
    from podops.provision.order import make_order

    config = options.project()
    chosen = _provider(config, provider)
    order = make_order(chosen, name, inputs, _ttl(chosen, ttl))
    if order.name in config.pods and config.pods[order.name].gone_since is None:
        raise RefusedActionError(f"there is a pod {order.name} already", "choose another --name")
    if not yes and not dry_run and not sys.stdin.isatty():
        raise UsageError("making a pod costs money, so it asks first, and there is no terminal", "add --yes")
    price, pod = run_async(_made(config, order, ask=not yes, dry_run=dry_run, wait=not no_wait))
    if options.json:
        print_json(_told(order, pod, price))
    elif pod is not None:
        click.echo(pod.name)
    return 0


def _provider(config: ProjectConfig, name: str) -> ProvisionConfig:
    from podops.config.reader import nearest

    if name not in config.provision:
        hint = nearest(name, config.provision) if config.provision else "add one under `provision:`; see docs/pods.md"
        raise NotFoundError(f"there is no provision {name!r}", hint)
    return config.provision[name]


def _ttl(provider: ProvisionConfig, text: str | None) -> float | None:
    """The time to live in seconds. Raises `UsageError` for one that the provider would not hear of."""
    from podops.config.units import parse_duration

    if text is None:
        return provider.ttl_s
    try:
        ttl = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--ttl: {error}") from None
    if (ttl is None) != (provider.ttl_s is None):
        said = "its pods live until they are removed" if ttl else "its pods always have a ttl"
        raise UsageError(f"provision {provider.name} has `ttl: {'none' if ttl else 'some time'}`: {said}")
    return ttl


def _told(order: Order, pod: PodConfig | None, price: float | None) -> dict[str, Any]:
    ends = None if order.ttl_s is None else time.time() + order.ttl_s
    name = pod.name if pod else order.name
    told = {"ok": True, "name": name, "provider": order.provider.name, "made": pod is not None}
    money = {"price_per_hour": price, "ttl_s": order.ttl_s, "ends_at": iso(ends)}
    return told | money | {"address": pod.address if pod else None, "command": shlex.join(order.words)}


async def _made(
    config: ProjectConfig, order: Order, *, ask: bool, dry_run: bool, wait: bool
) -> tuple[float | None, PodConfig | None]:
    """What it costs for an hour, and the pod unless nothing was to be made."""
    price = await order.price_per_hour()
    say(f"command  {shlex.join(order.words)}")
    say(f"price    {price_text(price, order.ttl_s)}")
    if dry_run:
        return price, None
    if ask and not await confirmed(f"Make pod {order.name} at {order.provider.name}?"):
        raise RefusedActionError("nothing was made")
    return price, await _followed(config, order, wait)


def price_text(price: float | None, ttl_s: float | None) -> str:
    """What it costs an hour, and in all: `$2.49/h, at most $29.88 for 12h00m`."""
    hours = "not known" if price is None else f"${price:.2f}/h"
    if ttl_s is None:
        return f"{hours}, until it is removed"
    lives = f"for {duration(ttl_s)}"
    return f"{hours}; it lives {lives}" if price is None else f"{hours}, at most ${price * ttl_s / 3600:.2f} {lives}"


async def _followed(config: ProjectConfig, order: Order, wait: bool) -> PodConfig:
    """Make it and see it to its end; whatever goes wrong on the way, say what exists."""
    import asyncio

    from podops.provision import up as steps

    began = time.time()
    try:
        pod = await steps.up(config, order, say)
        say(f"{pod.name} is there: {pod.address}")
        if wait:
            await steps.answers(config, pod, order.provider.ready_timeout_s, say)
            if order.provider.bootstrap:
                say(f"{pod.name}: bootstrap")
                await steps.bootstrap(pod, order.provider.bootstrap, lambda line: say(f"  {line}"))
        say(f"pod {pod.name} is ready{_ending(order)}" if wait else f"remove it with: ops pod rm {pod.name}")
        return pod
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()  # a second ctrl-c still ends everything
        await _what_exists(config, order, began)
        raise
    except TimeoutError:
        await _what_exists(config, order, began)
        within = duration(order.provider.ready_timeout_s)
        raise UnreachableError(f"{order.provider.source} did not tell how to reach it within {within}") from None
    except PodopsError:
        await _what_exists(config, order, began)
        raise


async def _what_exists(config: ProjectConfig, order: Order, began: float) -> None:
    """Say whether the pod that was ordered since `began` is there, and how it ends."""
    import asyncio
    import contextlib

    from podops.provision import made
    from podops.provision.rm import rm_words
    from podops.provision.up import here, listed, source_of

    ordered = [one for one in made.recall(config).values() if one.provider == order.provider.name]
    newest = max(ordered, key=lambda one: one.made_at, default=None)
    if newest is None or newest.made_at < began:
        say("nothing was ordered")
        return
    pod, told, remove = None, f"may exist: {order.provider.source} does not tell", "remove it with"
    with contextlib.suppress(SourceError, TimeoutError):
        async with asyncio.timeout(_LOOK_S):
            answer = await listed(config, source_of(config, order.provider))
        pod, told = here(answer).get(newest.name), f"exists at {order.provider.source}"
        if pod is None and newest.name not in answer.without_way:
            told, remove = f"is not told of by {order.provider.source}", "should it come after all, remove it with"
    say(f"pod {newest.name} {told}")
    by_hand = ""
    with contextlib.suppress(SourceError):
        by_hand = f"   (or: {shlex.join(rm_words(config, order.provider, newest.name, pod, newest))})"
    say(f"{remove}: ops pod rm {newest.name}{by_hand}{_ending(order)}")


def _ending(order: Order) -> str:
    return "" if order.ttl_s is None else f"; it ends by itself after {clean(duration(order.ttl_s))}"
