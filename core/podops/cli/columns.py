"""Which columns of a table stand on a terminal of some width, and how wide each of them and what is in it is."""

from __future__ import annotations

from collections.abc import Sequence

#: What stands between two columns.
GAP = "  "

#: Texts that are cut where there is no room, the first one first, and how much is left of each. Less of a note tells
#: nothing, and a run id that was made up stands whole.
_CUT = ("NOTE", "EVIDENCE", "WAITS FOR", "PRESET", "RUN", "REASON", "POD")
_LEAST = {"NOTE": 20, "RUN": 32}
_LEAST_OF_OTHERS = 10

#: Texts that differ at their ends are cut in the middle.
_IN_THE_MIDDLE = "RUN"

#: Columns that are left out where cutting is not enough, the first one first. What is in none of these lists names a
#: row or says how it stands.
_LEFT_OUT = (
    *("PRESET", "VIA", "CPU", "$/H", "MEMORY", "PRIO", "SINCE", "DISK FREE", "NOTE"),
    *("ELAPSED", "EPOCH", "STEP", "WAITS FOR", "LOSS", "REASON", "RUNS", "GPUS"),
)


def fit(headers: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> dict[int, int]:
    """The columns that are shown, each with its width; together they are no wider than `room`."""
    widths = {i: max([len(header), *(width_of(row[i]) for row in rows)]) for i, header in enumerate(headers)}
    for i in reversed(range(len(headers))):
        if _excess(widths, room) and all(row[i] in ("", "-") for row in rows):
            del widths[i]
    if not _excess(widths, room):
        return widths
    at = {header: i for i, header in enumerate(headers)}
    cut = [at[name] for name in _CUT if at.get(name) in widths]
    least = widths | {i: _least(headers[i], [row[i] for row in rows], widths[i]) for i in cut}
    shown = _shown(least, [at[name] for name in _LEFT_OUT if at.get(name) in least], room)
    widths = {i: width for i, width in widths.items() if i in shown}
    for i in cut:
        if i in shown:
            widths[i] = max(least[i], widths[i] - _excess(widths, room))
    for i in sorted(widths, key=widths.__getitem__, reverse=True):
        widths[i] = max(1, widths[i] - _excess(widths, room))
    return widths


def _least(header: str, texts: Sequence[str], width: int) -> int:
    """The width a column that is cut has at least; one of names so much that no two of them look the same."""
    least = min(width, _LEAST.get(header, _LEAST_OF_OTHERS))
    if header == _IN_THE_MIDDLE:
        names = set(texts)
        while least < width and len({filled(name, least, header) for name in names}) < len(names):
            least += 1
    return least


def _shown(least: dict[int, int], left_out: Sequence[int], room: int) -> set[int]:
    """The columns that have room, each with its least width; `left_out` goes from what is missed least."""
    shown = dict(least)
    gone = [i for i in left_out if _excess(shown, room) and shown.pop(i)]
    for i in reversed(gone):
        # What was left out first may have been narrower than what went after it.
        if not _excess(shown | {i: least[i]}, room):
            shown[i] = least[i]
    return set(shown)


def width_of(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    # Here, because few tables need it, and every command would wait for it.
    from rich.cells import cell_len

    return cell_len(text)


def filled(text: str, width: int, header: str = "") -> str:
    """`text` of a column, cut or filled up with blanks, so that it takes `width` columns of a terminal."""
    taken = width_of(text)
    if taken <= width:
        return text + " " * (width - taken)
    if text.isascii():
        end = (width - 1) // 3 if header == _IN_THE_MIDDLE else 0
        return text[: width - 1 - end] + "…" + text[len(text) - end :]
    from rich.cells import set_cell_size

    return set_cell_size(text, width - 1) + "…"


def _excess(widths: dict[int, int], room: int) -> int:
    return max(0, sum(widths.values()) + len(GAP) * (len(widths) - 1) - room)
