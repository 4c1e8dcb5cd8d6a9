"""The value of a metric, which may be NaN or infinite: JSON has no such numbers, so they are written as words."""

import math

from podops_runners.typed import Any, Dict, Optional

#: The same objects each time, because NaN is equal to nothing: what a run tells is compared with what it told.
_WORDS = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf}


def json_safe(metrics: Dict[str, Any]) -> Dict[str, Any]:
    """NaN and infinities as words: a reader must not choke on them."""
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in metrics.items()
    }


def value_of(told: Any) -> Optional[float]:
    """A number, or the word for one that JSON lacks; `None` for anything else."""
    if isinstance(told, str):
        return _WORDS.get(told.lower()) if len(told) < 10 else None
    if isinstance(told, bool) or not isinstance(told, (int, float)):
        return None
    try:
        number = float(told)
    except OverflowError:
        return None
    return number if math.isfinite(number) else _WORDS[str(number)]
