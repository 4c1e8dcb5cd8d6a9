"""One GPU through NVML: each query is on its own, and one that fails costs one cell."""

from podops_runners.gpu import card, clock_reasons
from podops_runners.gpu.nvml import Nvml, QueryFailed
from podops_runners.typed import Any, Callable, Dict, List, Optional, Tuple

#: How often what changes rarely is asked, seconds.
SLOW_S = 10.0

#: NVML's "no such instance".
_NO_INSTANCE = 0xFFFFFFFF

#: Forms of one query, the preferred first; a driver may lack any of them.
_TEMPERATURE = ("nvmlDeviceGetTemperature", "nvmlDeviceGetTemperatureV")
_CLOCK_REASONS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
_PROCESSES = (
    ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"),
    ("nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2"),
)


class NvmlCard:
    """`facts` are what never changes, asked once; `read` asks the rest, each thing as often as it is worth."""

    def __init__(self, nvml: Nvml, index: int) -> None:
        self.index = index
        self.facts = card.unread(index)
        self._nvml = nvml
        self._handle: Optional[Any] = None
        self._slow: Dict[str, Any] = {}
        self._slow_errors: Dict[str, str] = {}
        self._slow_at: Optional[float] = None
        self._traffic: Dict[str, Any] = {}
        self._instances: List[Tuple[Any, Dict[str, Any]]] = []
        self._errors: Dict[str, str] = {}
        self._reopen = False

    def read(self, now: float, with_traffic: bool) -> Dict[str, Any]:
        """GpuSample in its wire form; `now` by the monotonic clock. Raises `NvmlUnavailable`."""
        self._errors = {}
        if self._reopen or self._handle is None:
            self._open()
        if self._handle is None:
            self._slow_at, self._traffic = None, {}
            error = self._errors.get("handle", "this GPU is not accessible")
            return card.forgotten(self.facts, error)
        if self._slow_at is None or now - self._slow_at >= SLOW_S:
            self._read_slow()
            self._slow_at = now
        if with_traffic:
            self._read_traffic()
        gpu = dict(self.facts)
        gpu.update(self._fast(), **self._slow, **self._traffic)
        gpu["instances"] = [self._instance(handle, facts) for handle, facts in self._instances]
        gpu["cell_errors"] = {**self._slow_errors, **self._errors}
        gpu["error"] = next((text for text in gpu["cell_errors"].values() if card.is_fatal(text)), "")
        if gpu["error"]:
            # What was read of the card before it was lost must not be kept; and when it is back, it is news.
            self._slow_at, self._traffic = None, {}
        return gpu

    def _open(self) -> None:
        """Look the device up, and ask what never changes, unless it is the card known already."""
        self._reopen = False
        self._handle = self._cell("handle", ("nvmlDeviceGetHandleByIndex",), self.index)
        if self._handle is None:
            return
        uuid = _text(self._ask("uuid", "nvmlDeviceGetUUID"))
        if uuid and uuid == self.facts["uuid"]:
            return
        clocks = [("sm", "NVML_CLOCK_SM"), ("memory", "NVML_CLOCK_MEM")]
        threshold = self._nvml.constant("NVML_TEMPERATURE_THRESHOLD_SLOWDOWN")
        self.facts = card.unread(self.index, uuid, _text(self._ask("name", "nvmlDeviceGetName")))
        self.facts.update(
            temperature_limit_c=self._ask("temperature_limit_c", "nvmlDeviceGetTemperatureThreshold", threshold),
            pcie_generation_max=self._ask("pcie_generation_max", "nvmlDeviceGetMaxPcieLinkGeneration"),
            pcie_width_max=self._ask("pcie_width_max", "nvmlDeviceGetMaxPcieLinkWidth"),
        )
        for name, clock in clocks:
            cell = "clock_{}_max_mhz".format(name)
            self.facts[cell] = self._ask(cell, "nvmlDeviceGetMaxClockInfo", self._nvml.constant(clock))
        self._slow_at = None

    def _fast(self) -> Dict[str, Any]:
        constant = self._nvml.constant
        used, total = self._memory("memory_used_bytes", self._handle)
        usage = self._ask("utilization_percent", "nvmlDeviceGetUtilizationRates")
        return {
            "utilization_percent": None if usage is None else float(usage.gpu),
            "memory_utilization_percent": None if usage is None else float(usage.memory),
            "memory_used_bytes": used,
            "memory_total_bytes": total,
            "temperature_c": self._cell("temperature_c", _TEMPERATURE, self._handle, constant("NVML_TEMPERATURE_GPU")),
            "power_w": _watts(self._ask("power_w", "nvmlDeviceGetPowerUsage")),
            "clock_sm_mhz": self._ask("clock_sm_mhz", "nvmlDeviceGetClockInfo", constant("NVML_CLOCK_SM")),
            "clock_memory_mhz": self._ask("clock_memory_mhz", "nvmlDeviceGetClockInfo", constant("NVML_CLOCK_MEM")),
            "clock_reasons": clock_reasons.words(self._cell("clock_reasons", _CLOCK_REASONS, self._handle) or 0),
            "processes": self._processes(),
        }

    def _read_slow(self) -> None:
        before, self._errors = self._errors, {}
        constant = self._nvml.constant
        uncorrected = constant("NVML_MEMORY_ERROR_TYPE_UNCORRECTED")
        volatile, aggregate = constant("NVML_VOLATILE_ECC"), constant("NVML_AGGREGATE_ECC")
        mig = self._ask("mig_enabled", "nvmlDeviceGetMigMode")
        self._slow = {
            "power_limit_w": _watts(self._ask("power_limit_w", "nvmlDeviceGetEnforcedPowerLimit")),
            "ecc_volatile": self._ask("ecc_volatile", "nvmlDeviceGetTotalEccErrors", uncorrected, volatile),
            "ecc_aggregate": self._ask("ecc_aggregate", "nvmlDeviceGetTotalEccErrors", uncorrected, aggregate),
            "pcie_generation": self._ask("pcie_generation", "nvmlDeviceGetCurrPcieLinkGeneration"),
            "pcie_width": self._ask("pcie_width", "nvmlDeviceGetCurrPcieLinkWidth"),
            "fan_percent": self._ask("fan_percent", "nvmlDeviceGetFanSpeed"),
            "mig_enabled": None if mig is None else mig[0] == constant("NVML_DEVICE_MIG_ENABLE"),
        }
        self._instances = self._find_instances() if self._slow["mig_enabled"] else []
        self._slow_errors, self._errors = self._errors, before

    def _read_traffic(self) -> None:
        constant = self._nvml.constant
        for cell, counter in (("rx", "NVML_PCIE_UTIL_RX_BYTES"), ("tx", "NVML_PCIE_UTIL_TX_BYTES")):
            name = "pcie_{}_bytes_per_s".format(cell)
            kibibytes = self._ask(name, "nvmlDeviceGetPcieThroughput", constant(counter))
            self._traffic[name] = None if kibibytes is None else kibibytes * 1024

    def _find_instances(self) -> List[Tuple[Any, Dict[str, Any]]]:
        found = []
        for number in range(self._ask("instances", "nvmlDeviceGetMaxMigDeviceCount") or 0):
            handle = self._ask("instances", "nvmlDeviceGetMigDeviceHandleByIndex", number)
            if handle is None:
                continue
            facts = {
                "index": number,
                "uuid": _text(self._cell("instances", ("nvmlDeviceGetUUID",), handle)),
                "name": _text(self._cell("instances", ("nvmlDeviceGetName",), handle)),
                "gpu_instance": self._cell("instances", ("nvmlDeviceGetGpuInstanceId",), handle),
                "compute_instance": self._cell("instances", ("nvmlDeviceGetComputeInstanceId",), handle),
            }
            found.append((handle, facts))
        return found

    def _instance(self, handle: Any, facts: Dict[str, Any]) -> Dict[str, Any]:
        used, total = self._memory("instances", handle)
        return dict(facts, memory_used_bytes=used, memory_total_bytes=total)

    def _processes(self) -> List[Dict[str, Any]]:
        found: Dict[int, Dict[str, Any]] = {}
        for forms in _PROCESSES:
            for process in self._cell("processes", forms, self._handle) or ():
                instance = process.gpuInstanceId
                found[int(process.pid)] = {
                    "pid": int(process.pid),
                    "memory_bytes": None if process.usedGpuMemory is None else int(process.usedGpuMemory),
                    "gpu_instance": None if instance in (None, _NO_INSTANCE) else int(instance),
                }
        return list(found.values())

    def _ask(self, cell: str, query: str, *arguments: Any) -> Any:
        return self._cell(cell, (query,), self._handle, *arguments)

    def _cell(self, cell: str, forms: Tuple[str, ...], *arguments: Any) -> Any:
        return self._noted(cell, lambda: self._nvml.ask(forms, *arguments))

    def _memory(self, cell: str, handle: Any) -> Tuple[Optional[int], Optional[int]]:
        """`(used, total)`, bytes."""
        return self._noted(cell, lambda: self._nvml.memory(handle)) or (None, None)

    def _noted(self, cell: str, query: Callable[[], Any]) -> Any:
        """The answer to one query, or `None`, with the reason noted when it failed."""
        try:
            return query()
        except QueryFailed as error:
            self._errors[cell] = str(error)
            self._reopen = self._reopen or error.stale_handle
            return None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _watts(milliwatts: Any) -> Optional[float]:
    return None if milliwatts is None else milliwatts / 1000.0
