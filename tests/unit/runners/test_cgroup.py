"""The kernel's count of kills for memory, in both versions of cgroups, whatever stands in the files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podops_runners.cgroup import memory_limit_bytes, oom_kills

V1_CGROUP = "9:name=systemd:/\n4:memory:/docker/ab12\n1:cpu,cpuacct:/\n0::/\n"
V1_CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
V2_EVENTS = "low 0\nhigh 3\nmax 91\noom 2\noom_kill {}\noom_group_kill 0\n"


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_version_2_counts_our_kills_and_those_of_siblings_below_a_visible_parent(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", "0::/user.slice/run.scope\n")
    put(tmp_path, "sys/fs/cgroup/user.slice/run.scope/memory.events", V2_EVENTS.format(1))
    put(tmp_path, "sys/fs/cgroup/user.slice/memory.events", V2_EVENTS.format(4))
    put(tmp_path, "sys/fs/cgroup/user.slice/run.scope/memory.max", "max\n")
    put(tmp_path, "sys/fs/cgroup/user.slice/memory.max", "8589934592\n")
    assert oom_kills(str(tmp_path)) == 4
    assert memory_limit_bytes(str(tmp_path)) == 8 << 30


def test_version_2_inside_a_container_has_its_files_at_the_mount(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", "0::/../..\n")
    put(tmp_path, "sys/fs/cgroup/memory.events", V2_EVENTS.format(7))
    put(tmp_path, "sys/fs/cgroup/memory.max", "max\n")
    assert (oom_kills(str(tmp_path)), memory_limit_bytes(str(tmp_path))) == (7, None)


def test_version_1_counts_at_every_level_and_takes_the_lowest_limit(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", V1_CGROUP)
    for level, kills, limit in (("docker/ab12", 2, 2**33), ("docker", 1, 2**34), ("", 0, 9223372036854771712)):
        put(tmp_path, f"sys/fs/cgroup/memory/{level}/memory.oom_control", V1_CONTROL.format(kills))
        put(tmp_path, f"sys/fs/cgroup/memory/{level}/memory.limit_in_bytes", f"{limit}\n")
    assert (oom_kills(str(tmp_path)), memory_limit_bytes(str(tmp_path))) == (3, 2**33)


def test_version_1_inside_a_container_that_is_told_its_path_on_the_host(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", V1_CGROUP)
    put(tmp_path, "sys/fs/cgroup/memory/memory.oom_control", V1_CONTROL.format(5))
    assert oom_kills(str(tmp_path)) == 5


def test_where_nobody_counts_it_says_so(tmp_path: Path) -> None:
    assert (oom_kills(str(tmp_path)), memory_limit_bytes(str(tmp_path))) == (None, None)
    put(tmp_path, "sys/fs/cgroup/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n")  # before Linux 4.13
    assert oom_kills(str(tmp_path)) is None


def test_this_machine_answers() -> None:
    kills, limit = oom_kills(), memory_limit_bytes()
    assert kills is None or kills >= 0
    assert limit is None or limit > 0


@settings(max_examples=100)
@given(st.binary(max_size=80), st.one_of(st.binary(max_size=80), st.just("oom_kill ²\noom_kill -1\n".encode())))
def test_garbage_never_raises(tmp_path_factory: pytest.TempPathFactory, path: bytes, content: bytes) -> None:
    root = tmp_path_factory.mktemp("garbage")
    for name, data in (
        ("proc/self/cgroup", b"0::/" + path + b"\n4:memory:/" + path),
        ("sys/fs/cgroup/memory.events", content),
        ("sys/fs/cgroup/memory.max", content),
        ("sys/fs/cgroup/memory/memory.oom_control", content),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes/is-a-directory", content),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    assert oom_kills(str(root)) is None or isinstance(oom_kills(str(root)), int)
    assert memory_limit_bytes(str(root)) is None or isinstance(memory_limit_bytes(str(root)), int)
