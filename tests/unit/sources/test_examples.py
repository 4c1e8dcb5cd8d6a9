"""The ready-made sources of configs/sources, each against an answer as its tool's documentation describes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from podops.config.load import load_project
from podops.config.model import PodConfig, PodSource
from podops.sources.ask import ask
from podops.sources.mapping import Mapped

EXAMPLES = Path(__file__).parents[3] / "configs/sources"
ANSWERS = Path(__file__).with_name("answers")


def example(name: str, tmp_path: Path) -> PodSource:
    """The example's one source, with a stand-in for its program on the command line."""
    document = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    entry = document["pod_sources"][0]
    program = tmp_path / str(entry["command"]).split()[0]
    program.write_text(
        f"#!/bin/sh\ncase \"$*\" in *' get '*) cat {tmp_path}/$3.json;; *) cat {ANSWERS}/{name}.json;; esac\n"
    )
    program.chmod(0o755)
    details = ANSWERS / f"{name}.detail.json"
    for key, detail in json.loads(details.read_text()).items() if details.exists() else ():
        (tmp_path / f"{key}.json").write_text(json.dumps(detail))
    for key in ("command", "detail"):
        if key in entry:
            entry[key] = f"{tmp_path}/{entry[key]}"
    project = tmp_path / "project.yaml"
    project.write_text(yaml.safe_dump({"project": {"name": "x"}, **document}))
    (source,) = load_project(path=project, environ={}).pod_sources
    return source


def summary(pod: PodConfig) -> tuple[object, ...]:
    return pod.name, pod.ssh or pod.docker, pod.port, pod.identity_file, pod.price_per_hour, pod.tags


EXPECTED: dict[str, tuple[list[tuple[object, ...]], tuple[str, ...]]] = {
    "lium": ([("train-a", "root@203.0.113.10", 30022, None, 18.4, ("lium", "8xH100"))], ("calm-owl-9d",)),
    "runpodctl": (
        [
            (
                "my-training-pod",
                "root@203.0.113.20",
                22044,
                "/home/me/.runpod/ssh/RunPod-Key-Go",
                5.98,
                ("runpod", "2xNVIDIA H100 80GB HBM3"),
            )
        ],
        ("starting",),
    ),
    "vastai": (
        [
            ("bench", "root@203.0.113.30", 41022, None, 0.81, ("vast", "2xRTX 4090")),
            ("vast-22222222", "root@ssh6.vast.ai", 10288, None, 1.2, ("vast", "1xA100 SXM4")),
        ],
        (),
    ),
    "skypilot": ([("sweep", "sweep", None, None, None, ("AWS", "us-east-1", "A100:8"))], ()),
    "docker-ps": (
        [("trainer", "trainer", None, None, None, ("trainer:3",)), ("eval", "eval", None, None, None, ("eval:1",))],
        (),
    ),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.yaml")))
async def test_every_example_finds_the_pods_of_its_tools_answer(name: str, tmp_path: Path) -> None:
    mapped: Mapped = await ask(example(name, tmp_path))
    pods, coming = EXPECTED[name]
    assert [summary(pod) for pod in mapped.pods] == pods
    assert (mapped.coming, mapped.problems) == (coming, ())
