"""Who starts next, and on which GPUs: a pure function of the queue and the GPUs, nothing else.

By priority, then first come. A run that needs more GPUs than are free reserves: it keeps those that are free for itself
and gets what is given back, so that narrow runs behind it cannot starve it. It does so only while it can be served
at all: GPUs in use by processes of others are not ours to wait for, and nothing stands idle for their sake.
"""

import os

from podops_runners.typed import Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple


class Want(NamedTuple):
    """One waiting run, in queue order. Exactly one of the three says what it wants; none of them: no GPU at all."""

    #: Its run directory.
    key: str
    number: int = 0
    every: bool = False
    indices: Tuple[int, ...] = ()


class Gpus(NamedTuple):
    """The GPUs of a machine by index. `ours` are claimed by runs of ours, `foreign` are in use by somebody else's."""

    every: FrozenSet[int] = frozenset()
    ours: FrozenSet[int] = frozenset()
    foreign: FrozenSet[int] = frozenset()


class Decision(NamedTuple):
    """`gpus`: start now, on these (maybe none). `None`: wait, `why` tells for what."""

    key: str
    gpus: Optional[Tuple[int, ...]]
    why: str = ""


def decide(wants: Sequence[Want], gpus: Gpus) -> List[Decision]:
    """One decision per want. No GPU is given twice, and none that is in use."""
    free = set(gpus.every - gpus.ours - gpus.foreign)
    kept: Dict[int, str] = {}
    decisions: Dict[str, Decision] = {}
    for want in wants:
        needed = _needed(want, gpus)
        if needed is None:
            decisions[want.key] = Decision(want.key, None, _impossible(want, gpus))
            continue
        count, allowed = needed
        chosen = sorted(free & allowed)[:count]
        if len(chosen) == count:
            free -= set(chosen)
            decisions[want.key] = Decision(want.key, tuple(chosen))
            continue
        decisions[want.key] = Decision(want.key, None, _waiting(count, want, free & allowed, gpus, kept))
        if len(allowed - gpus.foreign) >= count:
            # Whatever runs of ours hold, or will hold before this one, is given back one day: it keeps what is free.
            kept.update(dict.fromkeys(free & allowed, want.key))
            free -= allowed
    return [decisions[want.key] for want in wants]


def _needed(want: Want, gpus: Gpus) -> Optional[Tuple[int, FrozenSet[int]]]:
    """How many GPUs, out of which; `None` for what this machine can never give."""
    if want.every:
        return (len(gpus.every), gpus.every) if gpus.every else None
    if want.indices:
        asked = frozenset(want.indices)
        return (len(asked), asked) if asked <= gpus.every else None
    return (want.number, gpus.every) if want.number <= len(gpus.every) else None


def _impossible(want: Want, gpus: Gpus) -> str:
    if want.indices:
        lacking = sorted(set(want.indices) - gpus.every)
        return "GPU {} is not there".format(", ".join(str(index) for index in lacking))
    if not gpus.every:
        return "no GPU can be seen on this pod"
    return "needs {} GPUs, the pod has {}".format(want.number, len(gpus.every))


def _waiting(count: int, want: Want, free: "set[int]", gpus: Gpus, kept: Dict[int, str]) -> str:
    which = " ({})".format(", ".join(str(index) for index in want.indices)) if want.indices else ""
    text = "waits for {} GPU{}{}: {} of {} free".format(
        count, "" if count == 1 else "s", which, len(free), len(gpus.every)
    )
    for key in sorted(set(kept.values())):
        text += ", {} kept for {}".format(list(kept.values()).count(key), os.path.basename(key))
    return text + (", {} in use by others".format(len(gpus.foreign)) if gpus.foreign else "")
