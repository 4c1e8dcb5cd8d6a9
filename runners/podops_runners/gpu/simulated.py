"""Simulated GPUs for the demo. Nothing here is measured, and everything says so."""

import math
import time

from podops_runners.gpu import card
from podops_runners.typed import Any, Dict

_TOTAL = 80 * 1024**3


class SimulatedGpus:
    """`count` GPUs whose numbers move gently."""

    def __init__(self, count: int) -> None:
        self._count = max(0, min(count, 64))

    def report(self) -> Dict[str, Any]:
        """GpuReport in its wire form, its source `simulated`."""
        gpus = [self._gpu(index, time.time()) for index in range(self._count)]
        return {"source": "simulated", "message": "simulated, not measured", "driver": "", "cuda": "", "gpus": gpus}

    def close(self) -> None:
        pass

    def _gpu(self, index: int, now: float) -> Dict[str, Any]:
        # A free GPU uses little; every second one looks busy, so that both can be seen.
        busy = index % 2 == 0
        wave = 0.5 + 0.5 * math.sin(now / 7.0 + index)
        gpu = card.unread(index, "SIMULATED-{}".format(index), "Simulated GPU")
        gpu.update(
            utilization_percent=round(70 + 29 * wave) if busy else 0,
            memory_utilization_percent=round(40 + 20 * wave) if busy else 0,
            memory_used_bytes=int(_TOTAL * (0.6 + 0.2 * wave)) if busy else 3 * 1024**2,
            memory_total_bytes=_TOTAL,
            temperature_c=round(52 + 18 * wave) if busy else 34,
            power_w=round(420 + 220 * wave) if busy else 62,
            power_limit_w=700,
            clock_sm_mhz=1980 if busy else 345,
            clock_sm_max_mhz=1980,
            clock_reasons=[] if busy else ["idle"],
        )
        return gpu
