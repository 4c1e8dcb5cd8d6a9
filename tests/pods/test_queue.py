"""The queue of a pod as its user meets it: through `ops`, with NVIDIA's library stood in for, runs that are real."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pods.conftest import MakeProject, MakeSshPod, Ops, OpsResult, Project
from tests.pods.stand_in_gpus import StandInNvml
from tests.pods.test_supervisor import eventually

POD = "near"

#: A run that goes on until somebody puts a file into its directory.
UNTIL_TOLD = "until [ -e $OPS_RUN_DIR/go ]; do sleep 0.02; done"

PRESETS: dict[str, Any] = {
    "ok": {"kind": "command", "command": "true"},
    "bad": {"kind": "command", "command": "exit 3"},
    "wide": {"kind": "command", "command": UNTIL_TOLD, "gpus": "all"},
    "hung": {"kind": "command", "command": "sleep 600", "gpus": "all", "timeout": "1s"},
    "environment": {"kind": "command", "command": "env -0", "env": {"DECLARED": "yes"}},
    "amd": {"kind": "command", "command": "env -0", "env": {"HIP_VISIBLE_DEVICES": "5"}, "gpus": 1},
    "training": {"kind": "train", "command": "echo {torchrun} train.py {overrides}", "gpus": "all"},
}


@dataclass
class Queue:
    """One project on a pod with four GPUs, which is this machine."""

    project: Project
    nvml: StandInNvml
    run_ops: Ops

    def ops(self, *words: str, **options: Any) -> OpsResult:
        environment = {**self.nvml.env, **options.pop("env", {})}
        return self.run_ops(*words, cwd=self.project.directory, env=environment, **options)

    def submit(self, preset: str, run_id: str, *words: str, **options: Any) -> dict[str, Any]:
        told = self.ops("run", "submit", "--preset", preset, "--run-id", run_id, *words, "--json", **options).json
        assert isinstance(told, dict)
        return told

    def listed(self) -> dict[str, Any]:
        return {run["run_id"]: run for run in self.ops("queue", "list", "--json").json["runs"]}

    def file(self, run_id: str, name: str) -> Path:
        return self.project.local_outputs_dir / run_id / name

    def ended(self, run_id: str) -> tuple[str, str]:
        """State and reason, once there is a summary."""
        eventually(self.file(run_id, "summary.json").exists, 60)
        summary = json.loads(self.file(run_id, "summary.json").read_text())
        return summary["state"], summary["reason"]

    def started(self, run_id: str) -> bool:
        return self.file(run_id, ".ops/claim.json").exists()

    def let_end(self, run_id: str) -> None:
        self.file(run_id, "go").touch()
        assert self.ended(run_id) == ("succeeded", "ok")

    def environment(self, run_id: str) -> dict[str, str]:
        """What a run found in its environment, by its own word."""
        assert self.ended(run_id) == ("succeeded", "ok")
        pairs = self.file(run_id, "stdout.log").read_text().rstrip("\0").split("\0")
        return dict(pair.split("=", 1) for pair in pairs)

    def order(self, *run_ids: str) -> list[str]:
        """These runs by the time they began."""
        return sorted(run_ids, key=lambda run_id: json.loads(self.file(run_id, "summary.json").read_text())["started"])


@pytest.fixture
def queue(project: MakeProject, nvml: StandInNvml, ops: Ops) -> Queue:
    nvml.say("gpus 4")
    return Queue(project(POD, presets=PRESETS), nvml, ops)


@pytest.mark.parametrize(
    ("asked", "given"),
    [(["--gpus", "2"], "0,1"), (["--gpus", "3,1"], "1,3"), (["--gpus", "all"], "0,1,2,3"), ([], None)],
)
def test_a_run_sees_the_gpus_it_was_given_and_only_those(queue: Queue, asked: list[str], given: str | None) -> None:
    queue.submit("environment", "r", *asked)
    assert queue.environment("r").get("CUDA_VISIBLE_DEVICES") == given


def test_amd_s_variable_is_the_preset_s_own_matter(queue: Queue) -> None:
    queue.submit("amd", "r")
    seen = queue.environment("r")
    assert (seen["HIP_VISIBLE_DEVICES"], seen["CUDA_VISIBLE_DEVICES"]) == ("5", "0")


def test_a_training_on_several_gpus_is_started_once_for_each(queue: Queue) -> None:
    queue.submit("training", "four", "lr=1")
    queue.submit("training", "one", "--gpus", "1")
    assert queue.ended("four") == queue.ended("one") == ("succeeded", "ok")
    launcher = "python3 -m torch.distributed.run --standalone --nproc_per_node=4"
    assert queue.file("four", "stdout.log").read_text() == f"{launcher} train.py lr=1\n"
    assert queue.file("one", "stdout.log").read_text() == "python3 train.py\n"


def test_a_gpu_that_somebody_else_uses_is_not_given_until_it_is_free_again(queue: Queue) -> None:
    queue.nvml.say("gpus 4", "memory 1 400", "memory 2 700")
    assert queue.submit("ok", "three", "--gpus", "3")["state"] == "starting"
    assert queue.ended("three") == ("succeeded", "ok")
    assert queue.submit("ok", "four", "--gpus", "4")["why"] == "waits for 4 GPUs: 3 of 4 free, 1 in use by others"
    queue.nvml.say("gpus 4")
    assert queue.ended("four") == ("succeeded", "ok")


def test_how_much_memory_is_nobody_s_is_said_by_the_project(project: MakeProject, nvml: StandInNvml, ops: Ops) -> None:
    queue = Queue(project(POD, presets=PRESETS, queue={"gpu_busy_memory": "1GiB"}), nvml, ops)
    nvml.say("gpus 4", "memory 1 700", "memory 2 1200")
    assert queue.submit("ok", "three", "--gpus", "3")["state"] == "starting"
    assert queue.submit("ok", "four", "--gpus", "4")["state"] == "queued"


def test_what_is_asked_for_can_never_be_is_refused_at_once(queue: Queue) -> None:
    told = queue.ops("run", "submit", "--preset", "ok", "--gpus", "5", "--run-id", "r")
    assert (told.returncode, queue.file("r", ".").exists()) == (1, False)
    assert "5 GPUs asked for, but pod near has GPUs 0, 1, 2, 3" in told.stderr
    queue.nvml.say("gpus 0")
    told = queue.ops("run", "submit", "--preset", "ok", "--gpus", "1", "--run-id", "r")
    assert "1 GPU asked for, but pod near has no GPU" in told.stderr


def test_neither_a_failure_nor_a_hung_run_stops_what_comes_after_it(queue: Queue) -> None:
    queue.submit("hung", "hung")
    queue.submit("bad", "bad", "--gpus", "all")
    queue.submit("ok", "good", "--gpus", "all")
    assert queue.ended("good") == ("succeeded", "ok")
    assert queue.ended("hung") == ("failed", "timeout")
    assert queue.ended("bad") == ("failed", "nonzero_exit")
    assert queue.order("good", "bad", "hung") == ["hung", "bad", "good"]


def test_runs_come_after_others_as_they_were_told_and_a_failure_ends_the_whole_chain(queue: Queue) -> None:
    queue.submit("wide", "parent", "--gpus", "1")
    assert queue.submit("ok", "child", "--after", "parent")["why"] == "waits for run parent"
    queue.submit("bad", "failing", "--after", "parent")
    queue.submit("ok", "heir", "--after", "failing")
    queue.submit("ok", "grandchild", "--after", "heir", "--delay", "2d")
    queue.submit("ok", "anyway", "--after-any", "heir")
    assert not any(queue.started(run_id) for run_id in ("child", "failing", "heir", "grandchild", "anyway"))
    queue.let_end("parent")
    assert queue.ended("child") == queue.ended("anyway") == ("succeeded", "ok")
    assert queue.ended("heir") == queue.ended("grandchild") == ("failed", "dependency_failed")
    summary = json.loads(queue.file("grandchild", "summary.json").read_text())
    assert summary["detail"] == "run heir, which it comes after, failed: dependency_failed"


def test_a_run_that_comes_after_one_that_was_cancelled_or_failed_is_told_as_one_that_can_never_start(
    queue: Queue,
) -> None:
    queue.submit("ok", "h1", "--hold")
    assert queue.ops("queue", "cancel", "h1").returncode == 0
    why = "run h1, which it comes after, was cancelled: user_kill"
    told = queue.submit("ok", "child", "--after", "h1")
    assert (told["state"], told["why"], told["warnings"]) == ("failed", why, [f"it can never start: {why}"])
    held = queue.submit("ok", "kept", "--after", "h1", "--hold")
    assert (held["state"], held["warnings"]) == ("held", [f"it can never start: {why}"])
    queue.submit("bad", "bad")
    assert queue.ended("bad") == ("failed", "nonzero_exit")
    person = queue.ops("run", "submit", "--preset", "ok", "--run-id", "other", "--after", "bad")
    assert (person.returncode, person.stdout) == (0, "other\n")
    assert "warning: it can never start: run bad, which it comes after, failed: nonzero_exit\n" in person.stderr
    assert person.stderr.endswith("it has ended already: failed\n") and "follow it" not in person.stderr
    assert queue.submit("ok", "anyway", "--after-any", "bad")["warnings"] == []


def test_waiting_runs_are_held_released_reordered_and_cancelled(queue: Queue) -> None:
    queue.submit("wide", "wide")
    for run_id in ("first", "second", "third"):
        queue.submit("ok", run_id, "--gpus", "all")
    assert queue.ops("queue", "priority", "7", "third").returncode == 0
    assert queue.ops("queue", "cancel", "second").returncode == 0
    assert queue.ops("queue", "hold", "first").returncode == 0
    first = queue.listed()["first"]
    assert (first["state"], first["waits_for"]) == ("held", "waits for its release")
    assert first["waits_for"] in queue.ops("queue").stdout
    assert "why        waits for its release" in queue.ops("run", "status", "first").stdout
    assert {run_id: run["state"] for run_id, run in queue.listed().items()} == {"third": "queued", "first": "held"}
    queue.let_end("wide")
    assert queue.ended("third") == ("succeeded", "ok")
    assert queue.ended("second") == ("cancelled", "user_kill")
    assert not queue.started("first")
    assert queue.ops("queue", "hold", "first").stderr == "first was held already\n"
    assert queue.ops("queue", "release", "first").stderr == "first is released\n"
    assert queue.ended("first") == ("succeeded", "ok")


def test_runs_that_come_after_one_another_are_cancelled_by_one_command(queue: Queue) -> None:
    queue.submit("wide", "wide")
    queue.submit("ok", "one", "--gpus", "1")
    for before, run_id in (("one", "two"), ("two", "three")):
        queue.submit("ok", run_id, "--after", before)
    cancelled = queue.ops("queue", "cancel", "one", "two", "three")
    assert cancelled.returncode == 0, cancelled.stderr
    assert cancelled.stderr.splitlines() == [f"{run_id} is cancelled" for run_id in ("one", "two", "three")]


def test_releasing_a_run_that_was_not_held_says_so(queue: Queue) -> None:
    queue.submit("wide", "wide")
    queue.submit("ok", "next", "--gpus", "1")
    told = queue.ops("queue", "release", "next")
    assert (told.returncode, told.stderr) == (0, "next was not held: it waits for its turn\n")
    answer = queue.ops("queue", "release", "next", "--json").json
    assert (answer["ok"], answer["runs"][0]["state"], answer["runs"][0]["changed"]) == (True, "queued", False)
    assert "released" not in queue.file("next", "events.jsonl").read_text()


def test_the_list_tells_place_reason_and_age_and_a_run_that_has_started_is_no_matter_of_the_queue(queue: Queue) -> None:
    assert queue.ops("queue", "list").stdout == "nothing waits\n"
    queue.submit("wide", "wide")
    queue.submit("ok", "low", "--gpus", "2", "--priority", "-1")
    queue.submit("ok", "high", "--gpus", "1")
    listed = queue.listed()
    assert {run_id: run["place"] for run_id, run in listed.items()} == {"high": 1, "low": 2}
    assert listed["high"]["waits_for"] == "waits for 1 GPU: 0 of 4 free"
    assert 0 <= listed["high"]["waits_s"] < 120
    people = queue.ops("queue", "list").stdout.splitlines()
    assert [line.split()[2] for line in people] == ["RUN", "high", "low"]
    refused = queue.ops("queue", "cancel", "wide")
    assert refused.returncode == 5
    assert "cannot cancel run wide: it has started" in refused.stderr
    assert "end it with `ops run kill wide`" in refused.stderr
    assert [run["run_id"] for run in queue.ops("queue", "--json").json["runs"]] == ["high", "low"]
    missing = queue.ops("queue", "hold", "nobody")
    assert (missing.returncode, "there is no run 'nobody'" in missing.stderr) == (3, True)


def test_a_run_starts_not_before_its_time_and_then_by_itself(queue: Queue) -> None:
    told = queue.submit("ok", "later", "--delay", "3s")
    assert (told["state"], told["why"].startswith("not before ")) == ("queued", True)
    assert queue.ended("later") == ("succeeded", "ok")
    told = queue.submit("ok", "much-later", "--at", "2099-01-01 10:00")
    assert (told["state"], told["why"][:22]) == ("queued", "not before 2099-01-01 ")
    assert "is past" in queue.ops("run", "submit", "--preset", "ok", "--at", "2020-01-01 10:00").stderr
    both = queue.ops("run", "submit", "--preset", "ok", "--at", "22:30", "--delay", "3s")
    assert (both.returncode, "--at and --delay both say when" in both.stderr) == (2, True)


def test_two_projects_never_share_a_gpu_nor_a_run_directory(queue: Queue, world: Path) -> None:
    elsewhere = world / "other"
    text = queue.project.file.read_text()
    for name, outputs in (("other", "~/other-runs"), ("rival", "~/runs")):
        file = elsewhere / name / "configs/ops/project.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(text.replace("name: demo", f"name: {name}").replace("~/runs", outputs))
    submit = ("run", "submit", "--preset", "ok", "--gpus", "1", "--json", "--run-id")
    queue.submit("wide", "wide", "--gpus", "3")
    mine = queue.file("wide", "run_spec.json").read_bytes()
    for run_id, state in (("one", "starting"), ("two", "starting")):
        told = queue.run_ops(*submit, run_id, cwd=elsewhere / "other", env=queue.nvml.env).json
        assert told["state"] == state
        run_dir = Path(told["run_dir"])
        eventually((run_dir / "summary.json").exists)
        assert json.loads((run_dir / "run_metadata.json").read_text())["gpus"] == [3]
    told = queue.run_ops(*submit, "three", "--gpus", "2", cwd=elsewhere / "other", env=queue.nvml.env).json
    assert told["why"] == "waits for 2 GPUs: 1 of 4 free"
    namesake = queue.run_ops(*submit, "wide", "--gpus", "0", cwd=elsewhere / "other", env=queue.nvml.env).json
    assert namesake["session"].startswith("run-wide-")
    eventually((Path(namesake["run_dir"]) / "summary.json").exists)
    assert json.loads((Path(namesake["run_dir"]) / "summary.json").read_text())["ok"]
    refused = queue.run_ops(*submit, "wide", cwd=elsewhere / "rival", env=queue.nvml.env)
    assert (refused.returncode, refused.json["error"]["code"]) == (5, "exists")
    assert queue.file("wide", "run_spec.json").read_bytes() == mine
    queue.let_end("wide")


def test_a_failed_run_is_neither_taken_for_done_nor_overwritten_without_being_told_to(queue: Queue) -> None:
    queue.submit("bad", "r")
    assert queue.ended("r") == ("failed", "nonzero_exit")
    refused = queue.ops("run", "submit", "--preset", "ok", "--run-id", "r")
    assert (refused.returncode, "--force" in refused.stderr) == (5, True)
    queue.submit("ok", "r", "--force")
    eventually(queue.file("r", "summary.json").exists)
    assert queue.ended("r") == ("succeeded", "ok")
    kept = list(queue.file("r", ".").glob("summary.json.bak-*"))
    assert [json.loads(path.read_text())["reason"] for path in kept] == ["nonzero_exit"]


def test_nothing_of_the_submitting_shell_reaches_a_run(queue: Queue) -> None:
    shell = {
        "CUDA_VISIBLE_DEVICES": "9",
        "HIP_VISIBLE_DEVICES": "9",
        "PYTHONPATH": "/nowhere",
        "PYTHONWARNINGS": "ignore",
        "VIRTUAL_ENV": "/nowhere",
        "BASH_ENV": "/nowhere/startup",
        "OPS_METRICS_FILE": "/nowhere",
        "HTTP_PROXY": "http://nowhere",
        "MY_TOKEN": "shell-canary",
        "BASH_FUNC_ls%%": "() { echo shell-canary; }",
    }
    queue.submit("environment", "r", "--gpus", "1", env=shell)
    seen = queue.environment("r")
    ours = {"OPS_RUN_ID", "OPS_RUN_DIR", "OPS_METRICS_FILE", "OPS_ATTEMPT", "PYTHONUNBUFFERED", "CUDA_VISIBLE_DEVICES"}
    declared = {"DECLARED", "WANDB_MODE", "WANDB_DIR"}
    basics = {"PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "USER", "LOGNAME", "SHELL", "TZ", "TMPDIR"}
    by_bash = {"PWD", "SHLVL", "_", "OLDPWD"}
    assert set(seen) <= ours | declared | basics | by_bash
    assert seen["CUDA_VISIBLE_DEVICES"] == "0"
    kept = [path for path in queue.file("r", ".").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"canary" in path.read_bytes() or b"/nowhere" in path.read_bytes()]


def test_a_waiting_run_moves_to_another_pod_and_is_made_for_that_one(
    ssh_pod: MakeSshPod, project: MakeProject, ops: Ops, client_home: Path
) -> None:
    far = ssh_pod("far")
    made = project(POD, far, presets={"where": {"kind": "command", "command": "echo {run_dir} {overrides}"}})
    ops("run", "submit", "--preset", "where", "--pod", POD, "--run-id", "r", "--hold", "--tag", "mine", "x=1")
    moved = ops("queue", "move", "r", "--to", "far", "--json")
    assert moved.json["runs"] == [{"run_id": "r", "pod": "far", "state": "held", "changed": True}]
    assert not (made.local_outputs_dir / "r").exists()
    assert ops("queue", "release", "r").returncode == 0
    run_dir = far.home / "runs/r"
    eventually((run_dir / "summary.json").exists)
    assert (run_dir / "stdout.log").read_text() == f"{run_dir} x=1\n"
    assert json.loads((run_dir / "run_metadata.json").read_text())["tags"] == ["mine"]


def test_a_run_is_not_moved_to_the_same_machine_by_another_name_and_goes_on_waiting(
    ssh_pod: MakeSshPod, project: MakeProject, ops: Ops, world: Path
) -> None:
    volume = world / "volume"
    volume.mkdir()
    project(
        POD,
        ssh_pod("far"),
        presets={"ok": {"kind": "command", "command": "true"}},
        project={"name": "demo", "remote_outputs_dir": str(volume)},
    )
    ops("run", "submit", "--preset", "ok", "--pod", POD, "--run-id", "r", "--delay", "1h")
    refused = ops("queue", "move", "r", "--to", "far")
    assert refused.returncode == 5
    assert "pods near and far are one machine with one queue" in refused.stderr
    assert [run["state"] for run in ops("queue", "list", "--json").json["runs"]] == ["queued"]
