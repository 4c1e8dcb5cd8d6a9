"""What lies in the state directory is there whole or not at all, and a full disk leaves nothing of it behind."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from podops.link import pod_archive
from podops.state_dir import write_whole
from podops.transport import early


@contextmanager
def full_disk() -> Iterator[None]:
    """Only the first bytes of a file can be written, as on a disk that fills up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No longer than it is needed: what pytest tells may go to a file, too.
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_what_was_there_and_leaves_no_half_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "note", b"short")
    with full_disk(), pytest.raises(OSError, match="too large"):
        write_whole(tmp_path / "note", b"x" * 100)
    assert [file.name for file in tmp_path.iterdir()] == ["note"]
    assert (tmp_path / "note").read_bytes() == b"short" and (tmp_path / "note").stat().st_mode & 0o777 == 0o600


def test_what_is_kept_for_the_next_command_leaves_nothing_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(early, "_worked", {"a": ("ssh", "x" * 100)})
    pod_archive._made.cache_clear()
    with full_disk():
        early.remember("key", {"OPS_STATE_DIR": str(tmp_path)})
        assert len(pod_archive.pod_archive()[0]) > 10_000
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
