"""`ops completion`: the script a shell needs to complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

#: A value follows `KEY=` at once. fish leaves no blank there by itself.
_NO_BLANK = {
    "bash": [("    return 0\n", "    [[ ${COMPREPLY[*]} == *= ]] && compopt -o nospace 2>/dev/null\n    return 0\n")],
    "zsh": [
        ("    local -a response\n", "    local -a response no_blank\n"),
        ('        if [[ "$type"', '        [[ "$key" == *= ]] && no_blank=(-S "")\n        if [[ "$type"'),
        ("with_descriptions -U\n", 'with_descriptions -U "${no_blank[@]}"\n'),
        ("compadd -U -V unsorted", 'compadd -U "${no_blank[@]}" -V unsorted'),
    ],
}


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    bash: `source <(ops completion bash)` in ~/.bashrc; zsh likewise; fish: `ops completion fish | source`.
    """
    from podops.cli.command_line import ops

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ops, {}, "ops", "_OPS_COMPLETE").source()
    for found, put in _NO_BLANK.get(shell, ()):
        assert found in script
        script = script.replace(found, put, 1)
    click.echo(script)
