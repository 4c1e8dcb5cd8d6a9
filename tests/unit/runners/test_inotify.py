"""Being woken when a file grows."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from podops_runners.inotify import FileWatch


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "where the kernel cannot tell"])
def test_a_wait_whose_time_has_just_passed_is_over_at_once(tmp_path: Path, watched: bool) -> None:
    file = tmp_path / "file"
    if watched:
        file.touch()
    watch, failures = FileWatch(str(file)), list[Exception]()

    def wait() -> None:
        try:
            watch.wait(-1e-6)
        except Exception as error:
            failures.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(60)
    assert not waiting.is_alive() and failures == []
    watch.close()


def test_a_change_is_told_until_it_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    watch = FileWatch(str(file))
    file.write_bytes(b"more")
    assert watch._poll.poll(0)
    watch.wait(60.0)
    assert watch._poll.poll(0)
    watch.forget()
    assert not watch._poll.poll(0)
    watch.close()
