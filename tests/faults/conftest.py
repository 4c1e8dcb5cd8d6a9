"""A pod per test that a fault may be done to, and how often each test is tried."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from podops_runners.rundir import RunDir
from tests.faults.fault_pod import FaultPod, new_pod

#: How often each test is tried, when it is about measuring rather than checking.
ROUNDS = int(os.environ.get("OPS_FAULT_ROUNDS", "1"))

_CLONE_NEWNS = 0x20000


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if ROUNDS > 1 and "pod" in metafunc.fixturenames:
        metafunc.fixturenames.append("_round")
        metafunc.parametrize("_round", range(ROUNDS))


@pytest.fixture(scope="session")
def own_mounts() -> None:
    """From here on this process's mounts are its own, and go with it; skips where that is not allowed."""
    if os.getuid() != 0:
        pytest.skip("faults of a volume need root, to mount it")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        pytest.skip(f"this root may not have mounts of its own: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultPod]:
    with new_pod(tmp_path, monkeypatch) as found:
        yield found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the runs of its pod have told."""
    report = yield
    pod = getattr(item, "funcargs", {}).get("pod")
    if report.when == "call" and report.failed and isinstance(pod, FaultPod):
        report.sections.append(("runs", "\n".join(told_of(run) for run in pod.runs)))
    return report


def told_of(run: RunDir) -> str:
    parts = [run.path]
    for path in (run.summary, run.claim, run.child, run.exit, run.ticket, run.heartbeat, run.events, run.attempts):
        try:
            parts.append(f"{Path(path).name}: {Path(path).read_text().strip()}")
        except OSError as error:
            parts.append(f"{Path(path).name}: {error.strerror}")
    return "\n".join(parts)
