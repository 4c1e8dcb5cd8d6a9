"""One piece of a run's log for somebody who reads it by range, forwards or backwards; what was freed is never sent."""

import os

from podops_runners import records
from podops_runners.log_marks import LogMarks, gap_at
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, Optional, Tuple


def read_piece(run: RunDir, offset: int, length: int, before: Optional[int]) -> Tuple[Dict[str, Any], bytes]:
    """The bytes from `offset` on (negative: from the end), or the last `length` bytes before `before`.

    The header tells the `offset` of the first byte, the `size` of the file, how many freed bytes (`gap`) lie before it
    or, read backwards, behind the last one, and which `attempts` begin in what was asked for. Raises `OSError`.
    """
    marks = LogMarks(run)
    gaps = marks.gaps()
    with open(run.stdout_log, "rb", opener=records.regular_file) as stream:
        size = os.fstat(stream.fileno()).st_size
        if before is None:
            asked = offset = max(0, size + offset) if offset < 0 else offset
            here = gap_at(gaps, offset)
            offset = min(here[1], size) if here else offset
            freed = offset - asked
            end = min([gap[0] for gap in gaps if gap[0] > offset] + [offset + length])
            reach = end
        else:
            asked = reach = min(max(0, before), size)
            over = next((gap for gap in gaps if gap[0] < reach <= gap[1]), None)
            end = over[0] if over else reach
            freed = reach - end
            offset = max([gap[1] for gap in gaps if gap[1] <= end] + [end - length, 0])
        stream.seek(offset)
        data = stream.read(max(0, end - offset))
    first = min(asked, offset)
    begins = [list(begin) for begin in marks.begins() if first <= begin.offset < reach]
    return {"offset": offset, "size": size, "gap": freed, "attempts": begins}, data
