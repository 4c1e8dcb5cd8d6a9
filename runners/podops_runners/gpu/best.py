"""The best source of GPU samples a pod has at this moment: NVML, else `nvidia-smi`, else none with the reason."""

import os
import time
from threading import Lock

from podops_runners import on_path, process
from podops_runners.gpu.nvml import NO_DRIVER, NvmlUnavailable, may_be_there
from podops_runners.typed import TYPE_CHECKING, Any, Dict, List, Optional

if TYPE_CHECKING:
    from podops_runners.gpu.nvml_gpus import NvmlGpus
    from podops_runners.gpu.smi import SmiGpus

#: How long after a failure NVML is tried again, seconds: soon (a reload), then now and then (a driver to come).
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class BestGpus:
    """NVML is opened once and kept. When its driver goes, it is closed, and opened anew when the driver is back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._nvml: "Optional[NvmlGpus]" = None
        self._smi: "Optional[SmiGpus]" = None
        self._seen: Dict[str, str] = {}
        self._left: List[Dict[str, Any]] = []
        self._message = ""
        self._failures = 0
        self._try_at = 0.0

    def asks_nobody(self) -> bool:
        """Whether a report would ask no driver and no program now, so that nothing in it can hang."""
        return self._nvml is None and self._smi is None and time.monotonic() < self._try_at

    def report(self) -> Dict[str, Any]:
        """GpuReport in its wire form."""
        with self._lock:
            if self._nvml is None and time.monotonic() >= self._try_at:
                self._open()
            if self._nvml is not None:
                try:
                    return self._nvml.report()
                except NvmlUnavailable as error:
                    self._leave(self._nvml, str(error))
            return self._without_nvml()

    def close(self) -> None:
        # A query that hangs holds the lock; the library must not be closed under it.
        if not self._lock.acquire(timeout=0.5):
            return
        if self._nvml is not None:
            self._nvml.close()
        if self._smi is not None:
            self._smi.close()
        self._lock.release()

    def _open(self) -> None:
        # Each is loaded only where it is used: many pods have neither.
        try:
            if not may_be_there():
                raise NvmlUnavailable(NO_DRIVER)
            from podops_runners.gpu.nvml_gpus import NvmlGpus

            self._nvml = NvmlGpus(self._seen)
        except NvmlUnavailable as error:
            self._failed(str(error))
            program = on_path.find("nvidia-smi") if self._smi is None else None
            if program is not None:
                from podops_runners.gpu.smi import SmiGpus

                self._smi = SmiGpus(program)
            return
        self._failures, self._left = 0, []
        if not os.path.isfile(__file__):
            process.give_back_memory()  # what is loaded from the archive has to be compiled
        if self._smi is not None:
            self._smi.close()
            self._smi = None

    def _leave(self, nvml: "NvmlGpus", why: str) -> None:
        self._left = nvml.forgotten(why)
        self._nvml = None
        nvml.close()
        self._failed(why)

    def _failed(self, why: str) -> None:
        self._message = why
        self._try_at = time.monotonic() + _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1

    def _without_nvml(self) -> Dict[str, Any]:
        message = self._message
        if self._smi is not None:
            report = self._smi.report()
            if report["gpus"]:
                return report
            message = "{}; {}".format(message, report["message"]) if report["message"] else message
        source = "nvml" if self._left else "none"
        gpus = [dict(gpu, error=self._message) for gpu in self._left]
        return {"source": source, "message": message, "driver": "", "cuda": "", "gpus": gpus}
