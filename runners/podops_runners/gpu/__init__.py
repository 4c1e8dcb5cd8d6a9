"""GPU samples of a pod, from the best source it has, never waited for longer than a moment."""

import time

from podops_runners.gpu import card
from podops_runners.gpu.best import BestGpus
from podops_runners.gpu.owners import Owners, attribute
from podops_runners.gpu.simulated import SimulatedGpus
from podops_runners.patient import Patient
from podops_runners.typed import Any, Callable, Dict, List, Optional, Union

#: How long a report waits for the driver, seconds: the first one for it to wake up, the others hardly at all.
_FIRST_WAIT_S, _WAIT_S = 10.0, 2.0

#: Values older than this are no longer shown, seconds.
_STALE_S = 5.0


class GpuSource:
    """Safe to call from several threads. A driver that hangs costs the values, never the caller."""

    def __init__(self, simulate: int = 0) -> None:
        self._source: Union[SimulatedGpus, BestGpus] = SimulatedGpus(simulate) if simulate else BestGpus()
        self._owners = Owners()
        self._reading = Patient(self._read)
        self._last: Optional[Dict[str, Any]] = None
        self._last_at = 0.0

    def report(self, claims: Callable[[], Dict[int, str]] = dict) -> Dict[str, Any]:
        """GpuReport in its wire form; `claims`, asked where there is a GPU, tells which run of ours holds which."""
        if isinstance(self._source, BestGpus) and self._source.asks_nobody():
            fresh: Optional[Dict[str, Any]] = self._read()
        else:
            fresh = self._reading.answer(_FIRST_WAIT_S if self._last is None else _WAIT_S)
        last = fresh or self._last
        if last is None:
            message = "the GPU driver has not answered for {:.0f} s".format(self._reading.waiting_s())
            return dict(_none(message), age_s=0.0)
        age = 0.0 if fresh else time.monotonic() - self._last_at
        gpus: List[Dict[str, Any]] = [dict(gpu) for gpu in last["gpus"]]
        message = last["message"]
        if age > _STALE_S:
            message = "the GPU driver has not answered for {:.0f} s".format(age)
            gpus = [card.forgotten(gpu, message) for gpu in gpus]
        claimed = claims() if gpus else {}
        for gpu in gpus:
            attribute(gpu, claimed.get(gpu["index"]))
        return dict(last, message=message, gpus=gpus, age_s=round(age, 1))

    def close(self) -> None:
        self._source.close()

    def _read(self) -> Dict[str, Any]:
        try:
            report: Dict[str, Any] = self._source.report()
            self._owners.name(report["gpus"])
        except Exception as error:  # a driver's trouble must not cost the pod its link
            report = _none("GPUs cannot be read: {}: {}".format(error.__class__.__name__, error))
        self._last, self._last_at = report, time.monotonic()
        return report


def _none(message: str) -> Dict[str, Any]:
    return {"source": "none", "message": message, "driver": "", "cuda": "", "gpus": []}
