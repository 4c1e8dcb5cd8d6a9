"""Bars below a header that names what stands before them in columns, as Ultralytics draws them.

Epoch    GPU_mem   box_loss   cls_loss  Instances       Size
  1/3      2.34G      1.234      2.345         12        640:  40%|####      | 4/10 [00:01<00:02,  3.1it/s]
"""

from podops_runners.typed import Dict, List, Optional, Tuple


class ColumnBars:
    """Remembers the last header."""

    def __init__(self) -> None:
        self._names: List[str] = []

    def see(self, line: str) -> bool:
        """Whether a line is a header."""
        words = line.split()
        if words[:2] != ["Epoch", "GPU_mem"]:
            return False
        self._names = words
        return True

    def read(self, said: str) -> Optional[Tuple[Dict[str, float], int, int]]:
        """The losses in what stands before a bar, the epoch it is one of, and of how many."""
        words = said.split(None, len(self._names)) if self._names else []
        if len(words) < max(1, len(self._names)):
            return None
        epoch, _, epochs = words[0].partition("/")
        if not (epoch.isdecimal() and epochs.isdecimal() and max(len(epoch), len(epochs)) < 10):
            return None
        losses = {name: _number(words[i]) for i, name in enumerate(self._names) if name.endswith("loss")}
        values = {name: number for name, number in losses.items() if number is not None}
        return values, int(epoch), int(epochs)


def _number(word: str) -> Optional[float]:
    try:
        return float(word)
    except ValueError:
        return None
