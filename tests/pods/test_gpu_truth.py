"""What a pod tells of its GPUs is true, or it says that it does not know: driven through the shipped pod side.

There is no card here: NVIDIA's library is a stand-in (stand_in_gpus.py), the rest is real.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from podops.fleet.snapshot import GpuSample
from podops_runners.gpu.nvml_card import SLOW_S
from tests.pods.conftest import MakeProject, Ops
from tests.pods.gpu_pod import GIB, StartGpuPod
from tests.pods.pod_side import pythons
from tests.pods.stand_in_gpus import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    UNKNOWN,
    VERSION_MISMATCH,
    StandInNvml,
)


@pytest.mark.parametrize("python", pythons())
def test_everything_nvml_knows_of_a_card_arrives_in_the_units_it_is_named_for(
    nvml: StandInNvml, start_gpu_pod: StartGpuPod, python: str
) -> None:
    nvml.say("gpus 1", "memory 0 61440", f"process 0 {os.getpid()} 60416")
    report = start_gpu_pod(nvml.env, python=python).report(
        lambda report: report.gpus[0].pcie_rx_bytes_per_s is not None
    )
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


def test_a_lost_card_and_a_failed_query_cost_their_own_cells_and_come_back(
    nvml: StandInNvml, start_gpu_pod: StartGpuPod
) -> None:
    lost = [
        f"fail nvmlDeviceGetUtilizationRates 1 {GPU_IS_LOST}",
        f"fail nvmlDeviceGetHandleByIndex_v2 1 {GPU_IS_LOST}",
    ]
    odd = f"fail nvmlDeviceGetPowerUsage 2 {UNKNOWN}"
    pod = start_gpu_pod(nvml.env)
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


def test_whatever_query_fails_however_the_other_card_and_the_other_cells_stay(nvml: StandInNvml) -> None:
    """Every query of the second card, with every kind of error, one at a time."""
    done = subprocess.run(
        [sys.executable, "-c", _SWEEP], env={**os.environ, **nvml.env}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    baseline, *rounds = (json.loads(line) for line in done.stdout.splitlines())
    assert {told["query"].removeprefix("nvmlDeviceGet") for told in rounds} == set(_CELLS)
    for told in rounds:
        good, bad = told["gpus"]
        cells = _CELLS[told["query"].removeprefix("nvmlDeviceGet")]
        cells = cells | (_CELLS["PcieThroughput"] if told["code"] in _FATAL else set())
        changed = {cell for cell, value in bad.items() if value != baseline["gpus"][1][cell]}
        assert good == baseline["gpus"][0], told
        assert changed - {"error", "cell_errors"} <= cells, told
        assert bool(bad["error"]) <= (told["code"] in _FATAL or cells == _EVERY), told


#: The cells that each query of NVML fills.
_EVERY = set(GpuSample.__dataclass_fields__)
_CELLS = {
    "HandleByIndex_v2": _EVERY,
    "UUID": {"uuid", "instances"},
    "Name": {"name", "instances"},
    "MemoryInfo_v2": {"memory_used_bytes", "memory_total_bytes", "instances"},
    "UtilizationRates": {"utilization_percent", "memory_utilization_percent"},
    "Temperature": {"temperature_c"},
    "TemperatureThreshold": {"temperature_limit_c"},
    "PowerUsage": {"power_w"},
    "EnforcedPowerLimit": {"power_limit_w"},
    "ClockInfo": {"clock_sm_mhz", "clock_memory_mhz"},
    "MaxClockInfo": {"clock_sm_max_mhz", "clock_memory_max_mhz"},
    "CurrentClocksEventReasons": {"clock_reasons"},
    "TotalEccErrors": {"ecc_volatile", "ecc_aggregate"},
    "CurrPcieLinkGeneration": {"pcie_generation"},
    "MaxPcieLinkGeneration": {"pcie_generation_max"},
    "CurrPcieLinkWidth": {"pcie_width"},
    "MaxPcieLinkWidth": {"pcie_width_max"},
    "PcieThroughput": {"pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s"},
    "FanSpeed": {"fan_percent"},
    "MigMode": {"mig_enabled", "instances"},
    "MaxMigDeviceCount": {"instances"},
    "MigDeviceHandleByIndex": {"instances"},
    "GpuInstanceId": {"instances"},
    "ComputeInstanceId": {"instances"},
    "ComputeRunningProcesses_v3": {"processes"},
}

#: "GPU is lost" and "reset required" speak of the whole card: its traffic, read a moment ago, is forgotten with them.
_FATAL = {"15", "16"}

_SWEEP = """
import json, os
from podops_runners.gpu.nvml_gpus import NvmlGpus

def tell(query, code):
    with open(os.environ["FAKE_NVML"], "w") as stream:
        stream.write("gpus 2\\nmemory 1 300\\nprocess 1 1 300\\nmig 1 2\\nfail {} 1 {}\\n".format(query, code))
    gpus = NvmlGpus({})
    for _ in range(3):
        report = gpus.report()
    gpus.close()
    print(json.dumps({"query": query, "code": code, "gpus": report["gpus"]}))

tell("none", "0")
with open(os.environ["FAKE_NVML"] + ".calls") as stream:
    names = [line.split()[0] for line in stream]
for name in names:
    if name.startswith("nvmlDeviceGet") and name != "nvmlDeviceGetCount_v2":
        for code in ("2", "3", "4", "6", "10", "15", "16", "20", "999"):
            tell(name, code)
"""


def test_a_card_that_vanished_is_missed_by_name(nvml: StandInNvml, start_gpu_pod: StartGpuPod) -> None:
    nvml.say("gpus 2")
    pod = start_gpu_pod(nvml.env)
    pod.report(lambda report: len(report.gpus) == 2)
    nvml.say("gpus 1")
    report = pod.report(lambda report: len(report.gpus) == 1)
    assert report.message == "gone since it was last seen: GPU 1 Stand-in GPU 1 (GPU-stand-in-1)"


def test_what_the_driver_keeps_for_itself_does_not_make_an_idle_card_busy(
    nvml: StandInNvml, start_gpu_pod: StartGpuPod
) -> None:
    gpu = start_gpu_pod(nvml.env).gpu()
    assert gpu.memory_used_bytes == 0
    assert gpu.is_free()


def test_what_never_changes_is_asked_once_and_what_is_costly_seldom(
    nvml: StandInNvml, start_gpu_pod: StartGpuPod
) -> None:
    begun = time.monotonic()
    pod = start_gpu_pod(nvml.env)
    for _ in range(8):
        pod.report()
    calls = nvml.calls()
    slow_rounds = 1 + int((time.monotonic() - begun) / SLOW_S)
    assert calls["nvmlInitWithFlags"] == 1
    assert calls["nvmlDeviceGetUtilizationRates"] >= 2 * 6
    for once in ("HandleByIndex_v2", "UUID", "Name", "TemperatureThreshold", "MaxPcieLinkWidth"):
        assert calls[f"nvmlDeviceGet{once}"] == 2
    for seldom in ("MigMode", "EnforcedPowerLimit", "FanSpeed", "CurrPcieLinkWidth"):
        assert calls[f"nvmlDeviceGet{seldom}"] <= 2 * slow_rounds
    assert calls["nvmlDeviceGetPcieThroughput"] <= 2 * calls["nvmlDeviceGetCount_v2"]  # one card a report


def test_a_driver_update_under_a_running_link_is_told_and_survived(
    nvml: StandInNvml, start_gpu_pod: StartGpuPod
) -> None:
    pod = start_gpu_pod(nvml.env)
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


def test_a_driver_that_comes_later_is_found(tmp_path: Path, start_gpu_pod: StartGpuPod) -> None:
    nvml = StandInNvml(tmp_path / "driver")
    pod = start_gpu_pod(nvml.env)
    report = pod.report()
    assert (report.source, report.gpus, report.message) == ("none", (), "no NVIDIA driver on this pod")
    nvml.say(f"all {DRIVER_NOT_LOADED}")
    nvml.install()
    pod.report(lambda report: report.message == "the NVIDIA driver is installed but not loaded")
    nvml.say()
    assert len(pod.report(lambda report: report.source == "nvml").gpus) == 2


def test_a_driver_that_hangs_costs_neither_the_link_nor_the_truth(
    nvml: StandInNvml, start_gpu_pod: StartGpuPod
) -> None:
    nvml.say("memory 0 61440")
    pod = start_gpu_pod(nvml.env)
    assert pod.gpu().memory_used_bytes == 60 * GIB
    nvml.say("memory 0 61440", "slow nvmlDeviceGetPowerUsage 4500")
    old = pod.report(lambda report: report.age_s > 0)
    assert old.gpus[0].memory_used_bytes == 60 * GIB  # a moment old, and it says so
    stale = pod.report(lambda report: bool(report.gpus[0].error))
    assert stale.gpus[0].memory_used_bytes is None
    assert "has not answered" in stale.message
    nvml.say("memory 0 61440")
    assert pod.gpu(lambda gpu: not gpu.error).memory_used_bytes == 60 * GIB


def test_an_older_driver_tells_what_it_can(nvml: StandInNvml, start_gpu_pod: StartGpuPod) -> None:
    nvml.install("-DOLD", driver="470.00")
    nvml.say("memory 0 61440", f"process 0 {os.getpid()} 60416")
    gpu = start_gpu_pod(nvml.env).gpu()
    assert (gpu.memory_used_bytes, gpu.error, gpu.cell_errors) == (60 * GIB, "", {})
    assert gpu.clock_reasons == ("hardware slowdown",)
    assert [process.pid for process in gpu.processes] == [os.getpid()]


def test_mig_instances_are_told_each_with_its_own_memory(nvml: StandInNvml, start_gpu_pod: StartGpuPod) -> None:
    nvml.say("gpus 1", "mig 0 2", "memory 0 5120", f"process 0 {os.getpid()} 5000")
    gpu = start_gpu_pod(nvml.env).gpu()
    assert (gpu.mig_enabled, gpu.utilization_percent, gpu.error) == (True, None, "")
    first, second = gpu.instances
    assert (first.uuid, first.name, first.gpu_instance) == ("MIG-stand-in-0-0", "Stand-in GPU 0 MIG 1g.10gb", 3)
    assert (second.uuid, second.memory_used_bytes, second.memory_total_bytes) == ("MIG-stand-in-0-1", 5 * GIB, 10 * GIB)
    assert gpu.processes[0].gpu_instance == 3


def test_in_a_container_a_number_of_the_host_is_not_taken_for_a_process_here(
    nvml: StandInNvml, start_gpu_pod: StartGpuPod
) -> None:
    namespace = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
    if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine allows no PID namespace")
    nvml.say("memory 0 61440", "process 0 1 60416", "process 0 3999999 10")
    gpu = start_gpu_pod(nvml.env, *namespace).gpu()
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
    while not number.exists() or not (pid := number.read_text().strip()):
        assert _claimed(ops, nvml, run_id)
    nvml.say("gpus 8", f"memory {index} 61440", f"process {index} {pid} 60416", f"process {other} {pid} 400")
    gpu = _claimed(ops, nvml, run_id)
    assert (gpu["used_by"], gpu["attributed"], gpu["processes"][0]["name"]) == ([run_id], "process", "sleep")
    page = ops("pod", "status", "laptop", env=nvml.env).stdout
    assert page.count(f"used by {run_id}") == 2  # also the GPU it never claimed
    ops("run", "kill", run_id, "--yes", env=nvml.env)


def _claimed(ops: Ops, nvml: StandInNvml, run_id: str) -> dict[str, Any]:
    """The GPU that the run claims, once it does."""
    deadline = time.monotonic() + 60
    while True:
        gpus: list[dict[str, Any]] = ops("pod", "status", "laptop", "--json", env=nvml.env).json["pod"]["gpus"]
        found = [gpu for gpu in gpus if gpu["claimed_by"] == run_id]
        if found:
            assert len(found) == 1, found
            return found[0]
        assert time.monotonic() < deadline, gpus
