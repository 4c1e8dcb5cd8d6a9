"""Asking on the terminal while links are open."""

from __future__ import annotations

import sys

import click

from podops.cli.output import clean


async def confirmed(question: str) -> bool:
    """Ask on the terminal; anything but yes is no."""
    click.echo(f"{clean(question)} [y/N]: ", nl=False, err=True)
    answer = await _typed_line()
    if not answer.endswith("\n"):
        click.echo(err=True)
    return answer.strip().lower() in ("y", "yes")


async def _typed_line() -> str:
    """The next line from the terminal. Unlike a thread that reads, this leaves the links alive and ctrl-c working."""
    import asyncio

    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def take() -> None:
        loop.remove_reader(terminal)
        line.set_result(sys.stdin.readline())

    terminal = sys.stdin.fileno()
    loop.add_reader(terminal, take)
    try:
        return await line
    finally:
        loop.remove_reader(terminal)
