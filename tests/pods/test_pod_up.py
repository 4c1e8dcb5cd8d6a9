"""What a user can rely on when pods are made and removed at a provider."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pods.conftest import MakeProject, OpenOps, Ops, StartOps
from tests.pods.loopback import SshPod, free_port, wait_for
from tests.pods.provider import Provider

PRESETS = {"loop": {"kind": "command", "command": "while :; do echo tick; sleep 0.1; done"}}


@pytest.fixture
def provider(world: Path) -> Iterator[Provider]:
    provider = Provider(world / "provider")
    yield provider
    provider.end()


@pytest.fixture
def offered(world: Path, client_home: Path, provider: Provider) -> SshPod:
    pod = SshPod("rented", world / "pod-rented", free_port())
    pod.create()
    # Nobody has ever seen the host key of a pod that was just made.
    pod.known_hosts.write_text("")
    pod.ssh_config.write_text(pod.ssh_config.read_text() + "  StrictHostKeyChecking accept-new\n")
    provider.offer(pod)
    return pod


@pytest.fixture
def cloud(project: MakeProject, provider: Provider, offered: SshPod) -> Callable[..., None]:
    """Write the project; keyword arguments are keys of `provision.cloud`."""

    def make(**keys: Any) -> None:
        entry = {
            "source": "cloud",
            "up": [str(provider.program), "up", "--name", "{name}", "{gpu}", "--ttl", "{ttl_s}", "{spot}", "{note}"],
            "rm": f"{provider.program} rm {{name}}",
            "price": f"{provider.program} price",
            "ttl": "2h",
            "inputs": {
                "gpu": {"type": "choice", "choices": ["H100", "A100"], "default": "H100", "flag": "--gpu"},
                "spot": {"type": "bool", "flag": "--spot"},
                "note": {"optional": True, "flag": "--note"},
            },
            **keys,
        }
        source = provider.source(offered.ssh_config, interval="1h")
        project("here", presets=PRESETS, pod_sources=[source], provision={"cloud": entry})

    return make


def test_a_pod_is_made_for_a_price_and_a_time_bootstrapped_used_and_removed(
    cloud: Callable[..., None], ops: Ops, open_ops: OpenOps, provider: Provider, offered: SshPod
) -> None:
    cloud(bootstrap="#!/bin/bash\necho installing $((40 + 2)); echo done > ~/prepared\n")
    shown = ops("pod", "up", "cloud", "--name", "rented", "--ttl", "6h", "--dry-run")
    assert "$2.50/h, at most $15.00 for 6h00m" in shown.stderr
    assert "--name rented --gpu H100 --ttl 21600" in shown.stderr
    assert ops("pod", "up", "cloud", "--name", "rented").returncode == 2, "without a terminal and --yes nothing is made"
    assert not [words for words in provider.asked if words.startswith("up")]
    note = "it's; $(touch /tmp/x) `id`"
    made = ops("pod", "up", "cloud", "--name", "rented", "--ttl", "6h", "--yes", "gpu=A100", "spot=yes", f"note={note}")
    assert (made.returncode, made.stdout) == (0, "rented\n"), made.stderr
    assert f"up --name rented --gpu A100 --ttl 21600 --spot --note {note}" in provider.asked
    for told in ("renting A100", "rented: live", "  installing 42", "ends by itself after 6h00m"):
        assert told in made.stderr
    assert (offered.home / "prepared").read_text() == "done\n"
    assert ops("pod", "up", "cloud", "--name", "rented", "--yes").returncode == 5, "the name is taken"
    assert ops("run", "submit", "--preset", "loop", "--pod", "rented", "--run-id", "l1").returncode == 0
    assert ops("pod", "rm", "rented").returncode == 2
    asking = open_ops("pod", "rm", "rented")
    asking.wait_for(r"l1 .*running[\s\S]*not ended on rented: 1 run[\s\S]*with everything on it\?")
    asking.press("n\r")
    assert asking.ended() == 5
    assert ops("pod", "list", "--json").json["pods"][1]["state"] == "live"
    assert ops("pod", "rm", "rented", "--yes").returncode == 0
    states = {pod["name"]: pod["state"] for pod in ops("pod", "list", "--json").json["pods"]}
    assert states == {"here": "live", "rented": "gone"}
    assert ops("pod", "rm", "here", "--yes").returncode == 5, "what stands in the project file is not a provider's"


def test_the_price_and_the_end_are_those_of_the_time_that_the_provider_is_asked_for(
    cloud: Callable[..., None], ops: Ops, provider: Provider
) -> None:
    asked = {"h": ("2", "$5.00 for 2h00m"), "m": ("61", "$2.54 for 1h01m"), "s": ("3630", "$2.52 for 1h00m")}
    for unit, (told, price) in asked.items():
        cloud(up=[str(provider.program), "up", "{name}", "--ttl", f"{{ttl_{unit}}}"])
        shown = ops("pod", "up", "cloud", "--ttl", "3630s", "--dry-run", "--json")
        assert (shown.json["command"].split()[-1], f"at most {price}" in shown.stderr) == (told, True), shown.stderr
        assert shown.json["ttl_s"] == int(told) * {"h": 3600, "m": 60, "s": 1}[unit]


def test_a_price_that_is_not_told_is_not_waited_for_longer_than_the_time_of_one_command(
    cloud: Callable[..., None], ops: Ops
) -> None:
    cloud(price="sleep 600", timeout="1s")
    done = ops("pod", "up", "cloud", "--dry-run", timeout=300)
    assert (done.returncode, "sleep did not end within 1 s" in done.stderr) == (1, True), done.stderr
    assert "correct `price`, or leave it out" in done.stderr and "raise its" not in done.stderr


def test_what_goes_wrong_on_the_way_says_what_exists_and_how_to_remove_it(
    cloud: Callable[..., None], ops: Ops, provider: Provider
) -> None:
    cloud(bootstrap="echo no space left; exit 9")
    none = ops("pod", "up", "cloud", "--name", "unoffered", "--yes")
    assert none.returncode == 1 and "no capacity for unoffered" in none.stderr
    assert "pod unoffered is not told of by cloud" in none.stderr
    failed = ops("pod", "up", "cloud", "--name", "rented", "--yes")
    assert failed.returncode == 1
    for told in (
        "no space left",
        "ended with status 9",
        "pod rented exists at cloud",
        "ops pod rm rented",
        "after 2h00m",
    ):
        assert told in failed.stderr
    provider.fail("cloud: logged out")
    assert "logged out" in ops("pod", "rm", "rented", "--yes").stderr


def test_a_pod_is_removed_by_what_its_provider_calls_it_and_only_where_it_lists_it(
    project: MakeProject, ops: Ops, world: Path
) -> None:
    program = world / "prov"
    program.write_text(
        f"#!/bin/sh\ncd '{world}'\ncase $1 in\n"
        "  ps) cat there 2>/dev/null || echo '[]' ;;\n"
        """  up) [ "$2" = none ] || printf '[{"name":"%s","id":"i-%s","at":"h"}]' "$2" "$2" > there\n"""
        "      exit 1 ;;\nesac\n"
    )
    program.chmod(0o755)
    source = {"command": f"{program} ps", "name": "name", "id": "id", "ssh": "at", "interval": "1h"}
    entry = {"source": "prov", "up": f"{program} up {{name}}", "rm": f"{program} rm {{id}}", "ttl": "none"}
    project("here", pod_sources=[source], provision={"prov": entry})
    made = ops("pod", "up", "prov", "--name", "u2", "--yes").stderr
    assert "pod u2 exists at prov\n" in made
    assert f"remove it with: ops pod rm u2   (or: {program} rm i-u2)\n" in made
    (world / "there").unlink()
    none = ops("pod", "up", "prov", "--name", "none", "--yes").stderr
    assert "pod none is not told of by prov\nshould it come after all, remove it with: ops pod rm none\n" in none
    told = ops("pod", "rm", "none", "--yes")
    assert (told.returncode, told.stderr.splitlines()[0]) == (
        1,
        "error: prov lists no pod none, so there is none to remove",
    )
    assert "map `id`" not in told.stderr


def test_an_interrupted_wait_says_what_exists(
    cloud: Callable[..., None], start_ops: StartOps, provider: Provider, offered: SshPod
) -> None:
    cloud(bootstrap="echo began; sleep 600")
    making = start_ops("pod", "up", "cloud", "--name", "rented", "--yes")
    wait_for(lambda: "began" in making.stderr, "the bootstrap")
    making.process.send_signal(signal.SIGINT)
    assert making.process.wait(30) == 130
    assert "pod rented exists at cloud" in making.stderr
    assert "remove it with: ops pod rm rented" in making.stderr
    assert "Traceback" not in making.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["gpu=B200"], "one of H100, A100"),
        (["gpus=1"], "did you mean 'gpu'?"),
        (["note=-rf"], "would take for an option"),
        (["spot=maybe"], "must be true or false"),
        (["note=hf_" + "a" * 30], "seems to hold a Hugging Face token"),
        (["--ttl", "none"], "always have a ttl"),
        (["--name", "../x"], "cannot be a pod's name"),
    ],
)
def test_inputs_are_checked_before_anything_is_asked(
    cloud: Callable[..., None], ops: Ops, provider: Provider, words: list[str], told: str
) -> None:
    cloud()
    done = ops("pod", "up", "cloud", "--yes", *words)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert not provider.asked


def test_a_provision_without_a_time_to_live_must_say_so(cloud: Callable[..., None], ops: Ops) -> None:
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"ttl": None}, "provision.cloud.ttl is missing"),
        ({"up": "cloud up {name}"}, "does not tell the provider the ttl"),
        ({"rm": "cloud rm {nam}"}, "unknown placeholder {nam} (did you mean 'name'?)"),
        ({"rm": "cloud rm --all"}, "does not say what to remove"),
        ({"source": "clod"}, "must name one of pod_sources (one of: cloud)"),
        ({"inputs": {"gpu": {"type": "int", "default": "many"}}}, "must be a whole number"),
    ]
    for keys, told in mistakes:
        cloud(**keys)
        done = ops("pod", "list")
        assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    cloud(ttl="none", up="cloud up {name}", price_per_hour=3)
    assert "until it is removed" in ops("pod", "up", "cloud", "--dry-run").stderr
