"""Pods behind networks of their own, and everything a soak does to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from podops.config.model import PodConfig, ProjectConfig
from podops.errors import PodopsError
from podops.fleet.fleet import Fleet
from podops_runners.rundir import RunDir
from tests.faults.fault_pod import FaultPod, forget_identity, kill, read
from tests.faults.invariants import check
from tests.faults.soak.networks import FarNetwork, networks_before
from tests.pods.fleet_config import fleet_config, shows, submit_plan
from tests.pods.loopback import SshPod, free_port, kill_tmux_server, link_processes

#: How long a fault of the network lasts, seconds.
_LASTS_S = (2.0, 15.0)


@dataclass(eq=False)
class SoakedPod:
    """One pod: its sshd, the network before it, its runs."""

    server: SshPod
    network: FarNetwork
    runs: FaultPod
    #: A fault of the network is being lived through.
    busy: bool = False
    #: How much of its first log was read, bytes.
    read: int = 0

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def config(self) -> PodConfig:
        config = str(self.server.ssh_config)
        outputs = str(self.runs.outputs)
        return PodConfig(self.name, ssh=self.server.alias, ssh_config=config, outputs_dir=outputs, simulated_gpus=4)

    @property
    def followed(self) -> str:
        return f"{self.name}-followed"

    @property
    def followed_log(self) -> Path:
        return self.runs.outputs / self.followed / "stdout.log"

    def agent(self) -> int | None:
        record = read(self.server.root / "state" / "agent.json").get("agent")
        return int(record["pid"]) if record else None

    def supervisors(self) -> list[int]:
        """Of runs that have not ended."""
        claims = [read(run.claim) for run in self.every_run() if not self.runs.ended(run)]
        return [int(claim["supervisor"]["pid"]) for claim in claims if claim.get("supervisor")]

    def every_run(self) -> list[RunDir]:
        found = (path for path in self.runs.outputs.iterdir() if (path / "run_spec.json").exists())
        return [RunDir(str(path)) for path in found]


class Soak:
    def __init__(self, pods: list[SoakedPod], socket: str) -> None:
        self.pods = pods
        self.config: ProjectConfig = fleet_config(*(pod.config for pod in pods), tmux_socket=socket)
        #: How often each fault was done, each request was made, and each way it ended.
        self.done: Counter[str] = Counter()
        self._runs = 0
        self._faults: dict[str, Callable[[SoakedPod], object]] = {
            "connections cut": lambda pod: pod.network.reset(),
            "connections forgotten": lambda pod: pod.network.forget(),
            "cable pulled": lambda pod: self._for_a_while(pod, pod.network.stop, pod.network.go),
            "slow and lossy": lambda pod: self._for_a_while(pod, pod.network.slow, pod.network.fast),
            "link killed": lambda pod: _kill_one(link_processes(pod.server.home)),
            "agent killed": lambda pod: _kill_one([pid for pid in [pod.agent()] if pid]),
            "supervisor killed": lambda pod: _kill_one(pod.supervisors()),
        }
        self._lasting: set[asyncio.Task[None]] = set()
        self._ends: dict[str, Callable[[], object]] = {}

    @property
    def faults(self) -> int:
        """How many were done so far."""
        return sum(self.done[name] for name in self._faults)

    async def one_fault(self) -> None:
        pod, name = random.choice(self.pods), random.choice(list(self._faults))
        if not pod.busy and await asyncio.to_thread(self._faults[name], pod) is not False:
            self.done[name] += 1
        if pod.busy:
            mending = asyncio.create_task(self._mend(pod))
            self._lasting.add(mending)
            mending.add_done_callback(self._lasting.discard)

    def _for_a_while(self, pod: SoakedPod, begin: Callable[[], object], end: Callable[[], object]) -> None:
        begin()
        pod.busy = True
        self._ends[pod.name] = end

    async def _mend(self, pod: SoakedPod) -> None:
        end = self._ends.pop(pod.name, None)
        if end is not None:
            await asyncio.sleep(random.uniform(*_LASTS_S))
            await asyncio.to_thread(end)
            pod.busy = False

    async def mended(self) -> None:
        """Wait until no fault lasts any more."""
        await asyncio.gather(*self._lasting)

    async def one_request(self, fleet: Fleet) -> None:
        """Submit a run, or kill one, whether its pod can be reached or not."""
        pod = random.choice(self.pods)
        running = [run.run_id for run in pod.every_run() if run.run_id != pod.followed and not pod.runs.ended(run)]
        try:
            if running and random.random() < 0.25:
                await fleet.kill(pod.name, random.choice(running), grace_s=0.3)
                self.done["kills"] += 1
            else:
                await self.submit(fleet, pod, f"r{self._runs}", f"--every 0.1 --lines {random.randrange(5, 150)}")
                self.done["submits"] += 1
        except PodopsError as error:
            self.done[f"a request ended with `{error.error_code}`"] += 1

    async def submit(self, fleet: Fleet, pod: SoakedPod, run_id: str, options: str) -> None:
        self._runs += 1
        plan = submit_plan(self.config, pod.name, run_id, pod.runs.spec(options)["command_parts"][0])
        plan.spec["gpus"] = {"count": random.choice((1, 1, 2))} if run_id != pod.followed else None
        plan.spec["watch_interval_s"] = 0.3
        await fleet.submit(plan)

    async def follow(self, fleet: Fleet, pod: SoakedPod) -> None:
        """Read the pod's long log to its end, losing nothing; each byte must be the one that stands there."""
        async with fleet.follow(pod.name, pod.followed, offset=0, lossless=True) as stream:
            async for chunk in stream:
                assert chunk.offset == pod.read and not chunk.skipped
                assert chunk.data == _piece(pod.followed_log, pod.read, len(chunk.data))
                pod.read += len(chunk.data)
                stream.ack(pod.read)

    async def all_live(self, fleet: Fleet) -> None:
        for pod in self.pods:
            await shows(fleet, pod.name, lambda seen: seen.state == "live", f"{pod.name} again")

    def check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every invariant of every run that any pod has ever had."""
        for pod in self.pods:
            monkeypatch.setenv("PODOPS_STATE_DIR", str(pod.server.root / "state"))
            forget_identity()
            pod.runs.runs[:] = pod.every_run()
            for run in pod.runs.runs:
                pod.runs.finish(run)
            check(pod.runs)
            assert pod.read == pod.followed_log.stat().st_size, f"{pod.name}: only {pod.read} bytes were read"


def _piece(file: Path, offset: int, length: int) -> bytes:
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def _kill_one(pids: list[int]) -> bool:
    """Whether there was any."""
    if pids:
        kill(random.choice(pids))
    return bool(pids)


@contextlib.asynccontextmanager
async def soaked(root: Path, count: int, socket: str) -> AsyncIterator[Soak]:
    """So many pods; nothing of them is left behind."""
    with contextlib.ExitStack() as stack:
        servers = [_server(root, number, stack) for number in range(count)]
        stack.callback(kill_tmux_server, socket)
        networks = stack.enter_context(networks_before([server.port for server in servers]))
        yield Soak([_behind(*both) for both in zip(servers, networks, strict=True)], socket)


def _server(root: Path, number: int, stack: contextlib.ExitStack) -> SshPod:
    server = SshPod(f"pod{number}", root / f"pod{number}", free_port())
    server.create()
    server.start()
    stack.callback(server.stop)
    return server


def _behind(server: SshPod, network: FarNetwork) -> SoakedPod:
    for file in (server.ssh_config, server.known_hosts):
        file.write_text(file.read_text().replace(str(server.port), str(network.port)))
    runs = FaultPod(server.root)
    runs.create()
    return SoakedPod(server, network, runs)


def told(done: Counter[str]) -> str:
    return json.dumps(dict(sorted(done.items())), indent=1)
