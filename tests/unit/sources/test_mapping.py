"""What a source may answer, and what becomes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from podops.config.load import load_project
from podops.config.model import PodConfig, PodSource, ProjectConfig
from podops.errors import ConfigError, SourceError
from podops.sources.answers import SourceAnswer, keep, recall, with_pods
from podops.sources.ask import ask
from podops.sources.mapping import Mapped, items_of, map_items, parse_answer
from podops.sources.ssh_words import SshWay, parse_ssh

SOURCE = PodSource("cloud", ("cloud", "ps"), {"name": "n", "ssh": "s", "price_per_hour": "p"}, items="pods[]")


def mapped(document: Any, source: PodSource = SOURCE) -> Mapped:
    return map_items(source, items_of(source, document))


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("ssh root@203.0.113.7 -p 22022 -i ~/.ssh/k", SshWay("203.0.113.7", "root", 22022, "~/.ssh/k")),
        ("/usr/bin/ssh -p2200 -l me host.example", SshWay("host.example", "me", 2200)),
        ("ssh -t -o StrictHostKeyChecking=no -L 8080:localhost:8080 me@h", SshWay("h", "me")),
        ("alias", SshWay("alias")),
        ("ssh://me@h:2200", SshWay("h", "me", 2200)),
        ("root@[2001:db8::1]:22", SshWay("[2001:db8::1]", "root", 22)),
    ],
)
def test_a_way_by_ssh_is_read_as_ssh_would(text: str, way: SshWay) -> None:
    assert parse_ssh(text) == way


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh",
        "ssh -p 22",
        "ssh h rm -rf /",
        "ssh -o ProxyCommand=evil h",
        "ssh -F /tmp/x h",
        "-oProxyCommand=x",
        "ssh h -p 99999",
        "ssh h -p 2;2",
        "h;id",
        "$(id)",
        "ssh 'unclosed",
        "ssh h -l -oX",
        "ssh h -i",
        "a b",
        "me@@h",
    ],
)
def test_anything_that_is_more_or_less_than_a_way_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_ssh(text)


def test_odd_items_are_left_out_and_told_and_the_others_count() -> None:
    items = [
        {"n": "good", "s": "ssh root@h", "p": "$1.5"},
        {"n": "my pod", "s": "h2", "p": None},
        {"n": "../etc", "s": "h3"},
        {"n": None, "s": "h4"},
        {"n": "good", "s": "h5"},
        {"n": "odd", "s": "ssh -o ProxyCommand=x h"},
        {"n": "soon", "s": None},
        "text",
    ]
    found = mapped({"pods": items})
    assert [(pod.name, pod.ssh, pod.price_per_hour) for pod in found.pods] == [
        ("good", "root@h", 1.5),
        ("my-pod", "h2", None),
    ]
    assert (found.coming, found.refused) == (("soon",), ("odd",))
    told = "\n".join(found.problems)
    for part in ("'../etc' cannot be a name", "item 4", "pod good: stands twice", "pod odd", "ProxyCommand", "item 8"):
        assert part in told


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "finds nothing"),
        ({"pods": {"a": 1}}, "finds nothing"),
        ({"pods": [{}] * 5001}, "5001 pods"),
        ({"pods": [{"label": "z1"}, "text"]}, 'cloud tells of no pod, but: {"label": "z1"}'),
    ],
)
def test_an_answer_the_mapping_does_not_fit_is_a_failure_not_an_empty_fleet(document: Any, problem: str) -> None:
    with pytest.raises(SourceError) as caught:
        mapped(document)
    assert problem in caught.value.message


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("", None),
        ("null", None),
        ('{"a": 1}', {"a": 1}),
        ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ('A new release is out!\n[{"a": 1}]', [{"a": 1}]),
    ],
)
def test_answers_come_as_one_document_as_lines_or_after_prose(text: str, document: Any) -> None:
    assert parse_answer(text, "cloud") == document


def test_a_single_line_is_a_single_pod_unless_it_tells_of_none() -> None:
    source = replace(SOURCE, items="@", filter="up")
    assert [pod.name for pod in mapped({"n": "a", "s": "h", "up": True}, source).pods] == ["a"]
    assert mapped({"n": "a", "s": "h", "up": False}, source) == mapped([], source) == mapped(None, source) == Mapped()
    for one in (source, replace(source, detail=("cloud", "{id}"))):
        with pytest.raises(SourceError, match="rate limited"):
            mapped({"error": "rate limited"}, one)


def test_an_answer_that_is_not_json_is_shown() -> None:
    with pytest.raises(SourceError) as caught:
        parse_answer("NAME  STATUS\na  up", "cloud")
    assert "NAME  STATUS" in caught.value.message and "JSON" in caught.value.hint


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo not logged in >&2; exit 3", "ended with status 3: not logged in"),
        ("sleep 60", "did not end within 1 s"),
        ("sleep 60 & echo '[]'; wait", "did not end within 1 s"),
        ("exec yes", "prints over 8 MiB"),
    ],
)
async def test_a_command_that_fails_hangs_or_floods_is_told(tmp_path: Path, script: str, problem: str) -> None:
    program = tmp_path / "cloud"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    # Only what would never end need be given up soon.
    timeout_s = 1.0 if "within 1 s" in problem else 60.0
    with pytest.raises(SourceError) as caught:
        await ask(replace(SOURCE, command=(str(program),), timeout_s=timeout_s))
    assert problem in caught.value.message


async def test_a_command_that_is_not_there_is_told() -> None:
    with pytest.raises(SourceError) as caught:
        await ask(replace(SOURCE, command=("no-such-cloud",)))
    assert caught.value.message == "no-such-cloud is not installed here"


def test_gone_pods_are_kept_for_a_while_and_failures_change_nothing() -> None:
    source = replace(SOURCE, keep_gone_s=100.0)
    a, b = (PodConfig(name, ssh=name, source="cloud") for name in ("a", "b"))
    first = SourceAnswer("cloud").after(Mapped((a, b)), source, 1000.0)
    failed = first.after_failure(SourceError("no network"), 1010.0)
    assert (failed.pods, failed.problem, failed.answered_at) == ((a, b), "no network", 1000.0)
    second = failed.after(Mapped((a,)), source, 1020.0)
    assert [(pod.name, pod.gone_since) for pod in second.pods] == [("a", None), ("b", 1020.0)]
    assert second.problem == ""
    restarting = second.after(Mapped((a,), coming=("b",)), source, 1030.0)
    assert [(pod.name, pod.gone_since) for pod in restarting.pods] == [("a", None), ("b", None)]
    refused = second.after(Mapped((a,), refused=("b",)), source, 1030.0)
    assert [(pod.name, pod.gone_since) for pod in refused.pods] == [("a", None), ("b", None)]
    late = second.after(Mapped((a,)), source, 1121.0)
    assert [pod.name for pod in late.pods] == ["a"]


def test_a_source_is_asked_when_its_interval_is_over_and_by_most_commands_only_when_its_answer_is_old() -> None:
    source = replace(SOURCE, interval_s=60.0)
    assert SourceAnswer("cloud").due(source, 1000.0, age=600.0), "one that never answered is asked by every command"
    answer = SourceAnswer("cloud").after(Mapped(), source, 1000.0)
    assert [answer.due(source, 1000.0 + age) for age in (59.0, 61.0)] == [False, True]
    assert [answer.due(source, 1000.0 + age, age=600.0) for age in (61.0, 601.0)] == [False, True]
    assert answer.due(source, 990.0), "a clock that was set back keeps nothing young"
    failed = SourceAnswer("cloud").after_failure(SourceError("no"), 1000.0)
    assert [failed.due(source, 1000.0 + age, age=600.0) for age in (59.0, 61.0)] == [False, True]


def test_a_pod_of_the_project_file_counts_before_one_of_a_source() -> None:
    config = ProjectConfig("x", "/o", pods={"a": PodConfig("a", local=True)}, pod_sources=(SOURCE,))
    answer = SourceAnswer("cloud").after(mapped({"pods": [{"n": "a", "s": "h"}, {"n": "b", "s": "h"}]}), SOURCE, 1.0)
    merged, left_out = with_pods(config, {"cloud": answer})
    assert {name: pod.transport for name, pod in merged.pods.items()} == {"a": "local", "b": "ssh"}
    assert left_out == {"cloud/a": "pod a is left out: the project file has one of that name"}
    assert with_pods(merged, {})[0].pods == config.pods


def test_what_was_told_is_there_for_the_next_process_unless_the_question_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_STATE_DIR", str(tmp_path))
    config = ProjectConfig("x", "/o", pod_sources=(SOURCE,))
    answer = SourceAnswer("cloud").after(mapped({"pods": [{"n": "a", "s": "ssh me@h -p 2"}]}), SOURCE, 5.0)
    keep(config, {"cloud": answer})
    assert recall(config) == {"cloud": answer}
    keep(config, {"cloud": replace(answer, asked_at=1.0, pods=())})
    assert recall(config) == {"cloud": answer}, "an older answer does not replace a newer one"
    assert recall(replace(config, pod_sources=(replace(SOURCE, command=("other",)),))) == {}
    (stored,) = tmp_path.glob("sources-*.json")
    assert stored.stat().st_mode & 0o077 == 0
    stored.write_text(stored.read_text().replace('"me@h"', '"-oProxyCommand=x"'))
    assert recall(config) == {}
    stored.write_text("{broken")
    assert recall(config) == {}


def test_mistakes_in_a_source_are_told_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "project.yaml"
    file.write_text(
        "project: {name: x}\npod_sources:\n  - command: cloud ps | jq .\n    name: 'a['\n    shh: x\n"
        "    interval: 1s\n  - name: n\n    ssh: s\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_project(path=file, environ={})
    told = [str(fault).removeprefix(f"{file}:") for fault in caught.value.faults]
    parts = ("not read by a shell", "is not JMESPath", "did you mean 'ssh'?", "5 seconds or more", "command is missing")
    for part in parts:
        assert part in "\n".join(told)
    assert json.dumps(told)
