"""The kernel kills for memory, as it does in a container with a limit: real cgroups, real kills."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.fault_pod import FaultPod, eventually, read
from tests.faults.invariants import check

LIMIT = 96 * 1024 * 1024

HOG = f"exec {sys.executable} -I -S -c \"hoard = [b'x' * (1 << 20) for _ in range(1024)]\""


@pytest.fixture
def limited(pod: FaultPod, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultPod]:
    """The pod, each of its processes in a cgroup that may use 96 MiB."""
    group, limit = _cgroup()
    try:
        group.mkdir()
        (group / limit).write_text(str(LIMIT))
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"no memory limit can be set here: {error}")
    python = pod.root / "python"
    python.write_text(f'#!/bin/sh\necho $$ > {group}/cgroup.procs\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    yield pod
    pod.end()
    eventually(lambda: not (group / "cgroup.procs").read_text(), "the end of all in the cgroup")
    group.rmdir()


def _cgroup() -> tuple[Path, str]:
    """A cgroup below our own, and the name of its limit; skips where there is no memory controller."""
    name = f"podops-test-{uuid4().hex[:8]}"
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            return Path(f"/sys/fs/cgroup/memory{path}") / name, "memory.limit_in_bytes"
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return Path("/sys/fs/cgroup") / name, "memory.max"
    pytest.skip("there is no memory cgroup on this machine")


def test_a_run_killed_for_memory_says_so(limited: FaultPod) -> None:
    run = limited.submit(line=HOG)
    summary = limited.summary(run)
    assert (summary["state"], summary["reason"]) == ("failed", "oom_host")
    assert summary["evidence"]["source"] == "cgroup"
    assert summary["evidence"]["oom_kills"] >= 1
    check(limited)


def test_a_run_is_not_blamed_for_a_kill_for_memory_in_the_attempt_of_another(limited: FaultPod) -> None:
    bystander = limited.started()
    hog = limited.submit(line=HOG)
    assert limited.summary(hog)["reason"] == "oom_host"
    limited.finish(bystander, 5)
    summary = limited.summary(bystander)
    assert (summary["reason"], summary["exit_code"]) == ("nonzero_exit", 5)
    check(limited)


def test_a_run_killed_for_memory_is_tried_again_where_the_preset_says_so(limited: FaultPod) -> None:
    line = f'[ "$OPS_ATTEMPT" = 2 ] && exit 0; {HOG}'
    retries = {"max": 1, "on": ["oom_host"], "backoff_s": 0.1}
    run = limited.submit(line=line, policies={"grace_s": 0.5, "retries": retries})
    assert (limited.summary(run)["ok"], read(run.summary)["attempts"]) == (True, 2)
    check(limited)
