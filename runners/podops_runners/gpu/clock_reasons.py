"""Why a GPU's clocks are where they are: NVML's bits, and nvidia-smi's `clocks_event_reasons.active`, as words."""

from podops_runners.typed import List

_WORDS = {
    0x001: "idle",
    0x002: "application clocks",
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "power brake",
    0x100: "display clocks",
    0x200: "board limit",
    0x400: "reliability",
}


def words(bits: int) -> List[str]:
    """The reasons in `bits`, lowest first; a bit without a name is told by its number."""
    single = (1 << position for position in range(64))
    return [_WORDS.get(bit, "reason 0x{:x}".format(bit)) for bit in single if bits & bit]
