"""How many GPUs, or which, as a person types it."""

from __future__ import annotations

from podops.config.model import GpuRequest
from podops.errors import UsageError


def parse_gpu_request(text: str) -> GpuRequest:
    """`2`, `all` or `0,1,3` (`0,` is the one with that index); nothing is `None`. Raises `UsageError`."""
    text = text.strip()
    if not text:
        return None
    if text == "all":
        return "all"
    try:
        numbers = tuple(int(part) for part in text.removesuffix(",").split(","))
    except ValueError:
        raise UsageError(f"gpus: {text!r} is not a number, `all`, or indices such as 0,1") from None
    if any(number < 0 for number in numbers):
        raise UsageError("gpus: a GPU number cannot be negative")
    return numbers[0] if "," not in text else numbers
