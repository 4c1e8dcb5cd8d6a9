"""What the row of a pod tells on lists of some width."""

from __future__ import annotations

from dataclasses import replace

import pytest

from podops.fleet.snapshot import GpuReport, GpuSample, HostInfo, HostSample, PodSnapshot
from podops_tui.widgets.pods_table import PodsTable
from podops_tui.widgets.row_list import RowList

GIB = 1024**3
CARDS = tuple(
    GpuSample(index, f"GPU-{index}", "H100", used, int(used) * GIB // 2, 80 * GIB)
    for index, used in enumerate((98, 70))
)
HOST = HostSample(1.0, cpu_percent=100.0, memory_used_bytes=7 * GIB, memory_total_bytes=100 * GIB)
POD = PodSnapshot(
    "pod", "live", "ssh", "pod", host=HostInfo("node-7"), sample=HOST, gpus=GpuReport("simulated", gpus=CARDS)
)
NO_GPU = replace(POD, name="cpu", gpus=GpuReport())


def rows(monkeypatch: pytest.MonkeyPatch, width: int, *pods: PodSnapshot) -> list[str]:
    monkeypatch.setattr(RowList, "show", lambda table, items: None)
    table = PodsTable(id="pods")
    table.show(list(pods))
    return [table.line_of(pod, width).plain for pod in pods]


def test_gpus_tell_their_mean_load_and_memory_where_that_pushes_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (99, 146, 198):
        row, other = rows(monkeypatch, width, POD, NO_GPU)
        assert "SIMULATED" in row and " 84%  vram " in row and " 52%  cpu " in row and len(row) <= width
        assert row.index("cpu") == other.index("cpu", 10) and "util" not in other
        assert ("node-7" in row) == (width >= 110) and ("util █" in row) == (width == 198)
    slow = rows(monkeypatch, 146, replace(POD, latency_s=0.9))[0]
    assert slow.endswith("slow: 0.9 s  node-7") and "util  84%" in slow
    assert "util  84%  vram  52%  cpu 100%  mem   7%  node-7" in rows(monkeypatch, 132, POD)[0]
    assert "util" not in rows(monkeypatch, 131, POD)[0] + rows(monkeypatch, 98, POD)[0]
    assert "cpu ██████ 100%" in rows(monkeypatch, 131, POD)[0]


def test_a_row_of_80_columns_is_whole_beside_a_scroll_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    row = rows(monkeypatch, 77, POD)[0]
    assert row.endswith("cpu 100%  mem   7%") and len(row) <= 77


def test_loads_of_a_driver_that_hangs_are_dim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RowList, "show", lambda table, items: None)
    table = PodsTable(id="pods")
    old = replace(POD, gpus=replace(POD.gpus, age_s=12.0))
    table.show([old])
    row = table.line_of(old, 198)
    assert any(span.style == "dim" and "util" in row.plain[span.start : span.end] for span in row.spans)
