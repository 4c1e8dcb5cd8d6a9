"""A pod per test that a fault may be done to, and how often each test is tried."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

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
