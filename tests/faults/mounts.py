"""Volumes that can be filled, made read-only, taken away and given back, in the mount namespace of the tests alone."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True, capture_output=True)


def unmount(place: Path) -> None:
    """As when the network goes: whoever has a file open there keeps it, nobody finds it any more."""
    subprocess.run(["umount", "-l", place], check=True, capture_output=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """No byte more fits on the volume of `folder` within the block."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as stream:
        while stream.write(b"x" * 4096):
            pass
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Within the block, whoever opens a file on the volume of `folder` may only read it."""
    mount("--bind", folder, folder)
    mount("-o", "remount,ro,bind", folder)
    try:
        yield
    finally:
        unmount(folder)


@contextlib.contextmanager
def away(folder: Path, backing: Path) -> Iterator[None]:
    """Within the block there is nothing where the volume `backing` was."""
    unmount(folder)
    try:
        yield
    finally:
        mount("--bind", backing, folder)


@contextlib.contextmanager
def replaced(folder: Path, backing: Path) -> Iterator[None]:
    """Within the block another, empty volume stands in its place, made ready for runs."""
    mount("-t", "tmpfs", "-o", "size=1m", "podops-test", folder)
    (folder / "runs").mkdir()
    try:
        yield
    finally:
        unmount(folder)


@contextlib.contextmanager
def disk(folder: Path, image: Path) -> Iterator[None]:
    """A small ext4 disk at `folder` within the block; skips where there are no loop devices."""
    with image.open("wb") as stream:
        stream.truncate(16 * 1024 * 1024)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True, capture_output=True)
        mount("-o", "loop", image, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be made here: {error}")
    try:
        yield
    finally:
        unmount(folder)


@contextlib.contextmanager
def hanging(folder: Path) -> Iterator[None]:
    """Within the block whoever writes to the disk at `folder` hangs, as with a server that does not answer."""
    subprocess.run(["fsfreeze", "-f", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", folder], check=True)


@contextlib.contextmanager
def covered(place: str, content: str, scratch: Path) -> Iterator[None]:
    """Within the block the kernel's file at `place` reads as `content`."""
    stand_in = scratch / place.replace("/", "_")
    stand_in.write_text(content)
    mount("--bind", stand_in, place)
    try:
        yield
    finally:
        unmount(Path(place))
