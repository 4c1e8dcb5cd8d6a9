"""Bars and lines that say of themselves that they are those of a validation: their loss is not that of the training."""

import re

from podops_runners.typed import Dict

#: `Validating`, `Epoch 3 [val]`, `eval_epoch 3`; not `val loss`, which names a value, nor `eval_interval`.
_NAME = (
    r"(?<![a-z0-9_])(?:(val(?:id(?:at(?:ion|ing|e))?)?)|(eval(?:uat(?:ion|ing|e))?)|(test(?:ing)?))"
    r"(?![a-z0-9]|_(?!epoch|step|batch|loop|loader|data|set)|[ ./](?:loss|acc|ppl|perp|f1|auc|map|iou|bleu|err|score))"
)
_TRAINS = r"train|fit"

#: What is said between brackets or bars right before the rest of a line: `[val] `, `| valid | `.
_LAST_PART = r"(?:\[|\| )([A-Za-z]{3,10})(?:\]| \|)[\s:|-]*$"

_PREFIXES = ("val_", "eval_", "test_")
_NAMED = ("val", "eval", "test", "train")


def named_in(text: str) -> str:
    """What the metrics of a validation begin with, by the words that stand before them; empty for any other."""
    low = text.lower()
    # Of most bars this is all the work.
    found = re.search(_NAME, low) if "val" in low or "test" in low else None
    if found is None or re.search(_TRAINS, low):
        return ""
    return _PREFIXES[(found.lastindex or 1) - 1]


def named_last_in(text: str) -> str:
    """The same by what a logger wrote before a line; the names of loggers and scripts in it say nothing."""
    found = re.search(_LAST_PART, text)
    return named_in(found.group(1)) if found else ""


def as_validation(values: Dict[str, float], prefix: str) -> Dict[str, float]:
    """Metrics under names that tell whose they are."""
    return {name if name.lower().startswith(_NAMED) else prefix + name: value for name, value in values.items()}
