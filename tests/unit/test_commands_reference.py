"""What a reader can rely on from docs/commands.md: it is complete, and it is what `--help` says."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from podops.cli.command_line import ops
from podops.cli.reference import MARKER, main, reference
from podops.cli.run_view import run_rows, run_status
from podops.fleet.snapshot import RunSnapshot

DOCUMENT = Path(__file__).parents[2] / "docs/commands.md"


def commands(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found += commands(child, (*path, name))
    return found


def test_the_document_is_up_to_date() -> None:
    generated = DOCUMENT.read_text().partition(MARKER)[2].lstrip()
    assert generated == reference(), "run: .venv/bin/python -m podops.cli.reference docs/commands.md"


def test_generating_keeps_what_was_written_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "commands.md"
    file.write_text(f"by hand\n{MARKER}\nold\n")
    assert main([str(file)]) == 0
    assert file.read_text() == f"by hand\n{MARKER}\n\n{reference()}"
    file.write_text("no marker\n")
    assert (main([str(file)]), file.read_text()) == (2, "no marker\n")


def test_every_key_of_a_run_in_json_is_in_the_document() -> None:
    shown = run_status(RunSnapshot("r", "pod", "running"), [], None, [], [])
    written = DOCUMENT.read_text().partition(MARKER)[0]
    assert not [key for key in shown if f'"{key}"' not in written and f"`{key}" not in written]


def test_a_listing_says_when_a_failed_run_is_tried_again() -> None:
    run = RunSnapshot("r", "pod", "starting", phase="retrying", attempt=1, attempts_max=3, retry_in_s=57.0)
    assert "attempt 2 of 3 in 57s" in run_rows([run])


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(*found, id="-".join(("ops", *found[0]))) for found in commands(ops)]
)
def test_every_command_and_every_option_says_what_it_does(path: tuple[str, ...], command: click.Command) -> None:
    assert command.help, f"{path} has no help"
    short = command.get_short_help_str(limit=60)
    assert short.endswith((".", ":")) and not short.endswith("..."), f"{path} is cut in listings: {short}"
    silent = [option.opts for option in command.params if isinstance(option, click.Option) and not option.help]
    assert not silent, f"{path} has options without help"
