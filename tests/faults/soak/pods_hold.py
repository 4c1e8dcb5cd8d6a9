"""What the pods hold after a soak: processes, tmux sessions and files that nobody needs any more must be gone."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from podops_runners import answers
from tests.faults.soak.soaked_fleet import SoakedPod
from tests.pods.loopback import agent_socket, link_processes

#: How many records, locks and the like a machine's own directory may hold; each has one name.
_MOST_FILES = 24

#: One file for each outputs root.
_OF_A_ROOT = re.compile(r"(claims|queue)-[0-9a-f]{8}\.lock")
#: One for each run that is at work.
_OF_A_RUN = re.compile(r"at-work-[0-9a-f]{8}\.json")

#: What an agent, and a link, may have open: its pipes, locks, watches and the volume.
_MOST_DESCRIPTORS = 24


@dataclass(frozen=True)
class PodHolds:
    links: int
    answers: int
    files: frozenset[str]
    #: Of the agent and the link: the most descriptors, and the memory of the larger one.
    descriptors: int
    rss_mib: float
    #: Of the agent's own tmux server.
    sessions: int

    @classmethod
    def of(cls, pod: SoakedPod) -> PodHolds:
        state = pod.server.root / "state"
        links, agent = link_processes(pod.server.home), pod.agent()
        ours = [*links, *([agent] if agent else [])]
        return cls(
            len(links),
            sum(1 for _ in (state / "answers").iterdir()),
            frozenset(file.name for file in state.iterdir()),
            max(map(_descriptors, ours), default=0),
            max(map(_rss_mib, ours), default=0.0),
            sessions(agent_socket(state)),
        )

    def too_much(self) -> list[str]:
        """What should not be there while its one client is connected."""
        odd = [
            name
            for name in sorted(self.files)
            if (name.startswith(".") or any(map(str.isdigit, name)))
            and not _OF_A_ROOT.fullmatch(name)
            and not _OF_A_RUN.fullmatch(name)
        ]
        found = [f"{name} in its machine's directory" for name in odd]
        at_work = sum(bool(_OF_A_RUN.fullmatch(name)) for name in self.files)
        if at_work > 1:
            found.append(f"{at_work} runs at work, and only the one that is followed should be")
        if len(self.files) > _MOST_FILES:
            found.append(f"{len(self.files)} files in its machine's directory")
        if self.links != 1 or self.sessions > 1:
            found.append(f"{self.links} links, {self.sessions} sessions of agents")
        if self.answers > answers.KEEP or self.descriptors > _MOST_DESCRIPTORS:
            found.append(f"{self.answers} answers, {self.descriptors} descriptors in one process")
        return found


async def settled(pods: list[SoakedPod], seconds: float = 60.0) -> list[PodHolds]:
    """What each pod holds once none holds too much; a link that was forgotten ends by its dead man."""
    deadline = time.monotonic() + seconds
    while True:
        held = [await asyncio.to_thread(PodHolds.of, pod) for pod in pods]
        odd = {pod.name: one.too_much() for pod, one in zip(pods, held, strict=True) if one.too_much()}
        if not odd:
            return held
        assert time.monotonic() < deadline, odd
        await asyncio.sleep(1.0)


def sessions(socket: str) -> int:
    """How many sessions the tmux server on `socket` has."""
    listed = subprocess.run(["tmux", "-L", socket, "list-sessions"], capture_output=True, text=True)
    return listed.stdout.count("\n")


def _descriptors(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


def _rss_mib(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0
