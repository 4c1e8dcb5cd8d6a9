"""The demo's first runs, for real, on three local pods."""

from __future__ import annotations

from pathlib import Path

import pytest

from podops.demo.demo import prepare_demo
from podops.demo.headless import run_headless


async def test_every_run_of_the_demo_ends_as_it_should(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = prepare_demo(tmp_path / "demo")
    try:
        assert await run_headless(demo, overrides=("max_iters=40", "eval_interval=40")) == 0
    finally:
        demo.close()
    table = capsys.readouterr().out
    assert [table.count(word) for word in ("succeeded", "nonzero_exit", "user_kill")] == [3, 1, 1]
    assert list((tmp_path / "demo").glob("runs/alder/*/results.jsonl"))


def test_a_temporary_demo_leaves_nothing_behind() -> None:
    demo = prepare_demo()
    assert (demo.directory / "project.yaml").exists()
    demo.close()
    assert not demo.directory.exists()
