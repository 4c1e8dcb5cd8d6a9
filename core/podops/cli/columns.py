"""Which columns of a table stand on a terminal of some width, and how wide each of them is."""

from __future__ import annotations

from collections.abc import Sequence

#: What stands between two columns.
GAP = "  "

#: Texts that are cut where there is no room, the first one first, and how much is left of each.
_CUT = ("NOTE", "EVIDENCE", "WAITS FOR", "PRESET", "REASON", "POD")
_LEAST = 10

#: Columns that are left out where cutting is not enough, the first one first. What is in none of these lists names a
#: row or says how it stands.
_LEFT_OUT = (
    *("PRESET", "VIA", "LOSS", "CPU", "$/H", "MEMORY", "PRIO", "STEP", "SINCE", "DISK FREE"),
    *("NOTE", "WAITS FOR", "ELAPSED", "REASON", "RUNS", "GPUS"),
)


def fit(headers: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> dict[int, int]:
    """The columns that are shown, each with its width; together they are no wider than `room`."""
    widths = {i: max([len(header), *(len(row[i]) for row in rows)]) for i, header in enumerate(headers)}
    for i in reversed(range(len(headers))):
        if _excess(widths, room) and all(row[i] in ("", "-") for row in rows):
            del widths[i]
    at = {header: i for i, header in enumerate(headers)}
    least = widths | {at[name]: min(widths[at[name]], _LEAST) for name in _CUT if at.get(name) in widths}
    for name in _LEFT_OUT:
        if _excess(least, room) and at.get(name) in least:
            del least[at[name]], widths[at[name]]
    for i in (at[name] for name in _CUT if at.get(name) in widths):
        widths[i] = max(least[i], widths[i] - _excess(widths, room))
    for i in sorted(widths, key=widths.__getitem__, reverse=True):
        widths[i] = max(1, widths[i] - _excess(widths, room))
    return widths


def _excess(widths: dict[int, int], room: int) -> int:
    return max(0, sum(widths.values()) + len(GAP) * (len(widths) - 1) - room)
