"""What a command that goes on and on says when its link breaks, and when it is mended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from podops.cli.output import say

if TYPE_CHECKING:
    from podops.fleet.fleet import Fleet


@contextmanager
def told_breaks(fleet: Fleet, pods: Iterable[str]) -> Iterator[None]:
    """Tell on standard error whenever one of `pods` stops answering, and when it answers again."""
    silent: set[str] = set()

    def look(_: object = None) -> None:
        for name in watched:
            pod = fleet.snapshot.pods[name]
            if pod.state in ("stale", "unreachable", "refused", "gone") and name not in silent:
                silent.add(name)
                then = pod.hint if pod.state == "refused" else "trying again"
                say(f"pod {name} does not answer: {pod.reason}; {then}")
            elif pod.state == "live" and name in silent:
                silent.discard(name)
                say(f"pod {name} answers again")

    watched = list(dict.fromkeys(pods))
    stop = fleet.subscribe(look)
    try:
        yield
    finally:
        stop()
