"""How often each pod is asked to tell what is new, by how closely somebody looks at it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

#: How somebody looks: at the app; at something else, with the app perhaps in sight; or not at all.
Attention = Literal["looking", "beside", "away"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a pod samples, and looks whether its runs have changed, seconds."""

    sample_interval_s: float = 1.0
    runs_interval_s: float = 0.5

    def fields(self) -> dict[str, float]:
        """Of a `hello` or `rate` request."""
        return asdict(self)


#: The paces of pods in view and of the others. What a pod does not tell at once, it tells when it comes into view.
_PACES: dict[Attention, tuple[Pace, Pace]] = {
    "looking": (Pace(), Pace(5.0, 2.0)),
    "beside": (Pace(2.0, 1.0), Pace(10.0, 5.0)),
    "away": (Pace(10.0, 5.0), Pace(10.0, 5.0)),
}

#: All pods out of view together tell so many samples, and as many times of their runs, a second at most.
_MOST_PER_S = 40.0

#: A pod tells its samples and its runs at least this often, seconds.
_LONGEST_S = 60.0


def paces(pods: Iterable[str], in_view: Collection[str], attention: Attention) -> Iterator[tuple[str, Pace]]:
    """The pace of each pod. What is out of view costs the same however many pods there are, as far as that can be."""
    names = list(pods)
    near, far = _PACES[attention]
    least = min(_LONGEST_S, len(names) / _MOST_PER_S)
    far = Pace(max(far.sample_interval_s, least), max(far.runs_interval_s, least))
    if attention == "away":
        near = far
    return ((name, near if name in in_view else far) for name in names)
