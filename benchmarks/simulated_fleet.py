"""`python -m benchmarks.simulated_fleet PODS… [--how HOW]`: fleets that do not fit on a desk.

The pods are simulated (`benchmarks.simulated_pods`), and every figure says so; links, fleet and app are real. Each
number of pods has a process of its own, which prints one line of JSON. On a terminal the app is shown on it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.lateness import lateness, share
from benchmarks.simulated_pods import SimulatedTransport, Traffic, simulated_config
from podops.fleet.fleet import Fleet

#: Between the moment every pod is live and the measuring, seconds.
_SETTLE_S = 3.0

#: How long the pods together may take to become live, seconds.
_LIVE_S = 180.0


def simulated_fleet(pods: int, traffic: Traffic) -> Fleet:
    return Fleet(simulated_config(pods), connect_timeout=_LIVE_S, choose=lambda pod: SimulatedTransport(pod, traffic))


async def _read_log(fleet: Fleet, pod: str, run_id: str) -> None:
    async with fleet.follow(pod, run_id) as log:
        async for chunk in log:
            log.ack(chunk.offset + len(chunk.data))


@asynccontextmanager
async def _logs_followed(fleet: Fleet) -> AsyncIterator[None]:
    """Within it one log of every pod is read."""
    some = [(pod.name, next(iter(pod.runs))) for pod in fleet.snapshot.pods.values() if pod.runs]
    reading = [asyncio.create_task(_read_log(fleet, pod, run_id)) for pod, run_id in some]
    try:
        yield
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def measured(fleet: Fleet, traffic: Traffic, seconds: float, begun: float, every_log: bool) -> dict[str, Any]:
    """What the process costs while every pod is live. `begun`: monotonic time at which connecting began."""
    await fleet.settled(_LIVE_S)
    live = sum(pod.state == "live" for pod in fleet.snapshot.pods.values())
    live_after = {"live": live, "all_live_s": round(time.monotonic() - begun, 2)}
    async with _logs_followed(fleet) if every_log else nullcontext():
        await asyncio.sleep(_SETTLE_S)
        return live_after | await _cost(fleet, traffic, seconds)


async def _cost(fleet: Fleet, traffic: Traffic, seconds: float) -> dict[str, Any]:
    """What the process costs for so long."""
    said, lines, simulator = traffic.said, traffic.lines, traffic.spent
    spent, at = time.process_time(), time.monotonic()
    late = await lateness(seconds)
    took = time.monotonic() - at
    return {
        "simulated_pods": len(fleet.snapshot.pods),
        "live_at_the_end": sum(pod.state == "live" for pod in fleet.snapshot.pods.values()),
        "why_not": next((pod.reason for pod in fleet.snapshot.pods.values() if pod.state != "live"), ""),
        "cpu_percent": round(100 * (time.process_time() - spent - (traffic.spent - simulator)) / took, 1),
        "cpu_percent_of_the_simulation": round(100 * (traffic.spent - simulator) / took, 1),
        "lines_per_s": round((traffic.lines - lines) / took),
        "heard_kib_per_s": round((traffic.said - said) / took / 1024, 1),
        "late_ms_median": round(share(late.by_the_clock, 0.5), 1),
        "late_ms_p99": round(share(late.by_the_clock, 0.99), 1),
        "late_ms_max": round(late.by_the_clock[-1], 1),
        "late_by_own_work_ms_p99": round(share(late.by_own_work, 0.99), 1),
        "late_by_own_work_ms_max": round(late.by_own_work[-1], 1),
        "callbacks_per_s": round(len(late.callbacks) / took),
        "longest_callback_ms": round(late.callbacks[-1], 1),
        "rss_mib": round(_rss_mib(), 1),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "tasks": len(asyncio.all_tasks()),
        "descriptors": _descriptors(),
    }


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def _links_alone(fleet: Fleet, measure: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    async with fleet:
        return await measure()


async def _app_headless(fleet: Fleet, measure: Callable[[], Awaitable[dict[str, Any]]], blur: bool) -> dict[str, Any]:
    from textual.events import AppBlur

    from podops_tui.app import OpsApp

    app = OpsApp(fleet.config, fleet=fleet)
    async with app.run_test(size=(200, 60)):
        if blur:
            app.post_message(AppBlur())
        return await measure()


def _app_on_the_terminal(fleet: Fleet, measure: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    from podops_tui.app import OpsApp

    found: dict[str, Any] = {}

    async def measuring(_: Fleet) -> None:
        found.update(await measure())
        app.exit()

    app = OpsApp(fleet.config, fleet=fleet, on_start=measuring)
    app.run()
    return found


def one(pods: int, seconds: float, how: str, lines_per_s: float = 20.0, every_log: bool = False) -> dict[str, Any]:
    traffic = Traffic(lines_per_s)
    fleet = simulated_fleet(pods, traffic)
    begun = time.monotonic()

    async def measure() -> dict[str, Any]:
        return await measured(fleet, traffic, seconds, begun, every_log)

    if how == "links":
        return asyncio.run(_links_alone(fleet, measure))
    if how == "terminal":
        return _app_on_the_terminal(fleet, measure)
    return asyncio.run(_app_headless(fleet, measure, how == "blurred"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pods", nargs="+", type=int)
    parser.add_argument("--seconds", type=float, default=10.0)
    ways = ("terminal", "headless", "blurred", "links")
    parser.add_argument("--how", choices=ways, default="headless", help="the app there, blurred, or the links alone")
    parser.add_argument("--lines", type=float, default=20.0, help="by which each log that is followed grows a second")
    parser.add_argument("--every-log", action="store_true", help="follow one log of every pod, not only that on screen")
    parser.add_argument("--file", type=Path, help="write the figures here instead, for an app on the terminal")
    given = parser.parse_args()
    if len(given.pods) > 1:
        for pods in given.pods:
            words = [str(pods), "--seconds", str(given.seconds), "--how", given.how, "--lines", str(given.lines)]
            words += ["--every-log"] if given.every_log else []
            subprocess.run([sys.executable, "-m", "benchmarks.simulated_fleet", *words], check=True)
        return 0
    found = one(given.pods[0], given.seconds, given.how, given.lines, given.every_log)
    told = json.dumps({"how": given.how, **found}) + "\n"
    if given.file is not None:
        given.file.write_text(told)
    else:
        sys.stdout.write(told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
