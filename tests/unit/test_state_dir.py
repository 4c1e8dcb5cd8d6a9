"""What lies in the state directory is there whole or not at all, and a full disk leaves nothing of it behind."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from podops.link import pod_archive
from podops.state_dir import write_whole
from podops.transport import early


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A state directory in which only the first bytes of a file can be written, as on a disk that fills up."""
    monkeypatch.setenv("OPS_STATE_DIR", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_what_was_there_and_leaves_no_half_file(full_disk: Path) -> None:
    write_whole(full_disk / "note", b"short")
    with pytest.raises(OSError, match="too large"):
        write_whole(full_disk / "note", b"x" * 100)
    assert [file.name for file in full_disk.iterdir()] == ["note"]
    assert (full_disk / "note").read_bytes() == b"short" and (full_disk / "note").stat().st_mode & 0o777 == 0o600


def test_what_is_kept_for_the_next_command_leaves_nothing_on_a_full_disk(
    full_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "_worked", {"a": ("ssh", "x" * 100)})
    pod_archive._made.cache_clear()
    early.remember("key", {"OPS_STATE_DIR": str(full_disk)})
    assert len(pod_archive.pod_archive()[0]) > 10_000
    assert [file for file in full_disk.rglob("*") if file.is_file()] == []
