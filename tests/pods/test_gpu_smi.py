"""Where NVML cannot be opened, one long-lived `nvidia-smi` tells the truth, or that it does not know.

There is no card here: `nvidia-smi` is a stand-in script (stand_in_gpus.py), the pod side is the shipped one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from podops_runners.gpu.smi import SmiGpus
from tests.pods.gpu_pod import GIB, GpuPod, StartGpuPod
from tests.pods.stand_in_gpus import DRIVER_NOT_LOADED, StandInNvml, StandInSmi


@pytest.fixture
def smi(tmp_path: Path) -> StandInSmi:
    return StandInSmi(tmp_path / "smi")


@pytest.fixture
def start_smi(nvml: StandInNvml, smi: StandInSmi, start_gpu_pod: StartGpuPod) -> Callable[[], GpuPod]:
    nvml.say(f"all {DRIVER_NOT_LOADED}")
    path = f"{smi.directory}:{os.environ['PATH']}"
    return lambda: start_gpu_pod({**nvml.env, "PATH": path})


GOOD = (
    "0, GPU-a, Card A, 97, 40, 61440, 81920, 61, 412.50, 700.00, 1410, 2619, 1980, 2619, 0, 4, 4, 5, 8, 16, [N/A], "
    "0x0000000000000004, Disabled, 570.00"
)
BAD = (
    "1, GPU-b, Card B, [GPU is lost], ERR!, [N/A], 81920, [Unknown Error], [Not Supported], 700.00, 1410, 2619, 1980, "
    "2619, [N/A], [N/A], 4, 5, 8, 16, 30, [N/A], [N/A], 570.00"
)


def test_nvidia_smi_stands_in_for_nvml_cell_by_cell(smi: StandInSmi, start_smi: Callable[[], GpuPod]) -> None:
    smi.print_rows("Unable to determine the device handle for GPU 0000:3B:00.0: GPU is lost.", GOOD, BAD)
    report = start_smi().report(lambda report: len(report.gpus) == 2)
    assert (report.source, report.driver) == ("nvidia-smi", "570.00")
    good, bad = report.gpus
    assert (good.memory_used_bytes, good.power_w, good.clock_reasons) == (60 * GIB, 412.5, ("power cap",))
    assert (good.ecc_aggregate, good.pcie_width_max, good.fan_percent, good.mig_enabled) == (4, 16, None, False)
    assert (good.error, good.cell_errors) == ("", {})
    assert (bad.error, bad.memory_total_bytes, bad.fan_percent) == ("GPU is lost", 80 * GIB, 30)
    assert bad.cell_errors == {
        "utilization_percent": "GPU is lost",
        "memory_utilization_percent": "ERR!",
        "temperature_c": "Unknown Error",
    }


def test_nvidia_smi_is_started_again_and_asked_only_what_it_knows(
    smi: StandInSmi, start_smi: Callable[[], GpuPod]
) -> None:
    smi.refuse("clocks_event_reasons.active", "mig.mode.current")
    smi.print_rows(GOOD.replace(", Disabled", ""))
    pod = start_smi()
    gpu = pod.gpu()
    assert (gpu.clock_reasons, gpu.mig_enabled, gpu.utilization_percent) == (("power cap",), None, 97)
    starts = smi.asked()
    assert len(starts) == 3 and "clocks_throttle_reasons.active" in starts[1]
    smi.die()
    pod.report(lambda report: "ended with status 9" in report.message)
    smi.print_rows(GOOD.replace(", Disabled", "").replace("97", "12"))
    assert pod.gpu(lambda gpu: gpu.utilization_percent == 12).error == ""
    assert smi.asked()[3] == starts[2]


def test_a_card_nvidia_smi_no_longer_tells_is_not_shown_as_fresh(
    smi: StandInSmi, start_smi: Callable[[], GpuPod]
) -> None:
    smi.print_rows(GOOD, GOOD.replace("0, GPU-a", "1, GPU-b", 1))
    pod = start_smi()
    pod.report(lambda report: len(report.gpus) == 2)
    smi.print_rows(GOOD)
    stale = pod.gpu(lambda gpu: bool(gpu.error), index=1)
    assert (stale.memory_used_bytes, stale.uuid) == (None, "GPU-b")
    assert "has not told this GPU" in stale.error
    assert pod.gpu().error == ""


def test_an_nvidia_smi_that_hangs_is_replaced(smi: StandInSmi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podops_runners.gpu.smi._HANGS_S", 0.5)
    smi.print_rows(GOOD)
    smi.hang()
    gpus = SmiGpus(str(smi.directory / "nvidia-smi"))
    try:
        deadline = time.monotonic() + 60
        while len(smi.asked()) < 2 and time.monotonic() < deadline:
            gpus.report()
            time.sleep(0.05)
        assert len(smi.asked()) == 2
    finally:
        gpus.close()


def test_nvidia_smi_tells_mig_instances(smi: StandInSmi, start_smi: Callable[[], GpuPod]) -> None:
    smi.list_instances(
        "GPU 0: Card A (UUID: GPU-a)\n  MIG 3g.40gb     Device  0: (UUID: MIG-one)\n"
        "  MIG 1g.10gb     Device  1: (UUID: MIG-two)\n"
    )
    smi.print_rows(GOOD.replace("Disabled", "Enabled").replace("97", "[N/A]"))
    gpu = start_smi().gpu()
    assert (gpu.mig_enabled, gpu.utilization_percent) == (True, None)
    assert [(each.index, each.uuid, each.name) for each in gpu.instances] == [
        (0, "MIG-one", "MIG 3g.40gb"),
        (1, "MIG-two", "MIG 1g.10gb"),
    ]


def test_nvidia_smi_gives_way_when_nvml_comes_and_ends(
    smi: StandInSmi, nvml: StandInNvml, start_smi: Callable[[], GpuPod]
) -> None:
    smi.print_rows(GOOD)
    pod = start_smi()
    pod.gpu()
    assert _running(smi)
    nvml.say()
    assert pod.report(lambda report: report.source == "nvml").gpus[0].name == "Stand-in GPU 0"
    pod.report(lambda report: not _running(smi))


def _running(smi: StandInSmi) -> bool:
    lines = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return any(str(smi.directory).encode() in line for line in lines)
