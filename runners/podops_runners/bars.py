"""Progress bars of tqdm, Lightning, rich, Ultralytics and torchtune: which step, of which epoch, with what values."""

import re

from podops_runners.column_bars import ColumnBars
from podops_runners.loss_lines import NUMBER, names_loss, pairs, read
from podops_runners.typed import Dict, Match, Optional, Tuple

_BAR = re.compile(r"(\d+)/(\d+) \[(?:\d+:)?\d+:\d+<")
#: `━━━━╸─── 24/60 3.1it/s`; not `━━━━ 24/60 MB`.
_DRAWN = r"[━╸─] *(\d+)/(\d+) (?=[\d.]+it/s|\d+:\d\d| ?[\d.]+s)"
#: `Epoch 3: 40%|…`, `[epoch 3/10] …`: before a bar it says that these are the steps of that epoch.
_EPOCH = re.compile(r"epoch[ =:#\[]*(\d+)(?![\d%])(?:\s*/\s*(\d+))?", re.I)
#: torchtune's `1|120|Loss: 2.3: 40%|…`: the epoch, and the steps of all.
_TUNE = r"(\d+)\|\d+\|(?=Loss)"
_VALUE = re.compile(r"([A-Za-z_][\w/]*)=({0})(?=[,\s\]]|$)".format(NUMBER))

#: Values, the epoch and of how many.
Said = Tuple[Dict[str, float], Optional[int], Optional[int]]


def find_bar(line: str) -> "Optional[Match[str]]":
    """The steps of a bar and their total, where a line is one; it has a `<` or a `━` then."""
    found = _BAR.search(line) if "<" in line else None
    return re.search(_DRAWN, line) if found is None and "━" in line else found


def read_bar(columns: ColumnBars, said: str, behind: str) -> Said:
    """What stands before a bar, and behind its counts."""
    table = columns.read(said)
    if table is not None:
        return table
    tune = re.match(_TUNE, said) if said[:1].isdigit() else None
    if tune is not None:
        return _values(said[tune.end() :], behind), int(tune.group(1)), None
    found = _EPOCH.search(said)
    if found is None:
        return _values(said, behind), None, None
    return _values(said, behind), int(found.group(1)), int(found.group(2)) if found.group(2) else None


def _values(said: str, behind: str) -> Dict[str, float]:
    values = {name: float(number) for name, number in _VALUE.findall(behind)} if "=" in behind else {}
    if not values and names_loss(behind):
        return pairs(behind)
    told = read(said) if not values and names_loss(said) else None
    return values if told is None else dict(told.values)
