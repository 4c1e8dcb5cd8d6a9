"""Whatever a pod sends, the fleet gets values of the right shape, no exception and no terminal code."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from podops.fleet import wire
from podops.fleet.snapshot import (
    DiskUsage,
    GpuProcess,
    GpuReport,
    GpuSample,
    HostInfo,
    HostSample,
    MigInstance,
    RunSnapshot,
)

_FIELDS = sorted(
    {
        field.name
        for shape in (HostInfo, HostSample, DiskUsage, GpuReport, GpuSample, GpuProcess, MigInstance, RunSnapshot)
        for field in dataclasses.fields(shape)
    }
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=6),
    max_leaves=20,
)
wire_objects = json_values | st.dictionaries(st.sampled_from(_FIELDS), json_values, max_size=12)


@given(wire_objects)
def test_anything_becomes_a_value(sent: Any) -> None:
    assert isinstance(wire.host_info(sent), HostInfo)
    assert isinstance(wire.host_sample(sent), HostSample)
    assert isinstance(wire.gpu_report(sent), GpuReport)
    assert all(isinstance(run_id, str) for run_id in wire.gone_run_ids(sent))
    named = {**sent, "run_id": "r"} if isinstance(sent, dict) else {"run_id": "r"}
    run = wire.run(named, "pod", time.monotonic())
    assert run is not None
    assert all(isinstance(value, float) for value in run.metrics.values())


@given(st.text())
def test_short_texts_are_one_bounded_printable_line(sent: str) -> None:
    shown = wire.text(sent)
    assert shown.isprintable() and len(shown) <= wire.SHORT


def test_a_run_whose_id_could_leave_its_folder_is_left_out() -> None:
    assert wire.run({"run_id": "../../etc"}, "pod", 0.0) is None
    assert wire.run({"run_id": 7}, "pod", 0.0) is None


def test_what_a_pod_says_truly_is_kept() -> None:
    sent = {
        "run_id": "r",
        "state": "running",
        "gpus": [0, 3],
        "metrics": {"loss": 3, "odd": "nan", "bad": "x", "worse": []},
        "created_at": 5,
        "problems": ["summary.json is not valid JSON"],
        "owned": False,
    }
    run = wire.run(sent, "a100", 1.0)
    assert run is not None
    assert (run.pod, run.state, run.gpus, run.metrics) == ("a100", "running", (0, 3), {"loss": 3.0, "odd": math.nan})
    assert (run.created_at, run.problems, run.owned) == (5.0, ("summary.json is not valid JSON",), False)


def test_every_field_of_a_sample_survives_the_way_from_the_pod() -> None:
    process = GpuProcess(7, 8, "python", "run-1", known=False, gpu_instance=3)
    instance = MigInstance(1, "MIG-x", "1g.10gb", 3, 0, 5, 10)
    gpu = _filled(GpuSample, processes=(process,), instances=(instance,), cell_errors={"fan_percent": "Unknown Error"})
    gpu = dataclasses.replace(
        gpu, used_by=("run-1",), clock_reasons=("power cap",), attributed="claim", mig_enabled=True
    )
    report = GpuReport("nvml", "a message", "570.1", (gpu,), "12.8", 3.5)
    assert wire.gpu_report(json.loads(json.dumps(dataclasses.asdict(report)))) == report
    host = _filled(HostSample, disks=(DiskUsage("/mnt", 1, 2, True, "gone"),))
    assert wire.host_sample(json.loads(json.dumps(dataclasses.asdict(host)))) == host


def _filled(shape: type[Any], **known: Any) -> Any:
    """A value with something in every field."""
    names = [field for field in dataclasses.fields(shape) if field.name not in known]
    return shape(**known, **{field.name: "text" if "str" in str(field.type) else 5 for field in names})
