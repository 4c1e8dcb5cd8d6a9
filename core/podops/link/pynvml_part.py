"""The part of NVIDIA's `pynvml.py` that the pod side uses, line by line as it stands there.

The whole file takes 5 MiB of memory where it is loaded, most of it for a thousand constants and structures of queries
that are never made.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

#: Looked up by `pynvml` itself through its own names: each becomes a class of errors.
_ERRORS = "NVML_ERROR_"


def used_part(pynvml: str, users: Iterable[str]) -> str:
    """What stands in the source `pynvml` by a name that these sources use, with all that it needs, in its order.

    Raises `SyntaxError`.
    """
    statements = [_Statement(node) for node in ast.parse(pynvml).body]
    wanted = {name for source in users for name in _words(ast.parse(source))}
    kept: set[int] = set()
    grown = True
    while grown:
        more = {
            place
            for place, statement in enumerate(statements)
            if place not in kept and (not statement.defines or statement.defines & wanted or statement.is_error)
        }
        for place in more:
            wanted |= statements[place].uses
        kept |= more
        grown = bool(more)
    lines = pynvml.splitlines(keepends=True)
    # Its licence stands in front of everything.
    head = lines[: statements[0].first] if statements else []
    return "".join([*head, *(line for place in sorted(kept) for line in statements[place].lines_of(lines))])


class _Statement:
    """One of the module's own: the names it defines, those it uses, and its lines."""

    def __init__(self, node: ast.stmt) -> None:
        self.defines = set(_defined(node))
        self.uses = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        self.is_error = any(name.startswith(_ERRORS) for name in self.defines)
        decorators = getattr(node, "decorator_list", [])
        self.first = min([node.lineno, *(each.lineno for each in decorators)]) - 1
        self._end = node.end_lineno or node.lineno

    def lines_of(self, lines: list[str]) -> list[str]:
        return lines[self.first : self._end]


def _defined(node: ast.stmt) -> Iterator[str]:
    """Nothing for a statement that is there for what it does."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name))
    elif isinstance(node, ast.Import | ast.ImportFrom):
        # `ctypes.util` alone, which nothing of ours leads to, brings two megabytes along.
        yield from (each.asname or each.name.partition(".")[0] for each in node.names if each.name != "*")


def _words(tree: ast.AST) -> Iterator[str]:
    """Whatever may be a name of the other module: it is asked for by attributes and by strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
