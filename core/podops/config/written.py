"""Numbers as people write them: which texts are some, and how they are passed on."""

from __future__ import annotations

import re

import yaml

#: `1`, `-12`; `007` and `1_000` may as well name something.
WHOLE = re.compile(r"-?(?:0|[1-9]\d*)\Z", re.ASCII)

#: `0.1`, `.5`, `3e-4`, `+1`: what Python, JSON and YAML 1.2 take for a number.
DECIMAL = re.compile(r"[-+]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\Z", re.ASCII)

_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"


class WrittenFloat(float):
    """A number whose text is what was written: `1e-3` and `1.10` stay so on a command line. Raises `ValueError`."""

    _text: str

    def __new__(cls, text: str) -> WrittenFloat:
        made = super().__new__(cls, text)
        made._text = text
        return made

    def __str__(self) -> str:
        return self._text

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        """What a copy is made from."""
        return (self._text,)


class Loader(yaml.SafeLoader):
    """YAML with numbers as in its version 1.2. By 1.1, PyYAML's, `1e-3` is text, `0123` is 83, and `12:30` is 750."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag not in (_INT, _FLOAT)]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    _INT, re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)\Z"), list("-+0123456789")
)
Loader.add_implicit_resolver(
    _FLOAT, re.compile(rf"{DECIMAL.pattern}|[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z"), list("-+.0123456789")
)
