"""A group of commands, each in a module of its own that is imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

#: What commands are called in other tools.
_ELSEWHERE = {
    "logs": "tail",
    "log": "tail",
    "cat": "tail",
    "stop": "kill",
    "ps": "list",
    "grep": "search",
    "shell": "ssh",
    "exec": "ssh",
    "describe": "status",
    "start": "submit",
    "launch": "submit",
}


class ReaderGone(Exception):
    """Whoever read our output has closed it: `ops run tail … | head -1`."""


class EndedByHand(Exception):
    """Ctrl-c where there is no other end."""


@contextmanager
def until_ctrl_c() -> Iterator[None]:
    """Around what goes on until somebody ends it: that is told by the exit code, and is no error to be named."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise EndedByHand from error


class LazyGroup(click.Group):
    """Made with `commands_in={name: "module:attribute"}`, so that each command pays only for what it needs."""

    def __init__(self, *args: Any, commands_in: Mapping[str, str], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._commands_in = commands_in

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        try:
            return super().make_context(*args, **settings)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would leave with 1, which says that what was asked about has failed.
            raise ReaderGone from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            # click looks for what was meant among commands that are loaded, of which there are none.
            meant = "" if args[0].startswith("-") else self._meant(ctx, args[0])
            if not meant:
                raise
            raise click.UsageError(f"{error.message} Did you mean {meant!r}?", ctx) from None

    def _meant(self, ctx: click.Context, word: str) -> str:
        """The command that is called like `word`, here or in a group of this one, or in other tools; empty for none."""
        from difflib import get_close_matches

        close = get_close_matches(word, self._commands_in)
        if close:
            return close[0]
        inner = {name: self.get_command(ctx, name) for name in self._commands_in}
        groups: dict[str, click.Group] = {
            name: group for name, group in inner.items() if isinstance(group, click.Group)
        }
        for name in (word, _ELSEWHERE.get(word, "")):
            if name in self._commands_in:
                return name
            for group in groups:
                if name in groups[group].list_commands(ctx):
                    return f"{group} {name}"
        return ""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._commands_in)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._commands_in:
            return None
        module, _, name = self._commands_in[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command
