"""What a new user is told who writes a project file as other tools have it: the key that says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.config.test_project_file import faults_of

from podops.config.other_names import CURES

ROOT = Path(__file__).parents[3]


def test_words_of_other_tools_lead_to_the_key_that_says_the_same(tmp_path: Path) -> None:
    told = faults_of(
        tmp_path,
        """\
        project: {name: x, output_dir: /mnt/runs/x}
        transport: local
        outputs_dir: /mnt/runs/x
        pods:
          a: {transport: local}
          b: {host: box, user: me}
          c: {local: true, outputs_dir: /mnt/runs}
        presets:
          p: {kind: train, cmd: python3 t.py, args: {lr: 1}}
        """,
    )
    joined = "\n".join(told)
    for word, cure in {
        "'output_dir' in project": "'remote_outputs_dir'?",
        "key 'transport' (": "`pods: {NAME: …}`",
        "key 'outputs_dir' (": "`project: {remote_outputs_dir: …}`",
        "'transport' in pods.a": "`local: true`",
        "'host' in pods.b": "`ssh: HOST`",
        "pods.b.user": "`ssh: USER@HOST`",
        "'outputs_dir' in pods.c": "'remote_outputs_dir'?",
        "'cmd' in presets.p": "'command'?",
        "'args' in presets.p": "'overrides'?",
    }.items():
        assert re.search(re.escape(word) + ".*" + re.escape(cure), joined), (word, joined)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("project: x", "project: {name: mine}"),
        ("project: {name: x}\npods: {a: local}", "{local: true}"),
        ("project: {name: x}\npods: [a]", "pods: {NAME: …}"),
        ("project: {name: x}\npresets: {p: python3 t.py}", "{kind: train, command: …}"),
    ],
)
def test_a_value_in_place_of_a_mapping_is_one_fault_with_an_example(tmp_path: Path, text: str, cure: str) -> None:
    (told,) = faults_of(tmp_path, text)
    assert "must be a mapping of keys" in told and cure in told


def test_every_key_that_is_proposed_is_one_of_the_documented_keys() -> None:
    documented = set(re.findall(r"^\| `([^`]+)`", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE))
    for section, cures in CURES.items():
        for words, cure in cures.items():
            proposed = re.findall(r"did you mean '(\w+)'\?", cure)
            place = {"pods": "pods.<name>.", "presets": "presets.<name>.", "project": "project."}.get(section, "")
            for key in proposed:
                assert any(known == place + key or known.startswith(f"{place}{key}.") for known in documented), key
            for key in re.findall(r"`project: \{(\w+): …\}`", cure):
                assert f"project.{key}" in documented, key
            assert len(set(words.split())) == len(words.split()), words
