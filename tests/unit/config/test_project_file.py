"""The project file: what it accepts, how it complains, and that every key is documented and does something."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from podops.config.find import find_project
from podops.config.load import load_project
from podops.config.model import ProjectConfig
from podops.config.reader import Section
from podops.config.source_keys import FIELDS
from podops.errors import ConfigError
from podops.plan import plan_submit

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "configs/ops/project.yaml"
SEED = Path(__file__).with_name("seed_project.json")


def load(tmp_path: Path, text: str, **environ: str) -> ProjectConfig:
    path = tmp_path / "project.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return load_project(path=path, environ=environ)


def faults_of(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return [str(fault).removeprefix(str(tmp_path) + "/") for fault in caught.value.faults]


def test_the_blueprints_example_loads_unchanged_and_both_presets_plan(tmp_path: Path) -> None:
    folder = tmp_path / "configs/ops"
    folder.mkdir(parents=True)
    (folder / "project.json").write_bytes(SEED.read_bytes())
    (folder / "project.local.yaml").write_text("pods: {here: {local: true}}\n")
    (tmp_path / "deep/inside").mkdir(parents=True)
    config = load_project(tmp_path / "deep/inside", environ={})
    assert find_project(tmp_path / "deep/inside") == folder / "project.json"
    plans = {name: plan_submit(config, name, "here", run_id="r") for name in config.presets}
    assert set(plans) == {"hc_small", "mhc_small"}
    assert "train.py config/train_fineweb10B_hc.py" in plans["hc_small"].command
    assert plans["hc_small"].run_dir == "/mnt/runs/mhc/r"
    assert plans["hc_small"].session == "run-r"


@pytest.mark.parametrize("preset", ["hc_small", "mhc_small"])
def test_the_blueprints_example_can_be_dry_run_as_it_stands(tmp_path: Path, preset: str) -> None:
    folder = tmp_path / "configs/ops"
    folder.mkdir(parents=True)
    (folder / "project.json").write_bytes(SEED.read_bytes())
    command = [sys.executable, "-m", "podops.cli.main", "run", "submit", "--preset", preset, "--dry-run", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["run_dir"] == f"/mnt/runs/mhc/{told['run_id']}"
    assert f"train.py config/train_fineweb10B_{preset.removesuffix('_small')}.py" in told["command"]


def test_every_fault_is_told_at_once_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    told = faults_of(
        tmp_path,
        """\
        project: {name: x, remote_outputs_dir: "${NOPE}/runs"}
        tmux: {watch_intervall_sec: 3}
        pods:
          a: {local: true}
          a: {ssh: host}
          b: {ssh: host, port: many}
          c: {ssh: "host:99999"}
          d: {ssh: "me@host:22x"}
        presets:
          p: {kind: trian, command: x, timeout: 3 fortnights}
          q:
            kind: train
            command: "{pyton} train.py"
          r: {kind: nanogpt_train}
        """,
    )
    assert [line.partition(": ")[0] for line in told] == [
        f"project.yaml:{n}" for n in (1, 2, 5, 6, 7, 8, 10, 10, 13, 14)
    ]
    joined = "\n".join(told)
    for expected in ("${NOPE}", "'watch_interval_sec'?", "first in line 4", "pods.b.port", "did you mean 'train'?"):
        assert expected in joined
    for expected in ("'99999' is not a port", "'22x' is not a port"):
        assert expected in joined
    for expected in ("3 fortnights", "{pyton}", "did you mean {python}?", "preset r has no `config`"):
        assert expected in joined


@pytest.mark.parametrize("secret", ["hf_" + "a" * 30, "0123456789abcdef" * 2 + "01234567", "sk-" + "b" * 40])
def test_a_value_that_looks_like_a_key_is_refused_and_never_repeated(tmp_path: Path, secret: str) -> None:
    text = f"project: {{name: x}}\npresets: {{p: {{kind: command, command: x, env: {{K: '{secret}'}}}}}}\n"
    told = "\n".join(faults_of(tmp_path, text))
    assert "presets.p.env" in told
    assert secret not in told


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"project: {name: [", "not valid YAML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"", "project.name is missing"),
        (b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         b"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n", "too many values"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_clear_error(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "project.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_project(path=path, environ={})
    assert expected in "\n".join(str(fault) for fault in caught.value.faults)


def test_local_file_then_environment_then_flags_win(tmp_path: Path) -> None:
    (tmp_path / "project.local.yaml").write_text("tmux: {socket: local, session_prefix: local}\n")
    text = "project: {name: x}\ntmux: {socket: file, session_prefix: file, watch_interval_sec: 7}\n"
    config = load(tmp_path, text, OPS_TMUX__SOCKET="env")
    assert (config.tmux.socket, config.tmux.session_prefix, config.tmux.watch_interval_s) == ("env", "local", 7)
    path = tmp_path / "project.yaml"
    flags = {"tmux.socket": "flag"}
    assert load_project(path=path, environ={"OPS_TMUX__SOCKET": "env"}, flags=flags).tmux.socket == "flag"


def test_remote_outputs_dir_of_the_environment_overrides_the_file(tmp_path: Path) -> None:
    config = load(tmp_path, "project: {name: x, remote_outputs_dir: /a}\n", REMOTE_OUTPUTS_DIR="/b")
    assert config.outputs_dir == "/b"


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GB", 20 * 1000**3), ("512MiB", 512 * 2**20), ("1.5G", 3 * 2**29), ("4096", 4096), ("none", None)],
)
def test_sizes_are_read_as_people_write_them(tmp_path: Path, text: str, size: int | None) -> None:
    config = load(
        tmp_path, "project: {name: x}\npresets: {a: {kind: command, command: x, max_log_size: " + text + "}}\n"
    )
    assert config.presets["a"].policies.max_log_bytes == size


def test_what_is_no_size_is_told_with_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "project: {name: x}\ndefaults: {max_log_size: 20 apples}\n")
    (fault,) = caught.value.faults
    assert fault.line == 2 and "'20 apples' is not a size: write 512MiB" in fault.message


def test_a_preset_that_says_only_how_often_to_retry_takes_the_rest_from_the_defaults(tmp_path: Path) -> None:
    text = "project: {name: x}\ndefaults: {retries: {on: [nccl], exit_codes: [75], backoff: 1m}}\npresets:\n"
    text += "  a: {kind: command, command: x, retries: 3}\n"
    text += "  b: {kind: command, command: x, retries: {max: 3, exit_codes: []}}\n"
    config = load(tmp_path, text)
    short, full = (config.presets[name].policies.retries for name in "ab")
    assert (short.max, short.on, short.exit_codes, short.backoff_s) == (3, ("nccl",), (75,), 60)
    assert (full.max, full.on, full.exit_codes, full.backoff_s) == (3, ("nccl",), (), 60)


#: Sections within sections.
NESTED = {"presets.<name>.service", "presets.<name>.retries", "defaults.retries", "pod_sources.<n>.pod"}


def _general(path: str) -> str:
    for own, name in (("pods|presets|provision", "<name>"), ("pod_sources", "<n>")):
        path = re.sub(rf"^({own})\.\w+", rf"\1.{name}", path)
    return re.sub(r"\.inputs\.\w+", ".inputs.<input>", path)


def known_keys(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every key the schema asks for, as the documentation writes it."""
    asked: set[str] = set()
    done = Section.done

    def collect(section: Section) -> None:
        path = _general(section.path)
        asked.update(f"{path}.{key}" for key in section._known if path)
        done(section)

    monkeypatch.setattr(Section, "done", collect)
    load_project(path=EXAMPLE, environ={})
    tables = {"storage.wandb", *NESTED}
    return {
        key
        for key in asked
        if key not in tables and not re.fullmatch(r"(pods|presets|provision)\.<name>(\.inputs(\.<input>)?)?", key)
    }


def test_every_key_is_documented_and_stands_in_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    known = known_keys(monkeypatch)
    text = (REPOSITORY / "docs/configuration.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([\w.<>]+)` \|", text, re.MULTILINE))
    assert documented == known
    assert keys_of(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))) == known


def keys_of(document: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    for top, section in document.items():
        listed = isinstance(section, list)
        groups = section if listed else section.values() if top in ("pods", "presets", "provision") else [section]
        prefix = f"{top}.<n>" if listed else f"{top}.<name>" if groups != [section] else top
        for group in groups:
            for key, value in group.items():
                if key == "inputs":
                    found |= {f"{prefix}.inputs.<input>.{name}" for entry in value.values() for name in entry}
                    continue
                nested = isinstance(value, dict) and key in ("wandb", "service", "retries", "pod")
                # YAML 1.1 reads an unquoted `on` as true; podops does not.
                inner = ["on" if name is True else name for name in value] if nested else []
                found |= {f"{prefix}.{key}.{name}" for name in inner} if nested else {f"{prefix}.{key}"}
    return found


RETRIES = {
    "max": 3,
    "on": ["nccl"],
    "exit_codes": [75],
    "backoff": "1s",
    "backoff_max": "1m",
    "unless_log_matches": "assert",
}

#: For each key: a value that must change what is planned, or what is known of the pod.
EFFECTS = {
    "project.name": "other",
    "project.remote_outputs_dir": "/elsewhere",
    "project.remote_repo_dir": "/repo",
    "project.remote_repo_url": "git@example.com:x.git",
    "project.venv_python": "/venv/bin/python",
    "storage.hf_home": "/hf",
    "storage.datasets_root": "/data",
    "storage.wandb.mode": "disabled",
    "storage.wandb.project": "w",
    "storage.wandb.ensure_creds_script": "/x.sh",
    "tmux.enabled": False,
    "tmux.session_prefix": "job",
    "tmux.watch_interval_sec": 3,
    "tmux.heartbeat_file": "pulse.txt",
    "tmux.socket": "mine",
    "artifact_contract.required": ["results.jsonl"],
    "artifact_contract.completion_file": "done.json",
    "defaults.timeout": "1h",
    "defaults.stall_timeout": "1m",
    "defaults.grace": "5s",
    "defaults.on_stall": "kill",
    "defaults.max_log_size": "5GB",
    "defaults.on_max_log": "end",
    "defaults.on_nan": "stop",
    "queue.gpu_busy_memory": "1GiB",
    "history.enabled": False,
    "history.max_size": "1GiB",
    "storage.env_files": ["/mnt/env"],
    "pods.p.port": 2222,
    "pods.p.identity_file": "/key",
    "pods.p.ssh_config": "/config",
    "pods.c.docker": "other",
    "pods.c.docker_host": "ssh://me@box",
    "pods.c.user": "me",
    "pod_sources.0.command": "other ps",
    **{f"pod_sources.0.{key}": "x.y" for key in ("items", "filter", *FIELDS)},
    "pod_sources.0.detail": "cloud show {id}",
    **{f"pod_sources.0.{key}": "7m" for key in ("interval", "timeout", "keep_gone")},
    "pod_sources.0.pod.docker_host": "unix:///e.sock",
    "pod_sources.0.pod.user": "me",
    "pod_sources.0.pod.tags": ["x"],
    **{f"pod_sources.0.pod.{key}": "/somewhere" for key in ("identity_file", "ssh_config", "venv_python")},
    **{f"pod_sources.0.pod.{key}": "/somewhere" for key in ("remote_outputs_dir", "remote_repo_dir")},
    "provision.cloud.source": "cloud-2",
    "provision.cloud.up": "cloud up {name}{ttl_s}",
    "provision.cloud.rm": "cloud remove {name}",
    "provision.cloud.ttl": "1h",
    "provision.cloud.price_per_hour": 2,
    "provision.cloud.price": "cloud price",
    "provision.cloud.bootstrap": "apt-get install -y tmux",
    "provision.cloud.timeout": "1m",
    "provision.cloud.ready_timeout": "1m",
    "provision.cloud.inputs.n.type": "float",
    "provision.cloud.inputs.n.default": 2,
    "provision.cloud.inputs.n.optional": True,
    "provision.cloud.inputs.n.min": 1,
    "provision.cloud.inputs.n.max": 9,
    "provision.cloud.inputs.n.flag": "--n",
    "provision.cloud.inputs.n.description": "how many",
    "provision.cloud.inputs.c.choices": ["x", "y"],
    "pods.p.price_per_hour": 1.5,
    "pods.p.tags": ["a100"],
    "pods.p.remote_outputs_dir": "/pod/runs",
    "pods.p.remote_repo_dir": "/pod/repo",
    "pods.p.venv_python": "/pod/python",
    "presets.t.command": "{python} other.py {overrides}",
    "presets.t.overrides": {"lr": 2},
    "presets.t.override_style": "flags",
    "presets.t.gpus": 2,
    "presets.t.env": {"A": "b"},
    "presets.t.workdir": "/work",
    "presets.t.timeout": "none",
    "presets.t.stall_timeout": "none",
    "presets.t.grace": "1s",
    "presets.t.service": {"port": 9000, "health": "/health"},
    "presets.t.service.ready_timeout": "1m",
    "presets.t.service.on_unhealthy": "restart",
    "presets.t.on_stall": "retry",
    "presets.t.max_log_size": "1G",
    "presets.t.on_max_log": "end",
    "presets.t.on_nan": "stop",
    "presets.t.priority": 5,
    "presets.t.env_files": ["~/secrets.env"],
    "presets.t.checkpoints": "checkpoints/*.bin",
    "presets.t.resume": True,
    **{f"{section}.retries.{key}": value for section in ("defaults", "presets.t") for key, value in RETRIES.items()},
    "presets.t.metrics_pattern": r"l (?P<loss>\d+)",
    "presets.t.tags": ["x"],
    "presets.t.description": "what it is for",
    "presets.t.kind": "eval",
    "presets.n.config": "other/config/x.py",
    "presets.n.script": "main.py",
    "presets.n.override_prefix": "--",
    "presets.v.model": "other/model",
    "presets.v.port": 8123,
    "presets.v.args": {"seed": 1},
}

BASE: dict[str, Any] = {
    "project": {"name": "x"},
    "pods": {"p": {"ssh": "host"}, "c": {"docker": "box"}},
    "pod_sources": [{"command": "cloud ps", "name": "name", "ssh": "login"} for _ in range(2)],
    "provision": {
        "cloud": {
            "source": "cloud",
            "up": "cloud up {name} {until}",
            "rm": "cloud rm {name}",
            "ttl": "2h",
            "inputs": {"n": {"type": "int"}, "c": {"type": "choice", "choices": ["x"]}},
        }
    },
    "presets": {
        "t": {"kind": "train", "command": "{python} t.py {overrides}", "overrides": {"lr": 1, "wandb_log": "auto"}},
        "n": {"kind": "nanogpt_train", "config": "config/c.py", "overrides": {"a": 1}},
        "v": {"kind": "vllm_serve", "model": "m/m"},
    },
}


def outcome(tmp_path: Path, document: dict[str, Any]) -> str:
    path = tmp_path / "project.json"
    path.write_text(yaml.safe_dump(document))
    path = path.rename(tmp_path / "project.yaml")
    config = load_project(path=path, environ={})
    specs = [plan_submit(config, name, "p", run_id="r") for name in config.presets]
    for plan in specs:
        plan.spec.pop("created_at")
    return (
        repr([asdict(plan) for plan in specs])
        + repr((config.pods, config.history, config.pod_sources, config.provision))
        + repr([p.description for p in config.presets.values()])
    )


@pytest.mark.parametrize("key", sorted(EFFECTS))
def test_every_key_has_an_effect(tmp_path: Path, key: str) -> None:
    changed = yaml.safe_load(yaml.safe_dump(BASE))
    place = changed
    *parents, last = key.split(".")
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
    if parents[-1] == "service":
        place["port"] = 9000
    place[last] = EFFECTS[key]
    assert outcome(tmp_path, changed) != outcome(tmp_path, BASE)


def test_the_table_of_effects_leaves_out_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    tested = {_general(key) for key in EFFECTS}
    apart = {"pods.<name>.local", "pods.<name>.ssh"}  # exactly one way there: shown by every other test
    service = {f"presets.<name>.service.{key}" for key in ("port", "health")}
    assert (tested - {"presets.<name>.service"}) | service | apart == known_keys(monkeypatch)


HOSTILE = [
    "a b",
    "it's",
    "two\nlines",
    "../up",
    "-x",
    "--help",
    "-",
    "😀",
    "表",
    "e\u0301",
    "x" * 65,
    "[red]x[/red]",
    "\x1b[31mx",
    "a..b",
    "",
]


@pytest.mark.parametrize("section", ["pods", "presets", "provision"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_could_be_taken_for_anything_else_is_a_fault_with_its_line(
    tmp_path: Path, section: str, name: str
) -> None:
    text = json.dumps({"project": {"name": "p"}, section: {name: {}}}, indent=1)
    faults = [fault for fault in faults_of(tmp_path, text) if "cannot be a name" in fault]
    assert len(faults) == 1 and faults[0].startswith("project.yaml:6: "), faults
    assert faults[0].isprintable() and len(faults[0]) < 250, faults
    assert (
        f"project.yaml:{3}: project.name: " in faults_of(tmp_path, json.dumps({"project": {"name": name}}, indent=1))[0]
    )


@pytest.mark.parametrize("name", ["on", "no", "null", "1e3", "0755", "1_000", "2026-11-21", "all", "True"])
def test_a_name_that_is_something_else_in_yaml_stays_as_it_is_written(tmp_path: Path, name: str) -> None:
    command = "{kind: command, command: 'true', env: {on: x, null: y}}"
    config = load(tmp_path, f"project: {{name: p}}\npods:\n  {name}: {{local: true}}\npresets:\n  {name}: {command}\n")
    assert (list(config.pods), list(config.presets)) == ([name], [name])
    assert config.presets[name].env == {"on": "x", "null": "y"}


MERGED = """
    project: {name: p}
    presets:
      base: &base {kind: command, command: 'true', gpus: 2, priority: 1}
      other: &other {kind: command, command: 'false', priority: 2, timeout: 1h}
      one: {<<: *base, gpus: 1}
      both:
        gpus: 4
        <<: [*other, *base]
    """


def test_a_merge_key_brings_what_is_not_said_beside_it(tmp_path: Path) -> None:
    presets = load(tmp_path, MERGED).presets
    assert (presets["one"].gpus, presets["one"].priority, presets["one"].command) == (1, 1, "true")
    assert (presets["both"].gpus, presets["both"].priority, presets["both"].command) == (4, 2, "false")
    faults = faults_of(tmp_path, MERGED.replace("priority: 1}", "prioritee: 1}"))
    assert [fault.split(":")[1] for fault in faults] == ["4"] * 3, "told where it is written"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("presets: &p\n  a: *p\n", "2: holds itself"),
        ("presets:\n  a: {<<: 3, kind: command, command: 'true'}\n", "3: << takes a mapping"),
        ("presets:\n  ? [a, b]\n  : {}\n", "3: a key must be a word"),
        ("presets:\n  a: {kind: command, command: '  '}\n", "3: presets.a.command is missing"),
        ('presets:\n  a: {kind: command, command: "a\\0b"}\n', "3: presets.a.command holds a character"),
        ('presets:\n  a: {kind: command, command: x, env: {A: "\\ud800"}}\n', "3: presets.a.env holds a character"),
        ("presets:\n  a: {kind: command, command: x, env: {A B: c}}\n", "3: presets.a.env: 'A B' cannot be the name"),
        ("presets:\n  a: {kind: command, command: !x y}\n", "3: cannot be read: could not determine"),
        ("defaults: {timeout: .inf}\n", "2: defaults.timeout: 'inf' is not a duration"),
        ("defaults: {grace: 9999999d}\n", "2: defaults.grace: '9999999d' is not a duration"),
        ("pods: {a: {local: true, price_per_hour: .inf}}\n", "2: pods.a.price_per_hour must be a number"),
        ("# \0\n", "2: is not valid YAML: it holds the character 0x00"),
    ],
)
def test_what_yaml_can_say_and_no_project_can_mean_is_a_fault_with_its_line(
    tmp_path: Path, text: str, fault: str
) -> None:
    assert faults_of(tmp_path, "project: {name: p}\n" + text)[0].startswith("project.yaml:" + fault)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "project.json"
    path.write_bytes(b'\xef\xbb\xbf{"project": {"name": "p"}}')
    assert load_project(path=path, environ={}).name == "p"


def test_a_character_that_json_writes_as_two_is_one(tmp_path: Path) -> None:
    path = tmp_path / "project.json"
    preset = {"kind": "command", "command": "echo 😀", "env": {"A": "🙂"}}
    path.write_text(json.dumps({"project": {"name": "p"}, "presets": {"a": preset}}, ensure_ascii=True))
    found = load_project(path=path, environ={}).presets["a"]
    assert (found.command, found.env) == ("echo 😀", {"A": "🙂"})
