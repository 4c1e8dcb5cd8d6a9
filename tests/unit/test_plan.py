"""From a preset to a command: what is typed arrives, whatever it is."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podops.config.load import load_project
from podops.config.model import ProjectConfig
from podops.errors import NotFoundError, UsageError
from podops.kinds.epochs import epochs_in
from podops.plan import SubmitPlan, override_fault, plan_submit
from podops_runners.command_script import python_literal
from podops_runners.policies import read_policies
from podops_runners.record_facts import moment

PROJECT = """
project: {name: x, remote_outputs_dir: /runs}
pods: {p: {local: true}}
presets:
  key: {kind: train, command: "PYTHON -c 'import sys, json; print(json.dumps(sys.argv[1:]))' {overrides}"}
  flag:
    kind: eval
    command: "PYTHON -c 'import sys, json; print(json.dumps(sys.argv[1:]))'"
    overrides: {n: 5, on: true}
  numbers:
    kind: train
    command: "PYTHON -c 'import sys, json; print(json.dumps(sys.argv[1:]))' {overrides}"
    overrides: {lr: 0.10, wd: 1e-3, n: 5, on: true, commit: 0123456}
    env: {LR: 1e-3, ZIP: 00501, AT: 12:30, VERSION: 1.10}
  nano: {kind: nanogpt_train, config: a/config/c.py, overrides: {wandb_log: auto, lr: 0.1, device: cuda}}
  vllm: {kind: vllm_serve, model: m/m, args: {tensor_parallel_size: 8, enforce_eager: true, swap: false}}
  steady: {kind: vllm_serve, model: m/m, port: auto, service: {ready_timeout: 10m, on_unhealthy: restart}}
  stuck: {kind: command, command: "true", on_stall: retry}
  typed:
    kind: train
    command: "true"
    overrides: {learning_rate: 0.1, max_iters: 5, beta1: 0.9, tp_size: 8, model.hidden: 4, test_path: x, beta: 1}
  endless: {kind: command, command: "true", timeout: none}
  lent: {kind: vllm_serve, model: m/m, timeout: 8h}
  brace: {kind: command, command: "echo ${{HOME}} {run_id} {run_dir}"}
""".replace("PYTHON", sys.executable)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ProjectConfig:
    path = tmp_path_factory.mktemp("plan") / "project.yaml"
    path.write_text(PROJECT)
    return load_project(path=path, environ={})


def arguments(plan: SubmitPlan) -> list[str]:
    """What the program is really given, by way of a real bash."""
    done = subprocess.run(["bash", "-c", plan.command], capture_output=True, check=True)
    words = json.loads(done.stdout)
    assert isinstance(words, list)
    return words


@settings(max_examples=40)
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
def test_any_text_arrives_as_one_argument(config: ProjectConfig, text: str) -> None:
    try:
        plan = plan_submit(config, "key", "p", overrides=["note=x" + text])
    except UsageError as error:
        assert "seems to hold" in error.message
        return
    assert arguments(plan) == ["note=x" + text]


@pytest.mark.parametrize(
    ("typed", "arrives"),
    [
        ("lr=3e-4", "lr=3e-4"),
        ("lr=1", "lr=1"),
        ("wd=1E-2", "wd=1E-2"),
        ("n=1e3", "n=1000"),
        ("n=1_000", "n=1000"),
        ("n=0.5", "n=0.5"),
        ("on=no", "on=false"),
        ("on=1", "on=true"),
        ("commit=0123456", "commit=0123456"),
        ("version=1.10", "version=1.10"),
        ("at=12:30", "at=12:30"),
        ("other=1_000", "other=1_000"),
        ("other=no", "other=no"),
    ],
)
def test_what_is_typed_for_an_override_arrives_as_it_was_typed_or_as_the_preset_has_it(
    config: ProjectConfig, typed: str, arrives: str
) -> None:
    assert arrives in arguments(plan_submit(config, "numbers", "p", overrides=[typed]))


def test_numbers_in_a_preset_are_those_of_python_and_arrive_as_they_are_written(config: ProjectConfig) -> None:
    assert arguments(plan_submit(config, "numbers", "p")) == ["lr=0.10", "wd=1e-3", "n=5", "on=true", "commit=0123456"]
    assert config.presets["numbers"].env == {"LR": "1e-3", "ZIP": "00501", "AT": "12:30", "VERSION": "1.10"}
    with pytest.raises(UsageError, match="wd takes a number"):
        plan_submit(config, "numbers", "p", overrides=["wd=low"])
    plan = plan_submit(config, "nano", "p", overrides=["lr=3e-4", "betas=[0.9,1e-3]", "decay=1e-1", "commit=0123456"])
    assert "lr=0.0003" in plan.command and "'betas=[0.9, 0.001]' decay=0.1 'commit=\"0123456\"'" in plan.command


def test_flags_are_written_as_programs_expect_them(config: ProjectConfig) -> None:
    plan = plan_submit(config, "flag", "p", overrides=["n=-3", "off=false", "s=a b;$(id)"])
    assert arguments(plan) == ["--n=-3", "--on", "--s", "a b;$(id)"]


def test_nanogpt_overrides_are_python_literals(config: ProjectConfig) -> None:
    plan = plan_submit(config, "nano", "p", run_id="r", overrides=["wandb_log=false", "device=a=b c", "top=null"])
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {plan.command}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert words[:3] == ["python3", "train.py", "config/c.py"]
    values = dict(word.split("=", 1) for word in words[3:])
    assert {key: ast.literal_eval(value) for key, value in values.items()} == {
        "out_dir": "/runs/r/checkpoints",
        "wandb_log": False,
        "lr": 0.1,
        "device": "a=b c",
        "top": None,
    }
    assert "wandb_log=False" in words and 'device="a=b c"' in words


@pytest.mark.parametrize(
    ("preset", "typed", "meant"),
    [
        ("typed", "lerning_rate", "learning_rate"),
        ("typed", "learning-rate", "learning_rate"),
        ("typed", "learningrate", "learning_rate"),
        ("typed", "Learning_rate", "learning_rate"),
        ("typed", "laerning_rate", "learning_rate"),
        ("typed", "max_iter", "max_iters"),
        ("typed", "model.hiden", "model.hidden"),
        ("typed", "learning_rate", None),
        ("typed", "learning_rate_decay", None),
        ("typed", "beta2", None),
        ("typed", "dp_size", None),
        ("typed", "min_iters", None),
        ("typed", "text_path", None),
        ("typed", "zeta", None),
        ("vllm", "tensor-parallel-size", None),
        ("vllm", "tensor_paralel_size", "tensor_parallel_size"),
        ("vllm", "pipeline_parallel_size", None),
        ("key", "anything", None),
    ],
)
def test_an_override_that_looks_mistyped_is_told_and_passed_on(
    config: ProjectConfig, preset: str, typed: str, meant: str | None
) -> None:
    plan = plan_submit(config, preset, "p", overrides=[f"{typed}=1"])
    said = [f"preset {preset} has no {typed!r}; did you mean {meant!r}?"] if meant else []
    assert list(plan.warnings) == said
    assert plan.spec["overrides"]["given"] == {typed: "1"} and "1" in plan.command


@given(st.text(max_size=20) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none())
def test_whatever_it_is_a_literal_is_read_back_as_it_was(value: object) -> None:
    assert ast.literal_eval(python_literal(value)) == value


def test_auto_is_left_for_the_pod_to_decide(config: ProjectConfig) -> None:
    plan = plan_submit(config, "nano", "p")
    assert {"auto": "wandb_log", "yes": " wandb_log=True", "no": " wandb_log=False"} in plan.spec["command_parts"]
    assert "wandb_log=<auto>" in plan.command


def test_vllm_gets_its_args_as_flags_and_is_a_service(config: ProjectConfig) -> None:
    plan = plan_submit(config, "vllm", "p", overrides=["port=8123"])
    assert plan.command == "vllm serve m/m --port 8123 --tensor-parallel-size 8 --enforce-eager"
    assert (plan.spec["service"]["port"], plan.spec["service"]["health"]) == (8123, "/v1/models")


@pytest.mark.parametrize(
    ("preset", "hours"), [("key", 24), ("flag", 24), ("nano", 24), ("endless", None), ("vllm", None), ("lent", 8)]
)
def test_every_run_but_a_service_ends_after_a_day_unless_something_else_is_said(
    config: ProjectConfig, preset: str, hours: int | None
) -> None:
    limit = read_policies(plan_submit(config, preset, "p").spec).timeout_s
    assert limit == (None if hours is None else hours * 3600)


def test_whoever_asks_for_another_attempt_without_a_number_gets_the_pods_own(config: ProjectConfig) -> None:
    service, stuck = (plan_submit(config, preset, "p").spec for preset in ("steady", "stuck"))
    assert (read_policies(service).retries.max, read_policies(stuck).retries.max) == (5, 1)
    assert service["service"] == {
        "port": "auto",
        "health": "/v1/models",
        "ready_timeout_s": 600.0,
        "on_unhealthy": "restart",
    }
    assert "unhealthy" in read_policies(service).retries.on and "stalled" in read_policies(stuck).retries.on


def test_placeholders_are_filled(config: ProjectConfig) -> None:
    assert plan_submit(config, "brace", "p", run_id="r").command == "echo ${HOME} r /runs/r"


@pytest.mark.parametrize("run_id", ["../../x", "a/b", "", ".", "-x", "a..b", "x" * 101, "a\nb"])
def test_a_run_id_that_could_leave_its_place_is_refused(config: ProjectConfig, run_id: str) -> None:
    with pytest.raises(UsageError):
        plan_submit(config, "key", "p", run_id=run_id)


def test_faults_of_one_override_are_told_while_it_is_typed(config: ProjectConfig) -> None:
    assert override_fault(config, "nano", "lr=0.5") is None
    assert "lr takes a number" in (override_fault(config, "nano", "lr=fast") or "")
    assert "not an override" in (override_fault(config, "nano", "lr") or "")


def test_an_unknown_preset_names_the_nearest(config: ProjectConfig) -> None:
    with pytest.raises(NotFoundError) as caught:
        plan_submit(config, "nanoo", "p")
    assert "'nano'" in caught.value.hint
    assert not Path("/runs/r").exists()


def test_runs_that_are_submitted_in_one_second_keep_their_order(config: ProjectConfig) -> None:
    before = time.time()
    specs = []
    for number in range(3):
        specs.append(plan_submit(config, "key", "p", run_id=f"r{9 - number}").spec)
        time.sleep(0.002)
    created = [moment(spec["created_at"]) or 0.0 for spec in specs]
    assert created == sorted(set(created))
    assert before - 0.002 < created[0] <= created[-1] <= time.time()
    assert moment("2026-11-21T02:17:09Z") == moment("2026-11-21T02:17:09.000Z")
    assert moment("2026-11-21T02:17:09.Z") is None


@pytest.mark.parametrize(
    ("command", "epochs"),
    [
        ("python t.py --epochs 3", 3),
        ("python t.py --lr 1 --epochs=3 --seed 2", 3),
        ("accelerate launch t.py --num-train-epochs 3.0", 3),
        ("python t.py --bf16 --num_epochs '3'", 3),
        ("cd x && python t.py +trainer.max_epochs=3", 3),
        ("tune run r --config c epochs=3", 3),
        ("fairseq-train d --max-epoch 3", 3),
        ("python t.py --warmup_epochs 3 --eval-every-epochs 2", None),
        ("python t.py --epochs $EPOCHS", None),
        ("python a.py --epochs 3 && python b.py --epochs 3", None),
        ("python a.py --epochs 3 && python b.py --epochs $N", None),
        ("for seed in 1 2 3; do python t.py --epochs 3; done", None),
        ("python t.py --epochs 0", None),
        ("python t.py --epochs 3d", None),
        ("echo epochs 3", None),
    ],
)
def test_how_many_epochs_a_run_has_is_read_from_its_command(command: str, epochs: int | None) -> None:
    assert epochs_in([command]) == epochs


def test_epochs_among_the_overrides_are_told_to_the_pod(config: ProjectConfig) -> None:
    assert plan_submit(config, "key", "p", overrides=("max_epochs=7",)).spec["derived"] == {"total_epochs": 7}
    assert plan_submit(config, "flag", "p", overrides=("epochs=7",)).spec["derived"] == {"total_epochs": 7}
    assert plan_submit(config, "key", "p").spec["derived"] == {}
