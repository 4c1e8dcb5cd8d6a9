"""How far a run is and what is left of it, by what it prints: never a number that is not so."""

from __future__ import annotations

from podops_runners.metrics_scrape import Scraper
from podops_runners.progress import Progress


def bar(step: int, total: int, before: str = "") -> bytes:
    return f"\r{before}{100 * step // total:3}%|####    | {step}/{total} [00:10<00:20,  9.80it/s]\r".encode()


class Printed:
    """A run that prints a piece every ten seconds."""

    def __init__(self, planned_epochs: int | None = None) -> None:
        self._scraper = Scraper(planned_epochs=planned_epochs)
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
    for told in ("Epoch 0: ", "[epoch 0/10] ", "Epoch=2 train: "):
        run = Printed()
        assert run.print(bar(1, 200, told), bar(90, 200, told)) is None and run.progress.is_part, told
    lines = (b"epoch 2 step %d/500 | loss: 3.2\n" % step for step in (10, 20))
    run = Printed()
    assert run.print(*lines) is None and run.progress.is_part
    run = Printed()
    assert run.print(bar(1, 10, "epochs: "), bar(2, 10, "epochs: ")) == 80 and not run.progress.is_part


def test_bars_before_and_within_that_of_the_whole_run_leave_its_time_right() -> None:
    run = Printed()
    assert run.print(bar(1, 2, "Loading: "), bar(2, 2, "Loading: "), bar(0, 1000), bar(5, 1000), bar(10, 1000)) == 1980
    assert run.print(bar(1, 50, "eval: "), bar(40, 50, "eval: ")) == 99 * 40
    assert (run.progress.step, run.progress.total, run.progress.is_part) == (10, 1000, False)
    assert run.print(bar(50, 50, "eval: "), bar(11, 1000)) == 989 * 60 / 11, "evaluations take their time"


def test_of_bars_the_longest_tells_the_step_until_others_were_drawn_more_often() -> None:
    run = Printed()
    for _ in range(3):
        run.print(*(bar(step, 200).replace(b"it/s", b"it/s, loss=2.1") for step in (1, 100, 200)))
        assert run.print(bar(1, 20), bar(20, 20)) is None, "it goes on after its longest bar"
        assert (run.progress.step, run.progress.total, run.progress.is_part) == (200, 200, True)
    mapped = Printed()
    mapped.print(bar(1, 60000, "Map: "), bar(60000, 60000, "Map: "), bar(1, 1000))
    assert (mapped.progress.step, mapped.progress.total) == (1, 1000)


def test_where_a_run_tells_of_how_many_epochs_its_end_is_known() -> None:
    steps = [(epoch, step) for epoch in (1, 2, 3) for step in (50, 100, 150, 200)]
    in_line = [b"epoch %d/3 step %d/200 loss 2.3\n" % of for of in steps]
    above = [b"Epoch [%d/3]\nstep %d/200 loss=2\n" % of for of in steps]
    bars = [bar(step, 200, f"[epoch {epoch}/3] ") for epoch, step in steps]
    untold = [b"epoch %d/3 step %d loss 2.3\n" % of for of in steps]
    for lines in (in_line, above, bars, untold):
        run = Printed()
        early = run.print(*lines[:3])
        assert early == (None if lines is untold else 90), "nobody knows how long an epoch is before one has ended"
        assert run.print(*lines[3:6]) == 60
        seen = (run.progress.step, run.progress.total, run.progress.epoch, run.progress.epochs, run.progress.is_part)
        assert seen == (100, 200, 2, 3, True)


def test_of_epochs_that_count_from_0_or_have_ended_no_end_is_made_up() -> None:
    run = Printed()
    steps = ((epoch, step) for epoch in (0, 1) for step in (50, 100))
    assert run.print(*(b"epoch %d/2 step %d/100 loss 2.3\n" % of for of in steps)) is None
    assert run.progress.epochs is None
    through = Printed()
    through.print(*(b"epoch %d/2 step %d/200 loss 2.3\n" % (1 + step // 101, step) for step in (50, 100, 150)))
    assert (through.progress.step, through.progress.total, through.progress.is_part) == (150, 200, False)
    told = Printed()
    told.print(b"step 100/100 loss 2\n", b"epoch 1/3 loss: 2\n", b"step 10/100 loss 2\n", b"step 20/100 loss 2\n")
    assert (told.progress.epochs, told.progress.is_part) == (None, True)


def test_lines_without_a_total_are_told_by_the_planned_one_and_a_resumed_run_by_its_own_steps() -> None:
    run = Printed()
    run.print(b"iter 5000: loss 3.2, time 1ms\n", b"iter 5010: loss 3.2, time 1ms\n")
    assert (run.progress.left_s(run.now, 6010), run.progress.left_s(run.now)) == (1000, None)


def test_who_takes_over_knows_epochs_and_parts_as_the_one_before_told_them() -> None:
    run = Printed()
    run.progress.go_on({"step": "150", "total": "200", "part": "1"})
    assert run.print(bar(160, 200), bar(170, 200)) is None and run.progress.is_part
    run.progress.go_on({"step": "150", "total": "200", "part": "1", "epoch": "2", "epochs": "3", "pid": "7"})
    assert round(run.print(bar(180, 200), bar(190, 200)) or 0) == 210, "0.05 epochs in 10 s, and 1.05 to go"
    whole = Printed()
    whole.progress.go_on({"step": "150", "total": "200"})
    assert whole.print(bar(148, 200), bar(149, 200)) == 510 and not whole.progress.is_part


def test_of_how_many_epochs_the_command_tells_counts_where_the_run_does_not_tell_it() -> None:
    steps = [(epoch, step) for epoch in (1, 2, 3) for step in (50, 100, 150, 200)]
    bars = [bar(step, 200, f"Epoch {epoch}: ") for epoch, step in steps]
    from_0 = [bar(step, 200, f"Epoch {epoch - 1}: ") for epoch, step in steps]
    lines = [b"Epoch: [%d]  [%d/200]  loss: 2.3 (2.4)\n" % (epoch - 1, step) for epoch, step in steps]
    untold = [b"Epoch %d step %d loss 2.3\n" % (epoch - 1, step) for epoch, step in steps]
    for pieces in (bars, from_0, lines, untold):
        run = Printed(3)
        early = run.print(*pieces[:3])
        assert early == (None if pieces is untold else 90)
        assert run.print(*pieces[3:6]) == 60
        seen = (run.progress.step, run.progress.total, run.progress.epoch_from_1, run.progress.epochs)
        assert seen == (100, 200, 2, 3)
    alone = Printed(10)
    assert alone.print(b"Epoch 1 loss: 2.5\n", b"Epoch 2 loss: 2.4\n") == 80
    assert (alone.progress.step, alone.progress.total, alone.progress.is_part) == (2, 10, False)


def test_what_the_command_tells_of_epochs_is_left_alone_where_it_may_not_be_so() -> None:
    gone_on = Printed(8)
    assert gone_on.print(bar(100, 200, "Epoch 5: "), bar(150, 200, "Epoch 5: ")) is None, "from 0, or from 1?"
    said = Printed(8)
    said.print(bar(100, 200, "Epoch 1/3: "), bar(150, 200, "Epoch 1/3: "))
    assert said.progress.epochs == 3
    longer = Printed(2)
    longer.print(*(bar(100, 200, f"Epoch {epoch}: ") for epoch in (1, 2)))
    assert longer.progress.epochs == 2
    longer.print(bar(100, 200, "Epoch 3: "))
    assert longer.progress.epochs is None
    taken_over = Printed(3)
    taken_over.progress.go_on({"total": "200", "part": "1", "epoch": "2", "epochs": "3", "epoch_from": "0"})
    taken_over.print(bar(100, 200, "Epoch 1: "))
    assert (taken_over.progress.epoch_from_1, taken_over.progress.epochs) == (2, 3)
