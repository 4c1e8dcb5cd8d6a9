"""A pod side whose GPU reports can be awaited, as the client understands them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from podops.fleet import wire
from podops.fleet.snapshot import GpuReport, GpuSample
from tests.pods.pod_side import PodSide

GIB = 2**30


class GpuPod:
    """One link process."""

    def __init__(self, side: PodSide, root: Path) -> None:
        self._side = side
        side.hello(root)

    def report(self, wanted: Callable[[GpuReport], bool] = lambda report: True) -> GpuReport:
        """The next report that fits."""
        return _report(self._side.push("sample", lambda header: wanted(_report(header))).header)

    def gpu(self, wanted: Callable[[GpuSample], bool] = lambda gpu: True, index: int = 0) -> GpuSample:
        return self.report(lambda report: len(report.gpus) > index and wanted(report.gpus[index])).gpus[index]


def _report(header: dict[str, Any]) -> GpuReport:
    return wire.gpu_report(header["gpus"])


class StartGpuPod(Protocol):
    def __call__(self, env: Mapping[str, str], *prefix: str, python: str = sys.executable) -> GpuPod: ...
