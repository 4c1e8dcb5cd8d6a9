"""What a pod tells of its GPUs is true, or it says that it does not know: driven through the shipped pod side.

There is no card here: NVIDIA's library and `nvidia-smi` are stand-ins (stand_in_gpus.py), the rest is real.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from podops.fleet import wire
from podops.fleet.snapshot import GpuReport, GpuSample
from podops.link.pod_archive import pod_archive
from tests.pods.conftest import MakeProject, Ops
from tests.pods.stand_in_gpus import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    UNKNOWN,
    VERSION_MISMATCH,
    StandInNvml,
    StandInSmi,
)
from tests.pods.test_pod_side import PodSide

GIB = 2**30


class GpuPod:
    """A link process whose GPU reports are awaited."""

    def __init__(self, side: PodSide, root: Path) -> None:
        self._side = side
        side.hello(root)

    def report(self, wanted: Callable[[GpuReport], bool] = lambda report: True) -> GpuReport:
        """The next report that fits, as the client understands it."""
        return wire.gpu_report(self._side.push("sample", lambda header: wanted(_report(header))).header["gpus"])

    def gpu(self, wanted: Callable[[GpuSample], bool] = lambda gpu: True, index: int = 0) -> GpuSample:
        return self.report(lambda report: len(report.gpus) > index and wanted(report.gpus[index])).gpus[index]


def _report(header: dict[str, Any]) -> GpuReport:
    return wire.gpu_report(header["gpus"])


class StartPod(Protocol):
    def __call__(self, env: dict[str, str], *prefix: str) -> GpuPod: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartPod]:
    pyz = tmp_path / "podops.pyz"
    pyz.write_bytes(pod_archive()[0])
    sides: list[PodSide] = []

    def make(env: dict[str, str], *prefix: str) -> GpuPod:
        sides.append(PodSide(sys.executable, pyz, env=env, prefix=prefix))
        return GpuPod(sides[-1], tmp_path / "runs")

    yield make
    for side in sides:
        side.process.kill()
        side.process.communicate()


@pytest.fixture
def nvml(tmp_path: Path) -> StandInNvml:
    found = StandInNvml(tmp_path / "driver")
    found.install()
    return found


def test_everything_nvml_knows_of_a_card_arrives_in_the_units_it_is_named_for(
    nvml: StandInNvml, start: StartPod
) -> None:
    nvml.say("gpus 1", "memory 0 61440", f"process 0 {os.getpid()} 60416")
    report = start(nvml.env).report(lambda report: report.gpus[0].pcie_rx_bytes_per_s is not None)
    assert (report.source, report.driver, report.cuda, report.message) == ("nvml", "570.00", "12.8", "")
    gpu = report.gpus[0]
    assert (gpu.name, gpu.uuid, gpu.error, gpu.cell_errors) == ("Stand-in GPU 0", "GPU-stand-in-0", "", {})
    assert (gpu.utilization_percent, gpu.memory_utilization_percent) == (97, 48)
    assert (gpu.memory_used_bytes, gpu.memory_total_bytes) == (60 * GIB, 80 * GIB)
    assert (gpu.temperature_c, gpu.temperature_limit_c, gpu.power_w, gpu.power_limit_w) == (61, 87, 412.5, 700)
    assert (gpu.clock_sm_mhz, gpu.clock_sm_max_mhz, gpu.clock_memory_mhz, gpu.clock_memory_max_mhz) == (
        1410,
        1980,
        2619,
        2619,
    )
    assert gpu.clock_reasons == ("power cap", "hardware thermal slowdown", "reason 0x10000")
    assert (gpu.ecc_volatile, gpu.ecc_aggregate) == (1, 4)
    assert (gpu.pcie_generation, gpu.pcie_generation_max, gpu.pcie_width, gpu.pcie_width_max) == (4, 5, 8, 16)
    assert (gpu.pcie_rx_bytes_per_s, gpu.pcie_tx_bytes_per_s) == (2048 * 1024, 1024 * 1024)
    assert (gpu.fan_percent, gpu.mig_enabled, gpu.instances) == (None, False, ())
    process = gpu.processes[0]
    assert (process.pid, process.memory_bytes, process.run_id) == (os.getpid(), 59 * GIB, None)


def test_a_lost_card_and_a_failed_query_cost_their_own_cells_and_come_back(nvml: StandInNvml, start: StartPod) -> None:
    lost = [
        f"fail nvmlDeviceGetUtilizationRates 1 {GPU_IS_LOST}",
        f"fail nvmlDeviceGetHandleByIndex_v2 1 {GPU_IS_LOST}",
    ]
    odd = f"fail nvmlDeviceGetPowerUsage 2 {UNKNOWN}"
    pod = start(nvml.env)
    nvml.say("gpus 3")
    pod.report(lambda report: len(report.gpus) == 3)
    nvml.say("gpus 3", *lost, odd)
    report = pod.report(lambda report: report.gpus[1].error != "" and bool(report.gpus[2].cell_errors))
    good, gone, strange = report.gpus
    assert (good.error, good.cell_errors, good.power_w) == ("", {}, 412.5)
    assert gone.error == "GPU is lost" and gone.uuid == "GPU-stand-in-1" and not gone.is_free()
    assert (strange.error, list(strange.cell_errors), strange.power_w) == ("", ["power_w"], None)
    assert strange.temperature_c == 61 and strange.is_free()
    dead = pod.gpu(lambda gpu: gpu.temperature_c is None, index=1)
    assert (dead.memory_used_bytes, dead.power_w, dead.error) == (None, None, "GPU is lost")
    nvml.say("gpus 3")
    back = pod.gpu(lambda gpu: not gpu.error, index=1)
    assert (back.utilization_percent, back.memory_total_bytes) == (0, 80 * GIB)


def test_a_card_that_vanished_is_missed_by_name(nvml: StandInNvml, start: StartPod) -> None:
    nvml.say("gpus 2")
    pod = start(nvml.env)
    pod.report(lambda report: len(report.gpus) == 2)
    nvml.say("gpus 1")
    report = pod.report(lambda report: len(report.gpus) == 1)
    assert report.message == "gone since it was last seen: GPU 1 Stand-in GPU 1 (GPU-stand-in-1)"


def test_what_the_driver_keeps_for_itself_does_not_make_an_idle_card_busy(nvml: StandInNvml, start: StartPod) -> None:
    gpu = start(nvml.env).gpu()
    assert gpu.memory_used_bytes == 0
    assert gpu.is_free()


def test_what_never_changes_is_asked_once_and_what_is_costly_seldom(nvml: StandInNvml, start: StartPod) -> None:
    pod = start(nvml.env)
    for _ in range(8):
        pod.report()
    calls = nvml.calls()
    assert calls["nvmlInitWithFlags"] == 1
    assert calls["nvmlDeviceGetUtilizationRates"] >= 2 * 6
    for once in ("HandleByIndex_v2", "UUID", "Name", "MaxClockInfo", "TotalEccErrors", "MigMode", "EnforcedPowerLimit"):
        asked_for_two_cards = 4 if once in ("MaxClockInfo", "TotalEccErrors") else 2
        assert calls[f"nvmlDeviceGet{once}"] == asked_for_two_cards
    assert calls["nvmlDeviceGetPcieThroughput"] <= 2 * calls["nvmlDeviceGetCount_v2"]  # one card a report


def test_a_driver_update_under_a_running_link_is_told_and_survived(nvml: StandInNvml, start: StartPod) -> None:
    pod = start(nvml.env)
    assert pod.report().driver == "570.00"
    nvml.say(f"all {VERSION_MISMATCH}")
    report = pod.report(lambda report: bool(report.message))
    assert "updated" in report.message
    assert [(gpu.name, gpu.memory_used_bytes) for gpu in report.gpus] == [
        ("Stand-in GPU 0", None),
        ("Stand-in GPU 1", None),
    ]
    assert all("updated" in gpu.error and not gpu.is_free() for gpu in report.gpus)
    nvml.install(driver="580.00")
    nvml.say()
    report = pod.report(lambda report: not report.message)
    assert (report.driver, report.gpus[1].utilization_percent, report.gpus[1].error) == ("580.00", 0, "")


def test_a_driver_that_comes_later_is_found(nvml: StandInNvml, start: StartPod) -> None:
    nvml.say(f"all {DRIVER_NOT_LOADED}")
    pod = start(nvml.env)
    report = pod.report()
    assert (report.source, report.gpus, report.message) == ("none", (), "the NVIDIA driver is installed but not loaded")
    nvml.say()
    assert len(pod.report(lambda report: report.source == "nvml").gpus) == 2


def test_a_driver_that_hangs_costs_neither_the_link_nor_the_truth(nvml: StandInNvml, start: StartPod) -> None:
    nvml.say("memory 0 61440")
    pod = start(nvml.env)
    assert pod.gpu().memory_used_bytes == 60 * GIB
    nvml.say("memory 0 61440", "slow nvmlDeviceGetPowerUsage 4500")
    old = pod.report(lambda report: report.age_s > 0)
    assert old.gpus[0].memory_used_bytes == 60 * GIB  # a moment old, and it says so
    stale = pod.report(lambda report: bool(report.gpus[0].error))
    assert stale.gpus[0].memory_used_bytes is None
    assert "has not answered" in stale.message
    nvml.say("memory 0 61440")
    assert pod.gpu(lambda gpu: not gpu.error).memory_used_bytes == 60 * GIB


def test_an_older_driver_tells_what_it_can(nvml: StandInNvml, start: StartPod) -> None:
    nvml.install("-DOLD", driver="470.00")
    nvml.say("memory 0 61440", f"process 0 {os.getpid()} 60416")
    gpu = start(nvml.env).gpu()
    assert (gpu.memory_used_bytes, gpu.error, gpu.cell_errors) == (60 * GIB, "", {})
    assert gpu.clock_reasons == ("hardware slowdown",)
    assert [process.pid for process in gpu.processes] == [os.getpid()]


def test_mig_instances_are_told_each_with_its_own_memory(nvml: StandInNvml, start: StartPod) -> None:
    nvml.say("gpus 1", "mig 0 2", "memory 0 5120", f"process 0 {os.getpid()} 5000")
    gpu = start(nvml.env).gpu()
    assert (gpu.mig_enabled, gpu.utilization_percent, gpu.error) == (True, None, "")
    first, second = gpu.instances
    assert (first.uuid, first.name, first.gpu_instance) == ("MIG-stand-in-0-0", "Stand-in GPU 0 MIG 1g.10gb", 3)
    assert (second.uuid, second.memory_used_bytes, second.memory_total_bytes) == ("MIG-stand-in-0-1", 5 * GIB, 10 * GIB)
    assert gpu.processes[0].gpu_instance == 3


def test_in_a_container_a_number_of_the_host_is_not_taken_for_a_process_here(
    nvml: StandInNvml, start: StartPod
) -> None:
    namespace = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
    if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine allows no PID namespace")
    nvml.say("memory 0 61440", "process 0 1 60416", "process 0 3999999 10")
    gpu = start(nvml.env, *namespace).gpu()
    assert [(process.pid, process.known, process.name) for process in gpu.processes] == [
        (1, False, ""),
        (3999999, False, ""),
    ]


def test_a_runs_gpu_is_known_by_its_claim_and_better_by_its_process(
    nvml: StandInNvml, project: MakeProject, ops: Ops, tmp_path: Path
) -> None:
    """The run's own process is a grandchild, as that of a launcher would be."""
    number = tmp_path / "pid"
    command = f"sh -c 'sleep 300 & echo $! > {number}; wait'"
    project("laptop", presets={"hold": {"kind": "command", "command": command, "gpus": 1}})
    nvml.say("gpus 8")
    run_id = ops("run", "submit", "--preset", "hold", "--pod", "laptop", "--json", env=nvml.env).json["run_id"]
    index = _claimed(ops, nvml, run_id)["index"]
    nvml.say("gpus 8", f"memory {index} 61440", f"process {index} 3999999 60416")
    gpu = _claimed(ops, nvml, run_id)
    assert (gpu["used_by"], gpu["attributed"], gpu["processes"][0]["known"]) == ([run_id], "claim", False)
    assert f"claimed by {run_id}, in use" in ops("pod", "status", "laptop", env=nvml.env).stdout
    other = (index + 1) % 8
    pid = number.read_text().strip()
    nvml.say("gpus 8", f"memory {index} 61440", f"process {index} {pid} 60416", f"process {other} {pid} 400")
    gpu = _claimed(ops, nvml, run_id)
    assert (gpu["used_by"], gpu["attributed"], gpu["processes"][0]["name"]) == ([run_id], "process", "sleep")
    page = ops("pod", "status", "laptop", env=nvml.env).stdout
    assert page.count(f"used by {run_id}") == 2  # also the GPU it never claimed
    ops("run", "kill", run_id, "--yes", env=nvml.env)


def _claimed(ops: Ops, nvml: StandInNvml, run_id: str) -> dict[str, Any]:
    gpus = ops("pod", "status", "laptop", "--json", env=nvml.env).json["pod"]["gpus"]
    found = [gpu for gpu in gpus if gpu["claimed_by"] == run_id]
    assert len(found) == 1, gpus
    gpu: dict[str, Any] = found[0]
    return gpu


# nvidia-smi, where NVML cannot be loaded


@pytest.fixture
def smi(tmp_path: Path) -> StandInSmi:
    return StandInSmi(tmp_path / "smi")


@pytest.fixture
def start_smi(nvml: StandInNvml, smi: StandInSmi, start: StartPod) -> Callable[[], GpuPod]:
    nvml.say(f"all {DRIVER_NOT_LOADED}")
    path = f"{smi.directory}:{os.environ['PATH']}"
    return lambda: start({**nvml.env, "PATH": path})


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
