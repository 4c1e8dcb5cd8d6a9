"""GPU samples of a pod, from the best source it has: NVML, `nvidia-smi`, or none with the reason."""

from typing import Any, Dict, List, Optional


class GpuSource:
    """Chooses its source once, at the first report; NVML is tried again now and then, a driver may come later."""

    def __init__(self, simulate: int = 0) -> None:
        self._simulate = simulate
        self._source: Optional[Any] = None
        self._message = ""

    def report(self, claims: Dict[int, str]) -> Dict[str, Any]:
        """GpuReport in its wire form; `claims` tells which run of ours holds which GPU."""
        if self._source is None:
            self._choose()
        if self._source is None:
            return {"source": "none", "message": self._message, "driver": "", "gpus": []}
        try:
            report: Dict[str, Any] = self._source.report()
        except Exception as error:  # a driver's trouble must not cost the pod its link
            message = "GPUs cannot be read: {}".format(error)
            return {"source": "none", "message": message, "driver": "", "gpus": []}
        gpus: List[Dict[str, Any]] = report["gpus"]
        for gpu in gpus:
            gpu["claimed_by"] = claims.get(gpu["index"])
        return report

    def close(self) -> None:
        if self._source is not None:
            self._source.close()

    def _choose(self) -> None:
        from podops_runners.gpu import nvml, simulated, smi

        if self._simulate:
            self._source = simulated.SimulatedGpus(self._simulate)
            return
        try:
            self._source = nvml.NvmlGpus()
        except nvml.NvmlUnavailable as error:
            self._message = str(error)
            self._source = smi.start()
