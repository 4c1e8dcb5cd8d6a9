"""The words of `typing` that annotations are made of, without what it costs: half a megabyte in each process, and a
fifth of the time until one works.

Who checks types reads the real ones. At run time nobody asks what an annotation says, so that one word stands for all;
only `NamedTuple` makes what it says.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING or sys.version_info >= (3, 14):  # from there on annotations are made when they are asked for
    from typing import Any as Any
    from typing import Callable as Callable
    from typing import Dict as Dict
    from typing import FrozenSet as FrozenSet
    from typing import Generic as Generic
    from typing import Iterable as Iterable
    from typing import Iterator as Iterator
    from typing import List as List
    from typing import Mapping as Mapping
    from typing import Match as Match
    from typing import NamedTuple as NamedTuple
    from typing import NoReturn as NoReturn
    from typing import Optional as Optional
    from typing import Pattern as Pattern
    from typing import Sequence as Sequence
    from typing import Set as Set
    from typing import Tuple as Tuple
    from typing import TypeVar as TypeVar
    from typing import Union as Union
else:
    from collections import namedtuple

    class _Word:
        def __getitem__(self, of):
            return self

    Any = Callable = Dict = FrozenSet = Iterable = Iterator = List = Mapping = Match = NoReturn = Optional = _Word()
    Pattern = Sequence = Set = Tuple = Union = Any

    def TypeVar(name):
        return Any

    class Generic:
        def __class_getitem__(cls, of):
            return cls

    class _NamedTupleType(type):
        def __new__(cls, name, bases, said):
            if not bases:
                return super().__new__(cls, name, bases, said)
            fields = said.pop("__annotations__", {})
            defaults = [said.pop(field) for field in fields if field in said]
            made = namedtuple(name, fields, defaults=defaults, module=said["__module__"])
            for key, value in said.items():
                if key not in ("__module__", "__qualname__"):
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_NamedTupleType):
        pass
