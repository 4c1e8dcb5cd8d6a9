"""One GPU in its wire form: which cells it has, and how one that cannot be read is told."""

from podops_runners.typed import Any, Dict

_UNREAD: Dict[str, Any] = {
    "utilization_percent": None,
    "memory_utilization_percent": None,
    "memory_used_bytes": None,
    "memory_total_bytes": None,
    "temperature_c": None,
    "temperature_limit_c": None,
    "power_w": None,
    "power_limit_w": None,
    "clock_sm_mhz": None,
    "clock_memory_mhz": None,
    "clock_sm_max_mhz": None,
    "clock_memory_max_mhz": None,
    "ecc_volatile": None,
    "ecc_aggregate": None,
    "pcie_generation": None,
    "pcie_width": None,
    "pcie_generation_max": None,
    "pcie_width_max": None,
    "pcie_rx_bytes_per_s": None,
    "pcie_tx_bytes_per_s": None,
    "fan_percent": None,
    "mig_enabled": None,
}


def unread(index: int, uuid: str = "", name: str = "", error: str = "") -> Dict[str, Any]:
    """A GPU of which nothing is known but its name; `error` says why."""
    return dict(
        _UNREAD,
        index=index,
        uuid=uuid,
        name=name or "GPU {}".format(index),
        clock_reasons=[],
        instances=[],
        processes=[],
        cell_errors={},
        error=error,
    )


def forgotten(card: Dict[str, Any], error: str) -> Dict[str, Any]:
    """`card` without its values, which are too old to be believed."""
    return unread(card["index"], card["uuid"], card["name"], error)


def is_fatal(text: str) -> bool:
    """Whether an error of one cell speaks of the whole card ("GPU is lost", "GPU requires reset")."""
    lowered = text.lower()
    return any(word in lowered for word in ("lost", "reset", "restart", "fallen off"))
