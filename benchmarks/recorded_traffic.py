"""What a pod with eight GPUs and twenty runs says on its link, as a real pod side said it, with room for other numbers.

Encoded once, so that thousands of simulated pods cost little beside the program that listens to them.
"""

from __future__ import annotations

import random
from typing import Any

from podops_runners.frames import encode_frame
from podops_runners.protocol import PROTOCOL_VERSION

GPUS, RUNS, RUNNING, WAITING = 8, 20, 8, 4

#: Samples to choose from; all pods say the same ones, each at its own time.
_SAMPLES = 16

#: A line of a training script.
LOG_LINE = b"iter 001234: loss 2.3456, time 123.45ms, mfu 41.23%, lr 3.00e-04, grad norm 0.9876\n"

REPORT = b'\n\x01podops{"python":[3,11,7],"have":true}\n'

_HOST = {
    "hostname": "gpu-node",
    "os": "Ubuntu 22.04.4 LTS",
    "python": "3.10.12",
    "tmux": "3.2a",
    "user": "root",
    "cpu_count": 192,
    "boot_id": "e4028fbc-d694-4ad8-bba2-32b5c8ab545f",
    "machine_id": "3d1219c7c4c5404aaa1f6d2a48adfda4",
}

_GPU: dict[str, Any] = {
    "utilization_percent": 97.0,
    "memory_utilization_percent": 61.0,
    "memory_used_bytes": 71 * 2**30,
    "memory_total_bytes": 80 * 2**30,
    "temperature_c": 61,
    "temperature_limit_c": 87,
    "power_w": 612.5,
    "power_limit_w": 700.0,
    "clock_sm_mhz": 1755,
    "clock_memory_mhz": 2619,
    "clock_sm_max_mhz": 1980,
    "clock_memory_max_mhz": 2619,
    "ecc_volatile": 0,
    "ecc_aggregate": 0,
    "pcie_generation": 5,
    "pcie_width": 16,
    "pcie_generation_max": 5,
    "pcie_width_max": 16,
    "pcie_rx_bytes_per_s": 2097152,
    "pcie_tx_bytes_per_s": 1048576,
    "fan_percent": None,
    "mig_enabled": False,
    "name": "NVIDIA H100 80GB HBM3",
    "clock_reasons": ["power cap"],
    "instances": [],
    "cell_errors": {},
    "error": "",
    "claimed_by": None,
    "used_by": [],
    "attributed": "process",
}


def hello() -> dict[str, Any]:
    """The answer to `hello`."""
    projects = [{"name": "bench", "outputs_dir": "/mnt/runs/bench", "problem": None}]
    return {"protocol": PROTOCOL_VERSION, "version": "0.1.0", "host": _HOST, "projects": projects}


def samples() -> list[bytes]:
    """Frames with eight busy GPUs, a process on each."""
    chance = random.Random(7)
    return [encode_frame({"push": "sample", "host": _host(chance), "gpus": _gpus(chance)}) for _ in range(_SAMPLES)]


def _host(chance: random.Random) -> dict[str, Any]:
    disks = [
        {"path": path, "used_bytes": 31 * 2**30, "total_bytes": 100 * 2**30, "read_only": False, "error": ""}
        for path in ("/", "/mnt/runs/bench")
    ]
    return {
        "time": 1795255054.46,
        "cpu_percent": chance.uniform(20, 60),
        "cpu_cores": 192.0,
        "load1": chance.uniform(20, 80),
        "memory_used_bytes": 400 * 2**30,
        "memory_total_bytes": 2000 * 2**30,
        "memory_scope": "container",
        "network_received_bytes_per_s": chance.uniform(0, 1e8),
        "network_sent_bytes_per_s": chance.uniform(0, 1e8),
        "disks": disks,
    }


def _gpus(chance: random.Random) -> dict[str, Any]:
    gpus = []
    for index in range(GPUS):
        used = {"pid": 4000 + index, "memory_bytes": 70 * 2**30, "name": "python", "run_id": f"train-{index}"}
        changing = {"utilization_percent": chance.uniform(80, 100), "power_w": chance.uniform(500, 700)}
        gpus.append(_GPU | changing | {"index": index, "uuid": f"GPU-3d1219c7-{index}", "processes": [used]})
    return {"source": "nvml", "message": "", "driver": "570.86.15", "cuda": "12.8", "gpus": gpus, "age_s": 0.0}


#: What stands in a run for the pod's name and for the tick.
_POD, _TICK = "@POD@", 77777777


class RunTraffic:
    """The run list of any pod, and what changes in it each time: step, loss and heartbeat of what runs."""

    def __init__(self) -> None:
        everything = [_run(number) for number in range(RUNS)]
        self._full = encode_frame({"push": "runs", "full": True, "changed": everything, "gone": []})
        self._changes = encode_frame({"push": "runs", "full": False, "changed": everything[:RUNNING], "gone": []})

    def full(self, pod: str) -> bytes:
        return self._filled(self._full, pod, 1)

    def changes(self, pod: str, tick: int) -> bytes:
        return self._filled(self._changes, pod, tick)

    @staticmethod
    def _filled(frame: bytes, pod: str, tick: int) -> bytes:
        return frame.replace(_POD.encode(), pod.encode()).replace(str(_TICK).encode(), str(tick).encode())


def _run(number: int) -> dict[str, Any]:
    ended = ("succeeded", "failed")[number % 2]
    state = "running" if number < RUNNING else "queued" if number < RUNNING + WAITING else ended
    run_id = f"train-20261121-{_POD}-{number:04}"
    run: dict[str, Any] = {
        "run_id": run_id,
        "project": "bench",
        "preset": "hc_small",
        "kind": "nanogpt_train",
        "state": state,
        "reason": {"succeeded": "ok", "failed": "oom_gpu"}.get(state),
        "detail": "CUDA out of memory. Tried to allocate 2.50 GiB" if state == "failed" else "",
        "endpoint": "",
        "run_dir": f"/mnt/runs/bench/{run_id}",
        "session": f"run-{run_id}",
        "command": "python3 train.py config/train_fineweb10B_hc.py max_iters=5000 batch_size=8 wandb_log=True",
        "gpus": [number] if state == "running" else [],
        "asked_gpus": "1",
        "tags": ["nightly"],
        "attempt": 1,
        "user": "me",
        "tracking": {},
        "created_at": 1.7e9 + number,
        "started_at": 1.7e9 + 60 + number,
        "owned": True,
        "problems": [],
        "log_bytes": _TICK,
        "log_age_s": 0.4,
        "metrics": {},
    }
    if state == "running":
        line = f"2026-11-21T09:30:00Z running pid=4242 elapsed={_TICK} log_bytes={_TICK} log_age=0.4 step={_TICK}"
        run |= {"step": _TICK, "total_steps": 500000, "metrics": {"loss": 2.25, "lr": 3e-4, "mfu": 41.0, "step": _TICK}}
        run |= {"heartbeat_line": line, "heartbeat_time": 1.79e9, "heartbeat_age_s": 0.5, "elapsed_s": 60.0}
    elif state == "queued":
        run |= {"place": number - RUNNING + 1, "waits_s": 60.0, "detail": "waits for 4 GPUs: 0 of 8 free"}
    return run
