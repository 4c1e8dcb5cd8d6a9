"""Small volumes of their own for tests that fill one, or may not write to one."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_volume(folder: Path, options: str = "size=1m") -> Iterator[Path]:
    """Mount a tmpfs on `folder` for the length of a `with` block; skips the test where that is not allowed."""
    if os.getuid() != 0:
        pytest.skip("mounting a small volume needs root")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "podops-test", folder], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"this root may not mount a small volume: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily: what a test left running may still have a file open there, and is ended later.
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Write to the volume of `folder` until nothing more fits; returns the file to remove to make room."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as stream:
        while stream.write(b"x" * 4096):
            pass
    return ballast
