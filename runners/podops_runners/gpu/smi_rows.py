"""What `nvidia-smi --query-gpu` prints: which fields are asked, and one row as a GpuSample."""

import re

from podops_runners.gpu import card, clock_reasons
from podops_runners.typed import Any, Callable, Dict, List, Optional, Tuple

_MIB = 1024 * 1024
_INDEX, _UUID, _NAME, _REASONS, _MIG, _DRIVER = (
    "index",
    "uuid",
    "name",
    "clocks_event_reasons.active",
    "mig.mode.current",
    "driver_version",
)

#: The name of a field in older drivers.
OLDER = {_REASONS: "clocks_throttle_reasons.active"}

#: Cells that are numbers: field of nvidia-smi, cell of a GpuSample, how the number is turned into it.
_NUMBERS: Dict[str, Tuple[str, Callable[[float], Any]]] = {
    "utilization.gpu": ("utilization_percent", float),
    "utilization.memory": ("memory_utilization_percent", float),
    "memory.used": ("memory_used_bytes", lambda mebibytes: int(mebibytes * _MIB)),
    "memory.total": ("memory_total_bytes", lambda mebibytes: int(mebibytes * _MIB)),
    "temperature.gpu": ("temperature_c", int),
    "power.draw": ("power_w", float),
    "enforced.power.limit": ("power_limit_w", float),
    "clocks.sm": ("clock_sm_mhz", int),
    "clocks.mem": ("clock_memory_mhz", int),
    "clocks.max.sm": ("clock_sm_max_mhz", int),
    "clocks.max.mem": ("clock_memory_max_mhz", int),
    "ecc.errors.uncorrected.volatile.total": ("ecc_volatile", int),
    "ecc.errors.uncorrected.aggregate.total": ("ecc_aggregate", int),
    "pcie.link.gen.current": ("pcie_generation", int),
    "pcie.link.gen.max": ("pcie_generation_max", int),
    "pcie.link.width.current": ("pcie_width", int),
    "pcie.link.width.max": ("pcie_width_max", int),
    "fan.speed": ("fan_percent", int),
}

FIELDS = [_INDEX, _UUID, _NAME, *_NUMBERS, _REASONS, _MIG, _DRIVER]

#: What nvidia-smi says instead of a value that a card does not have; anything else in its place is a fault.
_ABSENT = ("[n/a]", "n/a", "[not supported]", "[not available]", "[insufficient permissions]", "[not found]", "")


def parse_row(line: str, fields: List[str]) -> Optional[Dict[str, Any]]:
    """One row as a GpuSample with a `driver` beside its cells; `None` for what is no row."""
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != len(fields):
        return None
    row = {field: cells[position] for position, field in enumerate(fields)}
    if not row.get(_INDEX, "").isdigit():
        return None
    gpu = card.unread(int(row[_INDEX]), _plain(row.get(_UUID, "")), _plain(row.get(_NAME, "")))
    for field, (cell, convert) in _NUMBERS.items():
        if field in row:
            _fill(gpu, cell, row[field], convert)
    for field in (_REASONS, OLDER[_REASONS]):
        if field in row:
            _fill(gpu, "clock_reasons", row[field], lambda bits: clock_reasons.words(int(bits)))
    gpu["clock_reasons"] = gpu["clock_reasons"] or []
    mode = row.get(_MIG, "")
    gpu["mig_enabled"] = {"enabled": True, "disabled": False}.get(mode.lower())
    gpu["error"] = next((text for text in cells if text[:1] == "[" and card.is_fatal(text)), "").strip("[]")
    gpu["driver"] = _plain(row.get(_DRIVER, ""))
    return gpu


def parse_instances(listing: str) -> Dict[str, List[Dict[str, Any]]]:
    """The MIG instances in what `nvidia-smi -L` prints, by the uuid of their GPU."""
    found: Dict[str, List[Dict[str, Any]]] = {}
    gpu = ""
    for line in listing.splitlines():
        card_line = re.match(r"GPU \d+: .*\(UUID: (GPU-[^)]+)\)", line)
        if card_line:
            gpu = card_line.group(1)
            continue
        instance = re.match(r"\s+MIG (.+?)\s+Device\s+(\d+): \(UUID: (MIG-[^)]+)\)", line)
        if instance and gpu:
            facts = {"index": int(instance.group(2)), "uuid": instance.group(3), "name": "MIG " + instance.group(1)}
            unknown = ("gpu_instance", "compute_instance", "memory_used_bytes", "memory_total_bytes")
            found.setdefault(gpu, []).append({**facts, **dict.fromkeys(unknown)})
    return found


def _fill(gpu: Dict[str, Any], cell: str, text: str, convert: Callable[[float], Any]) -> None:
    if text.lower() in _ABSENT:
        return
    number = _number(text)
    gpu[cell] = None if number is None else convert(number)
    if number is None:
        gpu["cell_errors"][cell] = text.strip("[]")[:80]


def _number(text: str) -> Optional[float]:
    try:
        number = float(int(text, 16)) if text.lower().startswith("0x") else float(text)
    except ValueError:
        return None
    return number if abs(number) < 2.0**63 else None  # neither nan nor infinity


def _plain(text: str) -> str:
    return "" if text.startswith("[") else text
