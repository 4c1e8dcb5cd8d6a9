"""What a new user can rely on in README.md and docs/: what stands there works and leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from podops.cli.command_line import ops
from podops_tui.actions import ACTIONS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_first_project_file_can_be_dry_run_as_it_stands(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert text.strip() in re.sub(r"^   ", "", (ROOT / "docs/quickstart.md").read_text(), flags=re.MULTILINE)
    file = tmp_path / "configs/ops/project.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    command = [sys.executable, "-m", "podops.cli.main", "run", "submit", "--preset", "train", "--dry-run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "python3 train.py max_iters=50" in done.stdout


def test_the_keys_it_names_are_keys_of_the_app() -> None:
    (line,) = [line for line in README.splitlines() if line.startswith("Keys to start with")]
    named = re.findall(r"`([^`]+)` ([a-z]+)", line)
    assert [key for key, _ in named] == ["s", "x", "/", "a", "q", "?"]
    assert {key for key, _ in named} <= {action.shown for action in ACTIONS}


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_every_link_between_the_documents_leads_to_a_file_and_a_heading(file: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / file).read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / file).parent / path if path else ROOT / file
        assert found.is_file(), f"{file}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{file}: {target}"


def test_documents_name_no_command_that_is_not_there() -> None:
    context = click.Context(ops)
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        # What is not there yet may be named as such.
        text = document.read_text().partition("## Not there yet")[0]
        for group, command in re.findall(r"\bops (run|pod|queue) ([a-z]{3,})", text):
            found = ops.get_command(context, group)
            assert isinstance(found, click.Group)
            assert found.get_command(context, command), f"{document.name}: ops {group} {command}"
        for command in re.findall(r"`ops ([a-z]{3,})[` ]", text):
            assert ops.get_command(context, command), f"{document.name}: ops {command}"
