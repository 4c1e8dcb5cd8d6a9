"""Processes of the pod side with a library of ours between them and the system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.fault_pod import FaultPod

SetNumber = Callable[[int], None]


def preload(pod: FaultPod, monkeypatch: pytest.MonkeyPatch, name: str, number_in: str, **variables: str) -> SetNumber:
    """Let the pod's processes start with `<name>.c` preloaded, their children without.

    `set(number)` changes the number that the library reads from the file in its variable `number_in`; it begins at 0.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip(f"preloading {name}.c needs a C compiler")
    library, number, python = pod.root / f"{name}.so", pod.root / f"{name}.number", pod.root / "python"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    number.write_bytes(_as_int64(0))
    variables.update({"LD_PRELOAD": str(library), number_in: str(number)})
    exports = " ".join(f"{key}={value}" for key, value in variables.items())
    python.write_text(f'#!/bin/sh\nexport {exports}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))

    def change(to: int) -> None:
        # In place: the processes have this very file mapped.
        descriptor = os.open(number, os.O_WRONLY)
        os.write(descriptor, _as_int64(to))
        os.close(descriptor)

    return change


def _as_int64(number: int) -> bytes:
    return number.to_bytes(8, sys.byteorder, signed=True)
