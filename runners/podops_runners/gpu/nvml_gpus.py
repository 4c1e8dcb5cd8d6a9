"""The GPUs of a pod through NVML: all of them, at the rate each thing is worth."""

import time

from podops_runners.gpu import card
from podops_runners.gpu.nvml import Nvml, QueryFailed
from podops_runners.gpu.nvml_card import NvmlCard
from podops_runners.typed import Any, Dict, List, Tuple


class NvmlGpus:
    """Every GPU that NVML shows. The handles are kept; only what changes is asked each time."""

    def __init__(self, seen: Dict[str, str]) -> None:
        """`seen` are GPUs shown before, by uuid, with their names; it is kept up to date. Raises `NvmlUnavailable`."""
        self._nvml = Nvml()
        self._seen = seen
        self._cards: List[NvmlCard] = []
        self._reports = 0
        self._driver = self._said(("nvmlSystemGetDriverVersion",))
        cuda = self._said(("nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion"))
        self._cuda = "{}.{}".format(cuda // 1000, cuda % 1000 // 10) if isinstance(cuda, int) else ""

    def report(self) -> Dict[str, Any]:
        """GpuReport in its wire form. Raises `NvmlUnavailable` when the driver went away."""
        problem = self._count()
        # The PCIe counters take the driver 20 ms each: one GPU a report, and none in the first, which is waited for.
        turn = self._reports % len(self._cards) if self._cards and self._reports else -1
        self._reports += 1
        now = time.monotonic()
        gpus = [each.read(now, with_traffic=each.index == turn) for each in self._cards]
        message = problem or self._missing(gpus) or ("" if gpus else "the NVIDIA driver is loaded, but shows no GPU")
        return {"source": "nvml", "message": message, "driver": self._driver or "", "cuda": self._cuda, "gpus": gpus}

    def forgotten(self, error: str) -> List[Dict[str, Any]]:
        """The GPUs last known, without their values."""
        return [card.forgotten(each.facts, error) for each in self._cards]

    def close(self) -> None:
        self._nvml.close()

    def _count(self) -> str:
        """Have a card for each GPU; what is wrong, in words."""
        try:
            count = int(self._nvml.ask(("nvmlDeviceGetCount",)) or 0)
        except QueryFailed as error:
            return "the GPUs cannot be counted: {}".format(error)
        if count != len(self._cards):
            # The indices may now mean other devices.
            self._cards = [NvmlCard(self._nvml, index) for index in range(count)]
        return ""

    def _missing(self, gpus: List[Dict[str, Any]]) -> str:
        shown = {gpu["uuid"]: "GPU {} {}".format(gpu["index"], gpu["name"]) for gpu in gpus if gpu["uuid"]}
        self._seen.update(shown)
        gone = ["{} ({})".format(name, uuid) for uuid, name in self._seen.items() if uuid not in shown]
        return "gone since it was last seen: " + ", ".join(gone) if gone else ""

    def _said(self, names: Tuple[str, ...]) -> Any:
        try:
            return self._nvml.ask(names)
        except QueryFailed:
            return None
