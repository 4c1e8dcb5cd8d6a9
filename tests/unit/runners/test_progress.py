"""How far a run is and what is left of it, by what it prints: never a number that is not so."""

from __future__ import annotations

from podops_runners.metrics_scrape import Scraper
from podops_runners.progress import Progress


def bar(step: int, total: int, before: str = "") -> bytes:
    return f"\r{before}{100 * step // total:3}%|####    | {step}/{total} [00:10<00:20,  9.80it/s]\r".encode()


class Printed:
    """A run that prints a piece every ten seconds."""

    def __init__(self) -> None:
        self._scraper = Scraper()
        self.now = 1000.0

    @property
    def progress(self) -> Progress:
        return self._scraper.progress

    def print(self, *pieces: bytes) -> float | None:
        """Returns the seconds that are left then."""
        for piece in pieces:
            self._scraper.feed(piece)
            self.now += 10
            self.progress.look(self.now)
        return self.progress.left_s(self.now)


def test_what_is_left_is_told_at_the_pace_since_the_bar_began_and_not_since_the_run_did() -> None:
    run = Printed()
    run.now += 3600
    assert run.print(bar(0, 100)) is None
    assert run.print(bar(1, 100), bar(2, 100)) == 980
    run.now += 80
    assert run.progress.left_s(run.now) == 98 * 50, "a run that stands still takes longer"


def test_of_bars_that_begin_again_with_every_epoch_neither_share_nor_time_is_told() -> None:
    run = Printed()
    run.print(bar(0, 200), bar(100, 200), bar(200, 200))
    for _ in range(3):
        assert run.print(bar(1, 200)) is None and run.print(bar(150, 200)) is None
        assert (run.progress.step, run.progress.total, run.progress.is_part) == (150, 200, True)


def test_a_bar_that_names_its_epoch_is_known_for_a_part_from_the_first_on() -> None:
    for told in ("Epoch 0: ", "[epoch 3/10] ", "Epoch=2 train: "):
        run = Printed()
        assert run.print(bar(1, 200, told), bar(90, 200, told)) is None and run.progress.is_part, told
    lines = (b"epoch 2 step %d/500 | loss: 3.2\n" % step for step in (10, 20))
    run = Printed()
    assert run.print(*lines) is None and run.progress.is_part
    run = Printed()
    assert run.print(bar(1, 10, "epochs: "), bar(2, 10, "epochs: ")) == 80 and not run.progress.is_part


def test_bars_before_and_within_that_of_the_whole_run_leave_its_time_right() -> None:
    run = Printed()
    assert run.print(bar(1, 2, "Loading: "), bar(2, 2, "Loading: "), bar(0, 1000), bar(10, 1000)) == 990
    assert run.print(bar(1, 50, "eval: "), bar(40, 50, "eval: ")) is None and run.progress.is_part
    assert run.print(bar(50, 50, "eval: "), bar(11, 1000)) is None
    assert run.print(bar(21, 1000)) == 979 and not run.progress.is_part


def test_lines_without_a_total_are_told_by_the_planned_one_and_a_resumed_run_by_its_own_steps() -> None:
    run = Printed()
    run.print(b"iter 5000: loss 3.2, time 1ms\n", b"iter 5010: loss 3.2, time 1ms\n")
    assert (run.progress.left_s(run.now, 6010), run.progress.left_s(run.now)) == (1000, None)
