"""What the history survives: other versions, damage, other processes, a full disk, its own growth."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.pods.loopback import wait_for

from podops.config.model import PodConfig
from podops.fleet.snapshot import GpuReport, GpuSample, HostInfo, HostSample, LogChunk, PodSnapshot, RunSnapshot
from podops.history import schema
from podops.history.database import Database, HistoryUnavailable, open_database
from podops.history.history import History
from podops.history.limit import prune, used_bytes
from podops.history.notes import LOG_REST_S, Notes
from podops.history.record import put_attempts, put_log, put_pod, put_run
from podops.history.samples import figures_of, merged, put_samples, read_samples
from podops.history.store import Store

POD = PodConfig("a100", ssh="host", outputs_dir="/runs")


def run(run_id: str, state: str = "running", **fields: Any) -> RunSnapshot:
    return RunSnapshot(run_id, "a100", state, project="p", created_at=1.0, **fields)


def pod(*runs: RunSnapshot, **fields: Any) -> PodSnapshot:
    known: dict[str, Any] = {"host": HostInfo("node", machine_id="m1"), "last_seen": time.time(), "listed": True}
    return PodSnapshot("a100", "live", "ssh", "ssh host", runs={one.run_id: one for one in runs}, **(known | fields))


def history(directory: Path, told: list[str] | None = None, limit: int = 2**28) -> History:
    return History("p", directory, limit, (told if told is not None else []).append)


def rows(directory: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(directory / "history.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_what_was_noted_is_recalled_by_another_process_of_the_same_pod(tmp_path: Path) -> None:
    first = history(tmp_path)
    sample = HostSample(5.0, cpu_percent=12.0)
    gpus = GpuReport("nvml", gpus=(GpuSample(0, "GPU-0", "H100", 90.0),))
    first.note_pod(POD, pod(run("r1", metrics={"loss": 0.5}), sample=sample, gpus=gpus))
    first.note_log(POD, "p", "r1", LogChunk(0, b"begin\n"))
    first.note_log(POD, "p", "r1", LogChunk(6, b"end\n", eof=True))
    first.note_summary(POD, "p", "r1", {"ok": True})
    first.close()
    second = history(tmp_path)
    recalled = second.recall(POD)
    assert recalled is not None and recalled.sample == sample and recalled.gpus == gpus
    assert recalled.runs["r1"].metrics == {"loss": 0.5}
    (found,) = second.find("r")
    log = second.log(found)
    assert log is not None and (log.data, log.complete) == (b"begin\nend\n", True)
    assert second.summary(found) == {"ok": True}
    assert second.recall(PodConfig("a100", ssh="elsewhere", outputs_dir="/runs")) is None
    second.close()


def test_a_link_that_heard_no_sample_of_its_pod_leaves_what_is_known_of_it(tmp_path: Path) -> None:
    sample, gpus = HostSample(5.0, cpu_percent=12.0), GpuReport("nvml", gpus=(GpuSample(0, "GPU-0", "H100"),))
    begun = HostSample(9.0, cpu_percent=1.0)
    none = GpuReport("none", "no NVIDIA driver")
    for told in ({"sample": sample, "gpus": gpus}, {}, {"sample": begun, "gpus": GpuReport("nvidia-smi", "starting")}):
        shortly = history(tmp_path)
        shortly.note_pod(POD, pod(run("r1"), **told))
        shortly.close()
        recalled = history(tmp_path).recall(POD)
        assert recalled is not None
        assert (recalled.sample, recalled.gpus) == (told.get("sample", sample), gpus)
    lastly = history(tmp_path)
    lastly.note_pod(POD, pod(sample=begun, gpus=none))
    lastly.close()
    recalled = history(tmp_path).recall(POD)
    assert recalled is not None and recalled.gpus == none


def test_of_logs_that_do_not_grow_nothing_is_kept_in_memory_and_later_bytes_are_joined_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("podops.history.notes.time.monotonic", lambda: clock[0])
    notes = Notes()
    for number in range(50):
        notes.log("id", ("p", f"r{number}"), LogChunk(0, b"x" * 60_000))
    assert len(notes.take().logs) == 50 and notes.logs_held == 50
    clock[0] += LOG_REST_S
    notes.log("id", ("p", "r0"), LogChunk(60_000, b"more"))
    assert list(notes.take().logs) == [("id", ("p", "r0"))]
    assert notes.logs_held == 1
    notes.log("id", ("p", "r1"), LogChunk(60_000, b"more"))
    (later,) = notes.take().logs.values()
    database = open_database(tmp_path)
    row = put_pod(database.connection, "p", "id", pod(), 1.0)
    put_log(database.connection, row, ("p", "r1"), 0, b"x" * 60_000, False, 1.0)
    put_log(database.connection, row, ("p", "r1"), later.start, later.data, False, 2.0)
    (data,) = database.connection.execute("SELECT data FROM logs").fetchone()
    database.close()
    assert data == b"x" * 60_000 + b"more"


@pytest.mark.parametrize("version", range(1, schema.VERSION))
def test_a_database_of_an_earlier_version_is_migrated_with_everything_in_it(tmp_path: Path, version: int) -> None:
    old = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    schema.migrate(old, version)
    # As it was written then: today's run has a column more.
    kept = (put_pod(old, "p", "x", pod(), 1.0), "p", "kept", '{"run_id": "kept", "state": "failed"}', 1.0, True, 2.0)
    columns = "pod, project, run_id, facts, created_at, ended, seen_at"
    old.execute(f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", kept)
    old.close()
    database = open_database(tmp_path)
    assert schema.version_of(database.connection) == schema.VERSION and database.notes == []
    assert database.connection.execute("SELECT run_id FROM runs").fetchall() == [("kept",)]
    put_samples(database.connection, [(1, 5, {"cpu": 1.0})])
    put_log(database.connection, 1, ("p", "kept"), 0, b"x", False, 3.0)
    put_attempts(database.connection, 1, ("p", "kept"), b"{}\n")
    database.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_database(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    broken = (*schema.MIGRATIONS, ("CREATE TABLE more (x)", "CREATE TABLE pods (x)"))
    monkeypatch.setattr(schema, "MIGRATIONS", broken)
    with pytest.raises(sqlite3.Error, match="already exists"):
        schema.migrate(connection, len(broken))
    assert schema.version_of(connection) == schema.VERSION
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("damage", ["overwritten", "without a table"])
def test_damage_found_while_working_sets_the_file_aside_and_goes_on(tmp_path: Path, damage: str) -> None:
    told: list[str] = []
    memory = history(tmp_path, told)
    seen = pod(*(run(f"r{number}", detail="x" * 2000) for number in range(50)))
    memory.note_pod(POD, seen)
    memory.close()
    file = tmp_path / "history.db"
    if damage == "overwritten":
        content = bytearray(file.read_bytes())
        content[8192:] = b"\xff" * (len(content) - 8192)
        file.write_bytes(content)
    else:
        rows(tmp_path, "DROP TABLE runs")
    memory = history(tmp_path, told)
    assert memory.runs() == []
    memory.note_pod(POD, seen)
    memory.close()
    assert [text.split(":")[1].split(",")[0] for text in told] == [
        f" it was kept as {file.name}" for file in tmp_path.glob("history.damaged-*.db")
    ]
    assert rows(tmp_path, "SELECT count(*) FROM runs") == [(50,)]


def test_a_file_that_is_removed_while_in_use_is_begun_anew_with_everything_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podops.history.history.WRITE_S", 0.01)
    told: list[str] = []
    kept = history(tmp_path, told)
    sample = HostSample(5.0, cpu_percent=12.0)
    kept.note_pod(POD, pod(run("r1"), run("r2"), sample=sample))
    other = history(tmp_path)
    wait_for(lambda: (there := other.recall(POD)) is not None and len(there.runs) == 2, "the runs")
    other.close()
    for file in tmp_path.glob("history.db*"):
        file.unlink()
    kept.note_pod(POD, pod(run("r1", state="failed"), run("r2"), sample=sample))
    wait_for((tmp_path / "history.db").exists, "a new file")
    kept.close()
    (said,) = told
    assert said.endswith("was removed; a new one is begun")
    recalled = history(tmp_path).recall(POD)
    assert recalled is not None and recalled.sample == sample
    assert {one.run_id: one.state for one in recalled.runs.values()} == {"r1": "failed", "r2": "running"}


def test_a_newer_database_in_use_is_left_where_it_is(tmp_path: Path) -> None:
    told: list[str] = []
    newer = open_database(tmp_path)
    newer.connection.execute("PRAGMA user_version = 99")
    memory = history(tmp_path, told)
    assert memory.runs() == [] and memory.runs() == []
    memory.note_pod(POD, pod(run("r1")))
    memory.close()
    assert len(told) == 1 and "another process is using it" in told[0]
    newer.close()
    assert rows(tmp_path, "PRAGMA user_version") == [(99,)]


def test_a_full_disk_is_told_once_and_what_was_written_stays(tmp_path: Path) -> None:
    told: list[str] = []
    memory = history(tmp_path, told)
    memory.note_pod(POD, pod(run("r1")))
    memory.close()
    memory = history(tmp_path, told)
    store = memory._store()
    store.use(lambda database: database.connection.execute("PRAGMA max_page_count = 1").fetchall())
    memory.note_pod(POD, pod(*(run(f"big{number}", detail="x" * 9000) for number in range(100))))
    memory.close()
    assert len(told) == 1 and "full" in told[0]
    assert rows(tmp_path, "SELECT run_id FROM runs") == [("r1",)]


def test_a_disk_that_stays_full_is_told_once_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("podops.history.store.time.monotonic", lambda: clock[0])
    told: list[str] = []
    store = Store(tmp_path, told.append)
    limited = "PRAGMA max_page_count = 1"
    assert store.use(lambda database: bool(database.connection.execute(limited).fetchall()))
    assert store.use(lambda database: database.connection.execute("CREATE TABLE more (x)")) is None

    def full(_: Path) -> Database:
        raise HistoryUnavailable(f"{tmp_path}: No space left on device")

    monkeypatch.setattr("podops.history.store.open_database", full)
    for _ in range(5):
        clock[0] += 61.0
        assert store.use(lambda _: True) is None
    monkeypatch.setattr("podops.history.store.open_database", open_database)
    clock[0] += 61.0
    assert store.use(lambda _: True)
    store.close()
    assert len(told) == 1 and "full" in told[0]


_WRITER = """
import sys, time
from pathlib import Path
from tests.unit.history.test_history_file import POD, history, pod, run
told = []
memory = history(Path(sys.argv[1]), told)
for number in range(20):
    memory.note_pod(POD, pod(*(run(f"{sys.argv[2]}-{n}") for n in range(number + 1))))
    memory._write(last=False)
memory.close()
print(told)
"""


def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-c", _WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*words, name], stdout=subprocess.PIPE, text=True) for name in ("one", "two")]
    assert [writer.communicate(timeout=60)[0] for writer in writers] == ["[]\n", "[]\n"]
    assert rows(tmp_path, "SELECT count(*) FROM runs") == [(40,)]
    assert rows(tmp_path, "SELECT count(*) FROM pods") == [(1,)]
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]


def test_samples_become_coarser_with_age_and_keep_their_means(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    connection = database.connection
    put_pod(connection, "p", "x", pod(), 1.0)
    now = 1_700_000_000 // 3600 * 3600
    for second in range(now - 7200, now):
        gpus = GpuReport("nvml", gpus=(GpuSample(0, "", "", utilization_percent=float(second % 60)),))
        put_samples(connection, [(1, second, figures_of(HostSample(0.0, cpu_percent=float(second % 60)), gpus))])
    # Asked often, as the app does, and at odd moments: each sample counts once all the same.
    for moment in (now - 3000, now - 1234, now, now):
        prune(database, 2**30, moment)
    kept = read_samples(connection, 1, 0.0)
    assert {(sample.step, sample.weight) for sample in kept} == {(60, 60), (1, 1)}
    assert sum(sample.weight for sample in kept) == 7200
    assert sum(sample.step == 1 for sample in kept) == 600
    few = merged(kept, 10)
    assert len(few) <= 10 and sum(sample.weight for sample in few) == 7200
    assert (few[0].time, few[-1].time + few[-1].step) == (kept[0].time, now)
    assert all(s.figures["cpu"] == 29.5 and s.figures["gpus"][0][0] == 29.5 for s in kept if s.step == 60)
    prune(database, 2**30, now + 2 * 86400)
    assert {(sample.step, sample.weight) for sample in read_samples(connection, 1, 0.0)} == {(3600, 3600)}
    prune(database, 2**30, now + 200 * 86400)
    assert read_samples(connection, 1, 0.0) == []
    database.close()


def test_the_file_stays_within_its_limit_and_what_is_active_is_kept(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    connection = database.connection
    with database.transaction():
        row = put_pod(connection, "p", "x", pod(), 1.0)
        put_run(connection, row, run("active"), 1.0)
        for number in range(400):
            put_run(connection, row, run(f"r{number}", "succeeded", detail="x" * 3000), 1.0 + number)
            put_log(connection, row, ("p", f"r{number}"), 0, b"x" * 9000, True, 1.0 + number)
    limit = 2**20
    assert used_bytes(connection) > 4 * limit
    prune(database, limit)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert (tmp_path / "history.db").stat().st_size <= limit
    kept = {run_id for (run_id,) in connection.execute("SELECT run_id FROM runs")}
    assert "active" in kept and "r399" in kept and "r0" not in kept
    database.close()


def test_short_commands_alone_keep_the_file_within_its_limit_and_its_samples_thin(tmp_path: Path) -> None:
    hours_ago = int(time.time() - 5 * 3600) // 60 * 60
    for number in range(30):
        command = history(tmp_path, limit=2**20 if number > 10 else 2**28)
        sample = HostSample(5.0, cpu_percent=float(number))
        command.note_pod(POD, pod(run("r1"), sample=sample, last_seen=hours_ago + number))
        command.note_log(POD, "p", f"r{number}", LogChunk(0, b"x" * 60_000))
        command.close()
        database = open_database(tmp_path)
        used, kept = used_bytes(database.connection), read_samples(database.connection, 1, 0.0)
        database.close()
        assert {sample.step for sample in kept} <= {60}
    assert used <= 2**20


def test_the_end_of_a_log_is_joined_over_several_looks_and_never_with_another_file(tmp_path: Path) -> None:
    def look(offset: int, data: bytes) -> tuple[int, bytes]:
        memory = history(tmp_path)
        memory.note_pod(POD, pod(run("r1")))
        memory.note_log(POD, "p", "r1", LogChunk(offset, data))
        memory.close()
        memory = history(tmp_path)
        log = memory.log(memory.find("r1")[0])
        memory.close()
        assert log is not None
        return log.start, log.data

    assert look(100, b"abcdef") == (100, b"abcdef")
    assert look(103, b"defghi") == (100, b"abcdefghi"), "the two overlap"
    assert look(109, b"jkl") == (100, b"abcdefghijkl"), "they meet"
    assert look(200, b"later") == (200, b"later"), "there is a gap"
    assert look(203, b"OTHER") == (203, b"OTHER"), "what overlaps differs: it is another file"
    start, data = look(208, b"x" * 200_000)
    assert (start, len(data)) == (208 + 200_000 - 65536, 65536)


@pytest.mark.parametrize("restarted", [False, True], ids=["one process", "the next one"])
def test_of_a_run_that_was_submitted_anew_nothing_of_the_one_before_is_remembered(
    tmp_path: Path, restarted: bool
) -> None:
    memory = history(tmp_path)
    memory.note_pod(POD, pod(run("r1", "succeeded")))
    memory.note_log(POD, "p", "r1", LogChunk(0, b"OLD line\n" * 200))
    memory.note_summary(POD, "p", "r1", {"ok": True})
    if restarted:
        memory.close()
        memory = history(tmp_path)
    memory.note_pod(POD, pod(replace(run("r1", "failed"), created_at=2.0)))
    memory.close()
    memory = history(tmp_path)
    (found,) = memory.runs()
    assert (memory.log(found), memory.summary(found)) == (None, None)
    memory.note_pod(POD, pod(found.run))
    memory.note_log(POD, "p", "r1", LogChunk(0, b"new line\n" * 5))
    memory.close()
    memory = history(tmp_path)
    log = memory.log(found)
    memory.close()
    assert log is not None and log.data == b"new line\n" * 5


def test_a_run_that_is_gone_from_its_pod_is_kept_and_marked(tmp_path: Path) -> None:
    memory = history(tmp_path)
    memory.note_pod(POD, pod(run("r1"), run("r2")))
    memory._write(last=False)
    memory.note_pod(POD, pod(run("r2")))
    memory.close()
    memory = history(tmp_path)
    assert {one.run.run_id: one.gone_at is not None for one in memory.runs()} == {"r1": True, "r2": False}
    recalled = memory.recall(POD)
    assert recalled is not None and set(recalled.runs) == {"r2"}
    memory.close()


def test_what_is_written_late_is_as_old_as_it_was_when_it_was_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = [0.0]
    monkeypatch.setattr("podops.history.notes.asleep_s", lambda: slept[0])
    memory = history(tmp_path)
    monkeypatch.setattr(memory, "_start", lambda: None)
    hour_ago = time.time() - 3600.0
    memory.note_pod(POD, pod(run("removed"), last_seen=hour_ago))
    memory._write(last=True)
    memory.note_pod(POD, pod(run("r1", heartbeat_age_s=1.0), last_seen=hour_ago))
    memory.note_log(POD, "p", "r1", LogChunk(0, b"heard before the machine slept\n"))
    slept[0] = 3600.0
    memory._write(last=True)
    found = {one.run.run_id: one for one in memory.runs()}
    log, gone_at = memory.log(found["r1"]), found["removed"].gone_at
    assert log is not None and gone_at is not None
    assert [log.as_of, found["r1"].as_of, gone_at] == pytest.approx([hour_ago] * 3, abs=60)
    assert time.monotonic() - found["r1"].run.received_at == pytest.approx(3600.0, abs=60)
    memory.close()


def test_an_alias_that_leads_to_a_new_machine_does_not_show_the_runs_of_the_old_one(tmp_path: Path) -> None:
    memory = history(tmp_path)
    memory.note_pod(POD, pod(run("old")))
    memory._write(last=False)
    memory.note_pod(POD, pod(run("new"), host=HostInfo("node", machine_id="m2"), last_seen=time.time() + 1))
    memory.close()
    memory = history(tmp_path)
    recalled = memory.recall(POD)
    assert recalled is not None and set(recalled.runs) == {"new"}
    assert {one.run.run_id for one in memory.runs()} == {"old", "new"}
    memory.close()
