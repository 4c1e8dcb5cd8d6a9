"""What sampling the GPUs of a pod costs: the shipped pod side, once with GPUs and once without a driver.

    .venv/bin/python -m benchmarks.gpu_sampling [--gpus 8] [--seconds 20] [--interval 1.0]

The driver is the tests' stand-in for libnvidia-ml.so.1, which answers at once: the time a real driver takes for its own
answers comes on top, and is not measured here. Needs gcc.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.pods.loopback import end_leftovers
from tests.pods.stand_in_gpus import StandInNvml

from podops.link.pod_archive import pod_archive
from podops_runners.frames import FrameDecoder, encode_frame
from podops_runners.protocol import PROTOCOL_VERSION

#: As the bootstrap starts it.
_AS_A_LINK = {"MALLOC_ARENA_MAX": "1"}

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """Of one link process over its steady time, and from its start to its first sample."""

    samples: int
    cpu_ms_per_sample: float
    cpu_percent: float
    bytes_per_sample: int
    resident_mb: float
    first_sample_ms: float


def measure(pyz: Path, env: dict[str, str], seconds: float, interval: float) -> Cost:
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(pyz), "link"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(pyz.parent), **_AS_A_LINK, **env},
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        hello = {"id": 1, "op": "hello", "protocol": PROTOCOL_VERSION, "projects": [], "sample_interval_s": interval}
        process.stdin.write(encode_frame(hello))
        process.stdin.flush()
        samples = _samples(process.stdout.fileno())
        next(samples)
        first = time.monotonic() - started
        next(samples)
        begun, cpu_before = time.monotonic(), _cpu_seconds(process.pid)
        sizes = []
        while time.monotonic() - begun < seconds:
            sizes.append(next(samples))
            process.stdin.write(encode_frame({"id": 2, "op": "ping"}))
            process.stdin.flush()
        passed, cpu = time.monotonic() - begun, _cpu_seconds(process.pid) - cpu_before
        return Cost(
            len(sizes),
            round(1000 * cpu / len(sizes), 2),
            round(100 * cpu / passed, 2),
            sum(sizes) // len(sizes),
            round(_resident(process.pid) / 1e6, 1),
            round(1000 * first),
        )
    finally:
        process.kill()
        process.wait()


def _samples(descriptor: int) -> Iterator[int]:
    """The size of each sample as it comes, bytes."""
    decoder = FrameDecoder()
    while True:
        for frame in decoder.feed(os.read(descriptor, 1 << 20)):
            if frame.header.get("push") == "sample":
                yield len(encode_frame(frame.header))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--interval", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        pyz = Path(name) / "podops.pyz"
        pyz.write_bytes(pod_archive()[0])
        nvml = StandInNvml(Path(name) / "driver")
        cards = [f"memory {index} 61440" for index in range(options.gpus)]
        processes = [f"process {index} {os.getpid()} 60000" for index in range(options.gpus)]
        nvml.say(f"gpus {options.gpus}", *cards, *processes)
        for label in ("no driver", f"{options.gpus} GPUs"):
            own = {"PODOPS_STATE_DIR": str(Path(name) / "state")}
            cost = measure(pyz, {**own, **nvml.env}, options.seconds, options.interval)
            nvml.install()
            line = json.dumps({"what": label, "interval_s": options.interval, **cost.__dict__})
            sys.stdout.write(f"{line}\n")
        end_leftovers(Path(name))


if __name__ == "__main__":
    main()
