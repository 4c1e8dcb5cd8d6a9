"""What a person reads about the GPUs of a pod."""

from __future__ import annotations

from dataclasses import replace

from textual.geometry import Size

from podops.fleet.snapshot import GpuProcess, GpuReport, GpuSample, PodSnapshot, RunSnapshot
from podops_tui.widgets.gpu_pane import gpus

GIB = 1024**3
CARD = GpuSample(0, "GPU-0", "H100", 99.0, 70 * GIB, 80 * GIB, 88.0, 690.0, temperature_limit_c=85.0)
RUN = RunSnapshot("run-a", "pod", "running")


def told(*cards: GpuSample, full: bool = False, age_s: float = 0.0, room: Size | None = None) -> str:
    pod = PodSnapshot("pod", "live", "ssh", "pod", gpus=GpuReport("nvml", gpus=cards, age_s=age_s))
    return gpus(pod, RUN, full=full, room=room).plain


def test_a_card_is_the_runs_when_its_processes_use_it_also_without_a_claim() -> None:
    assert "▶0 H100  this run" in told(replace(CARD, used_by=("run-a",)))
    assert " 0 H100  run-b" in told(replace(CARD, claimed_by="run-b"))
    assert " 0 H100  in use" in told(CARD)


def test_a_faulty_card_says_so_beside_what_it_still_tells() -> None:
    lines = told(replace(CARD, error="fallen off the bus", power_w=None), CARD)
    assert "fallen off the bus" in lines and lines.count("70.0 GiB/80.0 GiB") == 2 and "88°C –" in lines


def test_only_slowdowns_to_act_on_stand_in_the_short_form() -> None:
    capped = replace(CARD, clock_reasons=("power cap", "thermal slowdown"), clock_sm_mhz=1200, clock_sm_max_mhz=1980)
    assert "thermal slowdown" in told(capped) and "power cap" not in told(capped)
    assert "sm 1200/1980 MHz  power cap, thermal slowdown" in told(capped, full=True)


def test_the_full_form_names_processes_memory_errors_and_a_narrow_bus() -> None:
    card = replace(
        CARD,
        processes=(GpuProcess(4242, 3 * GIB, "python", run_id="run-a"),),
        ecc_volatile=2,
        pcie_generation=4,
        pcie_width=8,
        pcie_width_max=16,
    )
    text = told(card, full=True)
    assert "pid 4242  3.0 GiB  python  run-a" in text and "2 since boot" in text and "x8 of x16" in text


def test_values_of_a_driver_that_hangs_are_shown_as_old() -> None:
    assert "values are 12s old" in told(CARD, age_s=12.0)


def test_eight_cards_stand_on_nine_lines_where_there_are_no_lines_for_three_each() -> None:
    broken = replace(CARD, error="fallen off the bus")
    slow = replace(CARD, clock_reasons=("thermal slowdown",), claimed_by="run-b")
    mine = replace(CARD, used_by=("run-a",))
    lines = told(mine, broken, slow, *[CARD] * 5, age_s=12.0, room=Size(77, 9)).splitlines()
    assert len(lines) == 9 and "values are 12s old" in lines[0]
    assert lines[1] == "▶0 ████  99%   70/80 GiB   88°C  690W  this run"
    assert "fallen off the bus" in lines[2] and "690W thermal slowdown  run-b" in lines[3]
    assert "H100" in told(CARD, CARD, room=Size(77, 9))
    narrow = told(*[slow] * 8, room=Size(27, 9)).splitlines()
    assert len(narrow) == 9 and narrow[1] == " 0 ████  99%   70/80 GiB"
