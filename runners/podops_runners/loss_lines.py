"""Lines in which a loop somebody wrote tells its loss: `step=10 loss=3.2`, `Epoch 3/10, val loss: 2.98`, `loss: 2.98`.

A line has to begin with how far the run is, or with a loss: prose in which one is mentioned is left alone.
"""

import re
from functools import lru_cache

from podops_runners.typed import Dict, NamedTuple, Optional, Pattern, Sequence, Tuple
from podops_runners.validation import as_validation, named_in, named_last_in

#: No pattern here may have two ways to read the same text: a run's line must not hold its supervisor up.
NUMBER = r"[-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|[nN][aA][nN]|[iI][nN][fF])"

#: `Epoch 3/10`, `[Step 100]`, `| iteration     10/  5000`, `Train Epoch: 1`; then what parts it from what follows.
_COUNT = r"[\[|]?\s*(?:[Tt]rain(?:ing)? )?([A-Za-z_]+)[ =:#]*\[?(\d+)(?:\s*/\s*(\d+))?(?=[\]\s,;:|-]|$)[\]\s,;:|-]*"

#: What a count may be called, and which of the two it is.
_COUNTS = dict.fromkeys(("step", "global_step", "it", "iter", "iteration", "batch"), "step")
_COUNTS.update(dict.fromkeys(("ep", "epoch"), "epoch"))
_FIRST = frozenset("[| eEsSiIbBgGtT")

#: timm's `Train: 0 [  10/1251 (  1%)]`, MMEngine's `Epoch(train)  [1][ 50/100]` and `Iter(train) [ 50/100]`.
_TRAIN = (
    r"(?:Train:\s*(\d+)\s*|Epoch\(train\)\s*\[(\d+)\]|Iter\(train\)\s*)"
    r"\[\s*(\d+)/\s*(\d+)(?:\s*\(\s*\d+%\))?\]\s*"
)

#: What may follow a count of epochs: `200/ 2983 batches | `, `10 / 100 loss`, `[10/200] `, `[640/60000 (1%)] `.
_BATCHES_FIRST = frozenset("[0123456789")
_BATCHES = (
    r"(?:(\d+)\s*/\s*(\d+)(?: (?:batches|steps|iters|iterations)\b|(?=[\s,;:|-]{1,3}[lL]oss))"
    r"|\[\s*(\d+)\s*/\s*(\d+)(?:\s*\(\s*[\d.]+%\))?\])[\s,;:|-]*"
)

#: `[10/200] `, `[1/3] [10/200] ` in place of any name.
_BARE = r"(?:\[\s*(\d+)\s*/\s*(\d+)\]\s*)?\[\s*(\d+)\s*/\s*(\d+)\][\s:|-]*"

#: Keras' `40/60 ━━━━ 0s 5ms/step - `, `40/60 [===>...] - ETA: 3s - ` and, at the end of an epoch, `60/60 - 3s - `.
_KERAS = r"(\d+)/(\d+) (?:[━\[]|- \d+s )"

#: `name: 1.5`, `val loss=1.5`, `loss 1.5`, `loss: tensor(1.5, …`, with the word before the name.
_VALUE = (
    r"(?<![\w/.-])(?:([A-Za-z]+) )?([A-Za-z_][\w/]*)(?:\s*([=:])\s*|\s+)(?:tensor\()?({0})"
    r"(?=,(?!\d)|[;|\s)\]]|[:.](?:\s|$)|$)"
).format(NUMBER)

#: What is a metric also without a sign between its name and its number, beside a loss: `step 10 loss 3.2 lr 1e-4`.
_KNOWN = frozenset(
    "lr acc acc1 acc5 top1 top5 accuracy ppl perplexity bpb bpc bleu f1 auc iou mfu grad_norm gnorm wd".split()
)

#: A name and a number: where nothing else stands to the end, whatever has a name is a metric.
_PAIR = r"[A-Za-z_][\w/]*(?:\s*[=:]\s*|\s+){0}(?:[,;|\s]+|$)".format(NUMBER)

#: How the word begins that says whose values follow a count: `val`, `(eval`, `test`.
_VALIDATES_FIRST = frozenset("vVeEtT([")

#: Words after a count that are not those of a value: `epoch 2 done  val_loss 0.64`.
_DONE_FIRST = frozenset("dfce")
_DONE = r"(?:done|finished|completed?|ended)\b[\s,;:|-]*"

#: Which loss it is by the word before it. With any other word, `best` say, it is not that of the run just now.
_WHICH = {"train": "train_", "training": "train_", "val": "val_", "valid": "val_", "validation": "val_"}
_WHICH.update({"eval": "eval_", "test": "test_", "avg": "", "average": "", "mean": "", "running": "", "lm": "", "": ""})

#: A part of what loggers and launchers put before a line: `[rank0]: `, `2026-11-21 02:17:09,123 - `, `train - INFO - `,
#: `INFO:root:`; so many of them at most, and how what follows them begins.
_BEFORE = (
    r"\[[^\[\]]{1,60}\]:?\s*(?:- )?|[\d/:.,TZ+-]{5,32}\s+(?:[-|]\s+)?"
    r"|(?:[\w.]{1,60} - )?(?:INFO|DEBUG)\b[\s:|-]*(?:[A-Za-z_][\w.]{0,60}(?::| - | \| )\s*(?![\d\s]))?"
)
_MOST_BEFORE = 8
_BEGINS = r"\W{0,2}(?:[A-Za-z]+[ _])?(?:[Ee]p|[Ss]tep|[Ii]t|[Bb]atch|[Ll]oss)"


#: Of `step` and `epoch`: the number, and of how many.
Counts = Dict[str, Tuple[int, Optional[int]]]


class Told(NamedTuple):
    """What a line tells; `validates`: it says that it is one of a validation, and its values are named so."""

    values: Dict[str, float]
    counts: Counts
    validates: bool = False


@lru_cache(maxsize=16)
def _compiled(pattern: str) -> Pattern[str]:
    # When the first line needs it: a run that tells nothing so waits for no pattern at its start.
    return re.compile(pattern)


def names_loss(line: str) -> bool:
    return "loss" in line or "Loss" in line


def read(line: str) -> Optional[Told]:
    """The values of a line, and how far it says the run is; `None` for one that tells neither a step nor a loss.

    One that says nothing but `Epoch 2/3` has no values.
    """
    found = _read(line)
    if found is None and names_loss(line):
        bare = _compiled(_BARE).match(line) if line[0] == "[" else None
        if bare is not None and _begins_with_value(line[bare.end() :]):
            return Told(pairs(line[bare.end() :]), _bare_counts(bare.groups()))
        keras = _compiled(_KERAS).match(line) if line[0].isdigit() else None
        if keras is not None:
            return Told(pairs(line[keras.end() :]), _bare_counts((None, None, *keras.groups())))
        return _read_behind_prefix(line)
    return found


def _read_behind_prefix(line: str) -> Optional[Told]:
    end = 0
    for _ in range(_MOST_BEFORE):
        part = _compiled(_BEFORE).match(line, end)
        if part is None:
            return None
        end = part.end()
        found = _read(line[end:]) if _compiled(_BEGINS).match(line, end) else None
        if found is not None:
            which = named_last_in(line[:end])
            return Told(as_validation(found.values, which), found.counts, True) if which else found
    return None


def _read(line: str) -> Optional[Told]:
    counts, end = _counts(line)
    if not counts and not _begins_with_loss(line):
        return None
    values = pairs(line[end:], bool(counts) and names_loss(line))
    if not values and end == len(line) and "step" not in counts and counts.get("epoch", (0, None))[1]:
        return Told(values, counts)
    if "step" not in counts:
        for name in _COUNTS:
            if _COUNTS[name] == "step" and values.get(name, 0.5).is_integer():
                counts["step"] = int(values.pop(name)), None
        if "step" not in counts and not any(name.endswith("loss") for name in values):
            return None
    which = _validation(line, end) if counts and values else ""
    if which:
        return Told(as_validation(values, which), counts, True)
    return Told(values, counts) if values else None


def _validation(line: str, end: int) -> str:
    """Whose a line says its values are between its count and the first of them: `epoch 3 | val | loss 2.3`."""
    first = _compiled(_VALUE).search(line, end) if line[end : end + 1] in _VALIDATES_FIRST else None
    return named_in(line[end : first.start()]) if first else ""


def _counts(line: str) -> Tuple[Counts, int]:
    """Also where what comes after them begins."""
    counts, end = {}, 0  # type: Counts, int
    match = _compiled(_TRAIN).match(line) if line[:6] == "Train:" or line[4:12].find("(train)") >= 0 else None
    if match is not None:
        epoch = match.group(1) or match.group(2)
        counts["step"] = int(match.group(3)), int(match.group(4))
        counts.update({"epoch": (int(epoch), None)} if epoch else {})
        return counts, match.end()
    while line[end : end + 1] in _FIRST:
        match = _compiled(_COUNT).match(line, end)
        if match is None:
            break
        name, number, total = match.groups()
        kind = _COUNTS.get(name.lower())
        if kind is None:
            break
        end = match.end()
        counts[kind] = int(number), int(total) if total else None
    if "epoch" in counts:
        may_count = "step" not in counts and line[end : end + 1] in _BATCHES_FIRST
        match = _compiled(_BATCHES).match(line, end) if may_count else None
        if match is not None:
            counts["step"] = int(match.group(1) or match.group(3)), int(match.group(2) or match.group(4))
            end = match.end()
        elif line[end : end + 1] in _DONE_FIRST:
            match = _compiled(_DONE).match(line, end)
            end = match.end() if match else end
    return counts, end


def _bare_counts(told: "Sequence[Optional[str]]") -> Counts:
    """Of `[1/3] [10/200]`, or of its last part."""
    epoch, epochs, step, steps = told
    counts = {"step": (int(step or 0), int(steps or 0))}  # type: Counts
    if epoch and epochs:
        counts["epoch"] = int(epoch), int(epochs)
    return counts


def _begins_with_loss(line: str) -> bool:
    match = _compiled(_VALUE).match(line) if names_loss(line) else None
    if match is None:
        return False
    word, name, sign, number = match.groups()
    # `loss 3 times` is no loss.
    told = name.lower().endswith("loss") and (word or "").lower() in _WHICH
    return told and bool(sign or "." in number)


def _begins_with_value(text: str) -> bool:
    match = _compiled(_VALUE).match(text)
    return match is not None and (_begins_with_loss(text) or bool(match.group(3) and not match.group(1)))


def pairs(text: str, counted: bool = False) -> Dict[str, float]:
    """Names and numbers with a sign between them.

    With `counted`, a count came before `text`, and a loss is named in it: a sign is not always needed.
    """
    values = {}  # type: Dict[str, float]
    all_pairs = None  # type: Optional[bool]
    for word, told, sign, number in _compiled(_VALUE).findall(text):
        is_loss = told[-4:].lower() == "loss"
        if not sign and not (is_loss and len(told) == 4):
            if not counted:
                continue
            if not is_loss and told.lower() not in _KNOWN:
                if all_pairs is None:
                    all_pairs = _is_pairs(text)
                if not all_pairs:
                    continue
        name = told.lower() if is_loss else told
        if word:
            name = _WHICH[word.lower()] + name if name == "loss" and word.lower() in _WHICH else word + "_" + name
        if name not in values:
            values[name] = float(number)
    return values


def _is_pairs(text: str) -> bool:
    end = 0
    while end < len(text):
        pair = _compiled(_PAIR).match(text, end)
        if pair is None:
            return False
        end = pair.end()
    return True
