"""The command line of `ops`: global options, the commands by name, and what happens to an error."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from podops import __version__
from podops.cli.context import Options
from podops.cli.lazy_group import EndedByHand, LazyGroup, ReaderGone
from podops.cli.number import Number
from podops.cli.streams import drop_stdout, unwritable
from podops.errors import ConfigError, PodopsError

#: Of a write to a standard output that takes no more: a full disk, a limit, a terminal or volume that is gone.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.ESTALE)

_COMMANDS = {
    "completion": "podops.cli.completion:completion",
    "demo": "podops.cli.demo:demo",
    "doctor": "podops.cli.doctor:doctor",
    "pod": "podops.cli.pod:pod",
    "queue": "podops.cli.queue:queue",
    "run": "podops.cli.run:run",
    "status": "podops.cli.pod:status",
    "tui": "podops.cli.tui:tui",
    "watch": "podops.cli.watch:watch",
}


@click.group(
    cls=LazyGroup,
    commands_in=_COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="ops")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="OPS_CONFIG",
    show_envvar=True,
    help="Project file to use; without it, the nearest one found upward from here.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(min=0.1),
    metavar="SECONDS",
    default=15.0,
    show_default=True,
    help="How long to wait for pods to answer. Without it, lists on a terminal give one that has just been silent 3 s.",
)
@click.option(
    "--no-share",
    is_flag=True,
    envvar="OPS_NO_SHARE",
    show_envvar=True,
    help="Connect anew, also where the app or `ops watch` has a link to the pod already.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
@click.pass_context
def ops(context: click.Context, config: Path | None, timeout_s: float, no_share: bool, as_json: bool) -> None:
    """Watch a fleet of GPU pods; run things on them.

    Without a command: the app on a terminal, else `ops status`.
    """
    said = context.get_parameter_source("timeout_s") is not click.core.ParameterSource.DEFAULT
    context.obj = Options(config, timeout_s, as_json, not no_share, said)
    if context.invoked_subcommand is None:
        name = "tui" if sys.stdout.isatty() and sys.stdin.isatty() and not as_json else "status"
        command = ops.get_command(context, name)
        assert command is not None
        context.exit(context.invoke(command) or 0)


def run(words: list[str]) -> None:
    """Do what the words say; always leaves through `sys.exit`."""
    as_json = "--json" in words
    try:
        code = ops.main(args=words, prog_name="ops", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except PodopsError as error:
        _fail(error.error_code, error.message, error.hint, error.exit_code, as_json, _faults(error))
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except EndedByHand:
        _fail("interrupted", "interrupted", "", 130, as_json, quietly=True)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _fail("interrupted", "interrupted", "", 130, as_json)
    except click.exceptions.NoArgsIsHelpError as error:
        if as_json:
            _fail("usage", "a command is missing", _usage_hint(error), 2, as_json)
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        _fail("usage", error.format_message(), _usage_hint(error), 2, as_json)
    except (ReaderGone, BrokenPipeError):
        drop_stdout()
        sys.exit(0)
    except OSError as error:
        if error.filename is not None or error.errno not in _FULL or os.environ.get("OPS_DEBUG"):
            _fail_inside(error, as_json)
        told = unwritable(error)
        _fail(told.error_code, told.message, told.hint, told.exit_code, as_json)
    except Exception as error:
        _fail_inside(error, as_json)


def _fail_inside(error: Exception, as_json: bool) -> NoReturn:
    if os.environ.get("OPS_DEBUG"):
        raise error
    told = f"a fault in podops itself: {type(error).__name__}: {error}"
    _fail("internal", told, "set OPS_DEBUG=1 to see where, and please report it", 1, as_json)


def _faults(error: PodopsError) -> list[str]:
    return [str(fault) for fault in error.faults] if isinstance(error, ConfigError) else []


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context is not None else "see `ops --help`"


def _fail(
    code: str,
    message: str,
    hint: str,
    status: int,
    as_json: bool,
    faults: list[str] | None = None,
    *,
    quietly: bool = False,
) -> NoReturn:
    """End with `status`; `quietly`: a person is told nothing."""
    from podops.cli.output import json_text, say, say_hint

    if as_json:
        body: dict[str, Any] = {"code": code, "message": message, "hint": hint}
        if faults:
            body["faults"] = faults
        try:
            click.echo(json_text({"ok": False, "error": body}))
        except OSError:  # the reader has gone, or the disk is full: what went wrong is told below, and by the status
            drop_stdout()
    if quietly:
        sys.exit(status)
    for fault in faults or ():
        say(fault)
    say(f"error: {message}")
    say_hint(hint)
    sys.exit(status)
