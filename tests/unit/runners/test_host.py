"""The machine as a pod tells it: what is this container's own, where `/proc` tells the host's."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from podops_runners.container import ContainerLimits, CpuLimit, MemoryLimit
from podops_runners.host import HostSampler
from podops_runners.kernel_files import KernelFiles
from podops_runners.network import Traffic, traffic
from podops_runners.patient import Patient

GIB = 2**30


def tree(root: Path, files: dict[str, object]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


def test_a_v2_container_has_the_limit_of_its_tightest_group_without_the_page_cache(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            "proc/mountinfo": f"30 23 0:26 / {tmp_path}/cg rw,nosuid - cgroup2 cgroup2 rw",
            "proc/cgroup": "0::/outer/inner",
            "cg/outer/memory.max": 64 * GIB,
            "cg/outer/memory.current": 10 * GIB,
            "cg/outer/memory.stat": f"anon 1\ninactive_file {4 * GIB}",
            "cg/outer/cpu.max": "max 100000",
            "cg/outer/inner/memory.max": "max",
            "cg/outer/inner/memory.current": GIB,
            "cg/outer/inner/cpu.max": "250000 100000",
            "cg/outer/inner/cpu.stat": "usage_usec 3500000\nuser_usec 1",
        },
    )
    found = ContainerLimits(KernelFiles(), str(tmp_path / "proc"))
    assert found.memory() == MemoryLimit(6 * GIB, 64 * GIB)
    assert found.cpu() == CpuLimit(2.5, 3.5)


@pytest.mark.parametrize("root", ["/", "/docker/abc"])  # with and without a cgroup namespace
def test_a_v1_container_has_its_own_limits(tmp_path: Path, root: str) -> None:
    group = "/" if root == "/" else "/docker/abc"
    tree(
        tmp_path,
        {
            "proc/mountinfo": f"1 2 0:3 {root} {tmp_path}/memory rw - cgroup cgroup rw,memory\n"
            f"1 2 0:4 {root} {tmp_path}/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\nnonsense",
            "proc/cgroup": f"4:memory:{group}\n3:cpu,cpuacct:{group}\n0::/",
            "memory/memory.limit_in_bytes": 8 * GIB,
            "memory/memory.usage_in_bytes": 3 * GIB,
            "memory/memory.stat": f"total_inactive_file {GIB}",
            "cpu/cpu.cfs_quota_us": 400000,
            "cpu/cpu.cfs_period_us": 100000,
            "cpu/cpuacct.usage": 7_000_000_000,
        },
    )
    found = ContainerLimits(KernelFiles(), str(tmp_path / "proc"))
    assert found.memory() == MemoryLimit(2 * GIB, 8 * GIB)
    assert found.cpu() == CpuLimit(4.0, 7.0)


@pytest.mark.parametrize("limit", ["max", "9223372036854771712", "", "nonsense"])
def test_no_limit_and_nonsense_are_no_limit(tmp_path: Path, limit: str) -> None:
    tree(
        tmp_path,
        {
            "proc/mountinfo": f"1 2 0:3 / {tmp_path}/cg rw - cgroup2 cgroup2 rw",
            "proc/cgroup": "0::/../..",
            "cg/memory.max": limit,
            "cg/memory.current": 5,
            "cg/cpu.max": limit,
        },
    )
    found = ContainerLimits(KernelFiles(), str(tmp_path / "proc"))
    assert (found.memory(), found.cpu()) == (None, None)
    assert ContainerLimits(KernelFiles(), str(tmp_path / "nothing")).memory() is None


def test_traffic_is_counted_once_however_many_bridges_it_crosses(tmp_path: Path) -> None:
    row = "{}: {} 1 0 0 0 0 0 0 {} 1 0 0 0 0 0 0"
    table = tmp_path / "dev"
    rows = [row.format("    lo", 9, 9), row.format("  eth0", 1000, 200), row.format("docker0", 900, 100), "broken: x"]
    table.write_text("Inter-|   Receive\n face |bytes\n" + "\n".join(rows))
    (tmp_path / "net/eth0/device").mkdir(parents=True)
    files = KernelFiles()
    assert traffic(files, str(table), str(tmp_path / "net")) == Traffic(1000, 200)
    assert traffic(files, str(table), str(tmp_path / "no")) == Traffic(1900, 300)  # a container: no card to be seen
    assert traffic(files, str(tmp_path / "absent")) is None


def test_a_sample_of_this_machine_is_whole_and_a_missing_disk_says_so(tmp_path: Path) -> None:
    sampler = HostSampler([str(tmp_path), str(tmp_path / "absent")])
    deadline = time.monotonic() + 60
    sample = sampler.sample()
    while sample["cpu_percent"] is None and time.monotonic() < deadline:
        sample = sampler.sample()
    assert 0 <= sample["cpu_percent"] <= 100 and sample["cpu_cores"] > 0
    assert 0 < sample["memory_used_bytes"] < sample["memory_total_bytes"]
    assert sample["network_received_bytes_per_s"] is None or sample["network_received_bytes_per_s"] >= 0
    root, volume, absent = sample["disks"]
    assert root["path"] == "/" and 0 < volume["used_bytes"] <= volume["total_bytes"]
    assert (absent["error"], absent["total_bytes"]) == ("No such file or directory", 0)


def test_a_kernel_file_is_read_as_it_is_now_and_is_empty_when_it_has_gone(tmp_path: Path) -> None:
    files = KernelFiles()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdin is not None and child.stdout is not None
        # What it answers, it answers under its own name.
        child.stdin.write(b"x")
        assert child.stdout.read(1) == b"x"
        name = f"/proc/{child.pid}/comm"
        assert files.read(name) == b"cat\n" and files.read("/proc/self/stat")
        before = files.read("/proc/uptime")
        while files.read("/proc/uptime") == before:
            time.sleep(0.01)
    assert files.read(name) == b""
    late = tmp_path / "late"
    assert files.read(str(late)) == b""
    late.write_bytes(b"x" * 200_000)
    assert files.read(str(late)) == b"x" * 200_000
    late.write_bytes(b"less")
    assert files.read(str(late)) == b"less"


def test_a_disk_that_hangs_costs_its_own_line_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, statvfs = threading.Event(), os.statvfs

    def stuck(path: str) -> os.statvfs_result:
        if path == str(tmp_path):
            answers.wait(60)
        return statvfs(path)

    monkeypatch.setattr(os, "statvfs", stuck)
    sampler = HostSampler([str(tmp_path), str(tmp_path / "absent")])
    for _ in range(2):
        root, volume, absent = sampler.sample()["disks"]
        assert (root["error"], absent["error"]) == ("", "No such file or directory")
        assert "does not answer for" in volume["error"] and volume["total_bytes"] == 0
    answers.set()
    deadline = time.monotonic() + 60
    while volume["error"] and time.monotonic() < deadline:
        volume = sampler.sample()["disks"][1]
    assert volume["error"] == "" and volume["total_bytes"] > 0


def test_questions_that_are_answered_cost_no_thread_each() -> None:
    quick = Patient(threading.get_native_id)
    answers = [quick.answer(30) for _ in range(5)]
    assert len(set(answers)) == 1 and answers[0] != threading.get_native_id()


def test_a_question_that_cannot_be_asked_has_no_answer_and_the_next_one_may_have(tmp_path: Path) -> None:
    careless = Patient((tmp_path / "later").read_text)
    assert careless.answer(30) is None
    (tmp_path / "later").write_text("answer")
    assert careless.answer(30) == "answer"


def test_a_question_that_hangs_is_asked_once_and_waited_for_no_longer_than_allowed() -> None:
    released, asked = threading.Event(), []

    def ask() -> str:
        asked.append(1)
        released.wait(30)
        return "answer"

    slow = Patient(ask)
    assert slow.answer(0.01) is None
    assert slow.answer(0.01) is None
    assert slow.waiting_s() > 0
    released.set()
    assert slow.answer(30) == "answer"
    assert len(asked) == 1
    assert slow.answer(30) == "answer"
    assert len(asked) == 2
