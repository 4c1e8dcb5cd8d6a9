"""GPUs through NVML, with NVIDIA's own `pynvml`. Each query is on its own: one that fails costs one cell."""

from typing import Any, Callable, Dict, List, Optional


class NvmlUnavailable(Exception):
    """NVML cannot be used here; the text says why, for a person."""


class NvmlGpus:
    """NVML, initialised once."""

    def __init__(self) -> None:
        """Raises `NvmlUnavailable`."""
        try:
            import pynvml
        except ImportError:
            raise NvmlUnavailable("pynvml is missing from the pod side")
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise NvmlUnavailable(_why(pynvml, error))
        self._driver = _text(self._ask(pynvml.nvmlSystemGetDriverVersion))

    def report(self) -> Dict[str, Any]:
        """GpuReport in its wire form."""
        count = self._ask(self._nvml.nvmlDeviceGetCount) or 0
        gpus = [self._gpu(index) for index in range(count)]
        message = "" if gpus else "the NVIDIA driver is loaded, but shows no GPU"
        return {"source": "nvml", "message": message, "driver": self._driver, "gpus": gpus}

    def close(self) -> None:
        self._ask(self._nvml.nvmlShutdown)

    def _gpu(self, index: int) -> Dict[str, Any]:
        nvml = self._nvml
        errors: List[str] = []
        gpu: Dict[str, Any] = {"index": index, "uuid": "", "name": "GPU {}".format(index), "processes": []}
        handle = self._ask(nvml.nvmlDeviceGetHandleByIndex, index, errors=errors)
        if handle is not None:
            memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, handle, errors=errors)
            usage = self._ask(nvml.nvmlDeviceGetUtilizationRates, handle, errors=errors)
            gpu.update(
                uuid=_text(self._ask(nvml.nvmlDeviceGetUUID, handle, errors=errors)),
                name=_text(self._ask(nvml.nvmlDeviceGetName, handle, errors=errors)) or gpu["name"],
                utilization_percent=None if usage is None else float(usage.gpu),
                memory_used_bytes=None if memory is None else int(memory.used),
                memory_total_bytes=None if memory is None else int(memory.total),
                temperature_c=self._ask(
                    nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU, errors=errors
                ),
                power_w=_watts(self._ask(nvml.nvmlDeviceGetPowerUsage, handle, errors=errors)),
                power_limit_w=_watts(self._ask(nvml.nvmlDeviceGetEnforcedPowerLimit, handle, errors=errors)),
                processes=self._processes(handle),
            )
        gpu["error"] = errors[0] if errors else ""
        return gpu

    def _processes(self, handle: Any) -> List[Dict[str, Any]]:
        found: Dict[int, Optional[int]] = {}
        for query in ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v3"):
            for process in self._ask(getattr(self._nvml, query), handle) or ():
                found[int(process.pid)] = None if process.usedGpuMemory is None else int(process.usedGpuMemory)
        return [{"pid": pid, "memory_bytes": used, "name": _command_name(pid)} for pid, used in found.items()]

    def _ask(self, query: Callable[..., Any], *arguments: Any, errors: Optional[List[str]] = None) -> Any:
        """The answer to one query, or `None`; what a card merely does not support is no error."""
        nvml = self._nvml
        try:
            return query(*arguments)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_NoPermission):
            return None
        except nvml.NVMLLibraryMismatchError:
            # An older driver lacks the newest form of a query; this error is outside pynvml's own error tree.
            return None
        except nvml.NVMLError as error:
            if errors is not None:
                errors.append(str(error))
            return None


def _why(nvml: Any, error: Exception) -> str:
    known = {
        nvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no NVIDIA driver on this pod",
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA driver is installed but not loaded",
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the NVIDIA driver was updated: the pod needs a reboot",
    }
    return known.get(getattr(error, "value", None), "NVML: {}".format(error))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _watts(milliwatts: Any) -> Optional[float]:
    return None if milliwatts is None else milliwatts / 1000.0


def _command_name(pid: int) -> str:
    try:
        with open("/proc/{}/comm".format(pid)) as stream:
            return stream.read().strip()
    except OSError:
        return ""
