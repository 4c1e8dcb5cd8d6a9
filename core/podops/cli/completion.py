"""`ops completion`: the script a shell needs to complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    bash: `source <(ops completion bash)` in ~/.bashrc; zsh likewise; fish: `ops completion fish | source`.
    """
    from podops.cli.main import ops

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ops, {}, "ops", "_OPS_COMPLETE").source()
    # A value follows at once.
    script = script.replace(
        "    return 0\n", "    [[ ${COMPREPLY[*]} == *= ]] && compopt -o nospace 2>/dev/null\n    return 0\n", 1
    )
    click.echo(script)
