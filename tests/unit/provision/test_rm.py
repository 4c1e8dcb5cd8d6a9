"""What is told of a pod that its provider was asked to remove."""

from __future__ import annotations

from pathlib import Path

import pytest

from podops.config.model import PodSource, ProjectConfig, ProvisionConfig
from podops.errors import SourceError
from podops.provision import rm

EXPIRED = "echo login expired >&2; exit 1"


@pytest.fixture(autouse=True)
def soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(rm, "_ASK_S", 0.01)


async def removed(folder: Path, listing: str) -> list[str]:
    """Remove pod `a` at a provider that takes it and lists by `listing`; what is told meanwhile."""
    program = folder / "cloud"
    program.write_text(f"#!/bin/sh\ncd '{folder}'\n[ $1 = rm ] && exit\necho >> asked\n{listing}\n")
    program.chmod(0o755)
    source = PodSource("cloud", (str(program), "ps"), {"name": "n", "ssh": "s"})
    config = ProjectConfig("x", "/o", pod_sources=(source,))
    words = [str(program), "rm", "a"]
    told: list[str] = []
    await rm.remove(config, ProvisionConfig("cloud", ("up",), tuple(words), "cloud"), "a", words, told.append)
    return told


async def test_a_listing_that_fails_for_a_while_is_asked_again(tmp_path: Path) -> None:
    told = await removed(tmp_path, f"[ $(wc -l < asked) -gt 3 ] || {{ {EXPIRED}; }}; echo '[]'")
    assert [("has taken the removal" in line, "login expired" in line) for line in told] == [(True, True)]


async def test_a_removal_that_nobody_confirms_is_told_as_accepted_and_why_it_is_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rm, "_WITHIN_S", 0.5)
    with pytest.raises(SourceError) as caught:
        await removed(tmp_path, EXPIRED)
    assert caught.value.message.startswith("cloud has accepted the removal of pod a; whether it is gone could not be")
    assert "login expired" in caught.value.message
    assert "are you logged in?; then look with `ops pod list`" in caught.value.hint


async def test_a_pod_that_stays_is_told_as_accepted_and_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rm, "_WITHIN_S", 0.5)
    with pytest.raises(SourceError, match="has accepted the removal of pod a, and still tells of it"):
        await removed(tmp_path, """echo '[{"n": "a", "s": "h"}]'""")
