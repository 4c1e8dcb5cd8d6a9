"""The last metrics of a run, read from what its file has grown by: the same as reading all of its end again."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podops_runners import last_metrics
from podops_runners.last_metrics import LastMetrics
from podops_runners.open_cache import OpenCache


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def look(file: Path) -> Iterator[Callable[[], dict[str, float]]]:
    cache: OpenCache[LastMetrics] = OpenCache(last_metrics.take)

    def looked() -> dict[str, float]:
        found = cache.look(str(file))
        return {} if found is None else found.values

    yield looked


def line(**values: object) -> bytes:
    return json.dumps(values).encode() + b"\n"


def anew(data: bytes) -> dict[str, float]:
    """The definition: of each metric the last value in the last 50 whole lines of the last 16 KiB."""
    end = data[-16384:] if len(data) <= 16384 or data[-16385:-16384] == b"\n" else data[-16384:].partition(b"\n")[2]
    found: dict[str, float] = {}
    for each in end.splitlines()[-50:]:
        try:
            found.update(last_metrics.numbers(json.loads(each)))
        except ValueError:
            continue
    return found


def put(file: Path, data: bytes, moment: int) -> None:
    """Never within one tick of the file system's clock."""
    file.write_bytes(data)
    os.utime(file, ns=(moment * 10**9, moment * 10**9))


@pytest.mark.parametrize("seed", range(20))
def test_however_a_file_grows_the_last_values_are_those_of_its_end(
    file: Path, look: Callable[[], dict[str, float]], seed: int
) -> None:
    dice, data = random.Random(seed), b""
    for moment in range(1, 60):
        odds = dice.random()
        if odds < 0.05:
            data = b""
        elif odds < 0.1:
            data = data[: dice.randrange(len(data) + 1)]
        for _ in range(dice.choice([0, 1, 1, 1, 3, 60, 400])):
            values = {name: dice.random() for name in ("loss", "mfu", "val") if dice.random() < 0.5}
            text = {"note": "x" * dice.randrange(300)} if dice.random() < 0.3 else {}
            data += dice.choice([line(step=moment, time=1.0, **values, **text)] * 8 + [b"not json\n", b"\n"])
        if dice.random() < 0.3:  # in the middle of a write
            data += line(loss=dice.random(), half=1.0)[: dice.randrange(1, 12)]
            put(file, data, moment)
            look()
            data += b'"}\n'
        put(file, data, moment)
        assert look() == anew(data)


def test_a_last_line_counts_before_its_end_is_written(file: Path, look: Callable[[], dict[str, float]]) -> None:
    put(file, line(loss=2.0) + line(loss=1.0)[:-1], 1)
    assert look() == {"loss": 1.0}
    put(file, line(loss=2.0) + line(loss=1.0) + line(step=3), 2)
    assert look() == {"loss": 1.0, "step": 3.0}


def test_a_file_that_was_written_anew_tells_nothing_of_before(file: Path, look: Callable[[], dict[str, float]]) -> None:
    put(file, line(loss=2.0, old=1.0), 1)
    assert look() == {"loss": 2.0, "old": 1.0}
    put(file, line(loss=9.0) * 3, 2)  # longer than before, and nothing of it is what was there
    assert look() == {"loss": 9.0}
    file.unlink()
    assert look() == {}
    put(file, line(step=1), 3)
    assert look() == {"step": 1.0}


def test_of_a_file_that_grows_no_line_is_parsed_twice(
    file: Path, look: Callable[[], dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    loads = json.loads

    def counted(text: str) -> object:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr(json, "loads", counted)
    for step in range(40):
        with file.open("ab") as stream:
            stream.write(line(step=step))
        os.utime(file, ns=(step * 10**9, step * 10**9))
        assert look() == {"step": step}
        look()
    assert len(parsed) == len(set(parsed)) == 40


def test_of_a_run_that_has_ended_each_value_is_told_as_it_was_written(file: Path) -> None:
    rows = [line(val_loss=2, time=1.0, step=1), *(line(step=step, loss=float(step)) for step in range(1000))]
    odd = b'not json\n[1]\n{"loss": NaN, "lr": "Infinity", "note": "x", "up": true}\n{"step"'
    file.write_bytes(b"".join(rows) + odd)
    told = last_metrics.of_ended(str(file))
    assert json.dumps(told, sort_keys=True) == '{"loss": "nan", "lr": "inf", "step": 999, "val_loss": 2}'


def test_a_metric_whose_name_is_half_a_character_leaves_the_record_of_the_end_readable(file: Path) -> None:
    file.write_text('{"\\ud800": 1, "loss": 2}\n')
    told = last_metrics.of_ended(str(file))
    assert told == {"?": 1, "loss": 2} and json.dumps(told, ensure_ascii=False).encode()


def test_a_metrics_file_that_cannot_be_read_tells_nothing(file: Path) -> None:
    assert last_metrics.of_ended(str(file)) == {}
    os.mkfifo(file)
    assert last_metrics.of_ended(str(file)) == {}
