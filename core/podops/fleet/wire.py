"""From what a pod sends to snapshots. A pod is not trusted: whatever it sends, each returns a value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from podops.fleet.snapshot import (
    AttemptBegin,
    DiskUsage,
    GpuProcess,
    GpuReport,
    GpuSample,
    HostInfo,
    HostSample,
    LogPiece,
    MigInstance,
    RunSnapshot,
)
from podops_runners.metric_value import value_of
from podops_runners.runid import is_valid_run_id
from podops_runners.states import STATES

#: Longest name-like text, and longest text meant to be read (a command, an evidence line), characters.
SHORT, LONG = 300, 16_000

#: Most entries taken from any list or mapping a pod sends, and most runs.
MANY, MANY_RUNS = 1_000, 100_000

_SOURCES = ("nvml", "nvidia-smi", "simulated", "none")


def text(value: object, limit: int = SHORT) -> str:
    """One line of printable text; anything that could steer a terminal is left out."""
    if value.__class__ is str and len(value) <= limit and value.isprintable():
        return value  # nearly always; what follows costs a hundred times as much
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " if c in "\t\n\r" else "" for c in value[:limit])


def block(value: object) -> str:
    """Text of several lines, printable but for its newlines and tabs."""
    if not isinstance(value, str):
        return ""
    if len(value) <= LONG and value.isprintable():
        return value
    return "".join(c for c in value[:LONG] if c.isprintable() or c in "\n\t")


def optional_text(value: object) -> str | None:
    return text(value) or None


def number(value: object) -> float | None:
    """A finite number, or `None`."""
    # By class, here and below: a frame has Python's own values only, and this is the most part of reading it.
    if value.__class__ is float:
        return value if math.isfinite(value) else None
    if value.__class__ is not int:
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def integer(value: object) -> int | None:
    """A whole number that fits 64 bits, or `None`."""
    if value.__class__ is not int:
        return None
    return value if -(2**63) < value < 2**63 else None


def count(value: object) -> int:
    """A whole number, 0 when there is none or it is negative."""
    if value.__class__ is not int:
        return 0
    return value if 0 < value < 2**63 else 0


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def items(value: object, limit: int = MANY) -> list[Any]:
    return value[:limit] if isinstance(value, list) else []


def texts(value: object) -> tuple[str, ...]:
    return tuple(text(item) for item in items(value) if isinstance(item, str)) if value else ()


def host_info(value: object) -> HostInfo:
    wire = mapping(value)
    return HostInfo(
        hostname=text(wire.get("hostname")),
        os=text(wire.get("os")),
        python=text(wire.get("python")),
        tmux=optional_text(wire.get("tmux")),
        user=text(wire.get("user")),
        cpu_count=count(wire.get("cpu_count")),
        boot_id=text(wire.get("boot_id")),
        machine_id=text(wire.get("machine_id")),
    )


def host_sample(value: object) -> HostSample:
    wire = mapping(value)
    return HostSample(
        time=number(wire.get("time")) or 0.0,
        cpu_percent=number(wire.get("cpu_percent")),
        load1=number(wire.get("load1")),
        cpu_cores=number(wire.get("cpu_cores")),
        memory_used_bytes=integer(wire.get("memory_used_bytes")),
        memory_total_bytes=integer(wire.get("memory_total_bytes")),
        memory_scope=text(wire.get("memory_scope")),
        network_received_bytes_per_s=number(wire.get("network_received_bytes_per_s")),
        network_sent_bytes_per_s=number(wire.get("network_sent_bytes_per_s")),
        disks=tuple(_disk(disk) for disk in items(wire.get("disks"))),
    )


def _disk(value: object) -> DiskUsage:
    wire = mapping(value)
    return DiskUsage(
        path=text(wire.get("path")),
        used_bytes=count(wire.get("used_bytes")),
        total_bytes=count(wire.get("total_bytes")),
        read_only=wire.get("read_only") is True,
        error=text(wire.get("error")),
    )


def gpu_report(value: object) -> GpuReport:
    wire = mapping(value)
    source = text(wire.get("source"))
    return GpuReport(
        source=source if source in _SOURCES else "none",
        message=text(wire.get("message")),
        driver=text(wire.get("driver")),
        cuda=text(wire.get("cuda")),
        gpus=tuple(_gpu(gpu) for gpu in items(wire.get("gpus"))),
        age_s=number(wire.get("age_s")) or 0.0,
    )


_GPU_NUMBERS = (
    "utilization_percent",
    "memory_utilization_percent",
    "temperature_c",
    "temperature_limit_c",
    "power_w",
    "power_limit_w",
)
_GPU_INTEGERS = (
    "memory_used_bytes",
    "memory_total_bytes",
    "clock_sm_mhz",
    "clock_memory_mhz",
    "clock_sm_max_mhz",
    "clock_memory_max_mhz",
    "ecc_volatile",
    "ecc_aggregate",
    "pcie_generation",
    "pcie_width",
    "pcie_generation_max",
    "pcie_width_max",
    "pcie_rx_bytes_per_s",
    "pcie_tx_bytes_per_s",
    "fan_percent",
)


def _gpu(value: object) -> GpuSample:
    wire = mapping(value)
    mig, attributed = wire.get("mig_enabled"), wire.get("attributed")
    numbers: dict[str, Any] = {name: number(wire.get(name)) for name in _GPU_NUMBERS}
    integers: dict[str, Any] = {name: integer(wire.get(name)) for name in _GPU_INTEGERS}
    return GpuSample(
        index=count(wire.get("index")),
        uuid=text(wire.get("uuid")),
        name=text(wire.get("name")),
        clock_reasons=texts(wire.get("clock_reasons")),
        mig_enabled=mig if isinstance(mig, bool) else None,
        instances=tuple(_mig_instance(instance) for instance in items(wire.get("instances"))),
        error=text(wire.get("error")),
        cell_errors={text(cell): text(why) for cell, why in _entries(wire.get("cell_errors"))},
        processes=tuple(_gpu_process(process) for process in items(wire.get("processes"))),
        claimed_by=optional_text(wire.get("claimed_by")),
        used_by=texts(wire.get("used_by")),
        attributed=attributed if attributed in ("process", "claim") else None,
        **numbers,
        **integers,
    )


def _mig_instance(value: object) -> MigInstance:
    wire = mapping(value)
    return MigInstance(
        index=count(wire.get("index")),
        uuid=text(wire.get("uuid")),
        name=text(wire.get("name")),
        gpu_instance=integer(wire.get("gpu_instance")),
        compute_instance=integer(wire.get("compute_instance")),
        memory_used_bytes=integer(wire.get("memory_used_bytes")),
        memory_total_bytes=integer(wire.get("memory_total_bytes")),
    )


def _gpu_process(value: object) -> GpuProcess:
    wire = mapping(value)
    return GpuProcess(
        pid=count(wire.get("pid")),
        memory_bytes=integer(wire.get("memory_bytes")),
        name=text(wire.get("name")),
        run_id=optional_text(wire.get("run_id")),
        known=wire.get("known") is not False,
        gpu_instance=integer(wire.get("gpu_instance")),
    )


def run(value: object, pod: str, received_at: float) -> RunSnapshot | None:
    """A run; `None` when it has no id that can name one."""
    wire = mapping(value)
    run_id = wire.get("run_id")
    if not isinstance(run_id, str) or not is_valid_run_id(run_id):
        return None
    state = text(wire.get("state"))
    gpus = (integer(index) for index in items(wire.get("gpus")))
    return RunSnapshot(
        run_id=run_id,
        pod=pod,
        state=state if state in STATES else "lost",
        project=text(wire.get("project")),
        preset=text(wire.get("preset")),
        kind=text(wire.get("kind")),
        reason=optional_text(wire.get("reason")),
        detail=text(wire.get("detail"), LONG),
        phase=text(wire.get("phase")),
        endpoint=text(wire.get("endpoint")),
        run_dir=text(wire.get("run_dir"), LONG),
        session=optional_text(wire.get("session")),
        command=block(wire.get("command")),
        gpus=tuple(index for index in gpus if index is not None),
        tags=texts(wire.get("tags")),
        heartbeat_line=text(wire.get("heartbeat_line"), LONG),
        stalled=wire.get("stalled") is True,
        last_failure=text(wire.get("last_failure")),
        asked_gpus=text(wire.get("asked_gpus")),
        user=text(wire.get("user")),
        tracking={text(key): text(link, LONG) for key, link in _entries(wire.get("tracking")) if text(link)},
        problems=texts(wire.get("problems")),
        owned=wire.get("owned") is not False,
        total_is_part=wire.get("total_is_part") is True,
        received_at=received_at,
        **_run_numbers(wire),
    )


def _run_numbers(wire: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a run that are numbers, and those that go with them."""
    floats = (
        "created_at",
        "started_at",
        "ended_at",
        "elapsed_s",
        "heartbeat_time",
        "heartbeat_age_s",
        "log_age_s",
        "waits_s",
        "retry_in_s",
        "left_s",
    )
    integers = ("step", "total_steps", "epoch", "epochs", "exit_code", "signal")
    metrics = ((text(name), value_of(value)) for name, value in _entries(wire.get("metrics")))
    return {
        **{name: number(wire.get(name)) for name in floats},
        **{name: integer(wire.get(name)) for name in integers},
        "log_bytes": count(wire.get("log_bytes")),
        "log_freed": count(wire.get("log_freed")),
        "attempt": count(wire.get("attempt")) or 1,
        "attempts_max": count(wire.get("attempts_max")) or 1,
        "place": count(wire.get("place")),
        "priority": integer(wire.get("priority")) or 0,
        "after": texts(wire.get("after")),
        "metrics": {name: value for name, value in metrics if value is not None},
    }


def _entries(value: object) -> list[tuple[str, Any]]:
    return list(mapping(value).items())[:MANY] if value else []


def gone_run_ids(value: object) -> list[str]:
    """The run ids in a list of `[project, run_id]`."""
    pairs = (items(pair) for pair in items(value, MANY_RUNS))
    return [pair[1] for pair in pairs if len(pair) == 2 and isinstance(pair[1], str)]


def attempt_begins(value: object) -> tuple[AttemptBegin, ...]:
    """Where attempts begin, from a list of `[offset, number, after]`."""
    rows = [row for row in map(items, items(value)) if len(row) == 3]
    return tuple(AttemptBegin(count(row[0]), count(row[1]), text(row[2])) for row in rows if count(row[1]) > 1)


def log_piece(header: Mapping[str, Any], data: bytes) -> LogPiece:
    """Bytes of a log that were read by range."""
    begins = attempt_begins(header.get("attempts"))
    return LogPiece(count(header.get("offset")), data, count(header.get("gap")), begins, count(header.get("size")))
