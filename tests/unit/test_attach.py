"""What a person's terminal is given to run when attaching to a run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from podops.attach import attach_argv, shell_argv
from podops.config.model import PodConfig
from podops.errors import RefusedError, UsageError


def test_a_pod_behind_ssh_is_reached_with_its_own_options_and_the_session_is_matched_exactly(tmp_path: Path) -> None:
    key = tmp_path / "key"
    pod = PodConfig("a", ssh="me@host", port=2200, identity_file=str(key), ssh_config="conf")
    with pytest.raises(RefusedError, match="wants the key"):
        attach_argv(pod, "run_x y", "sock")
    key.write_text("")
    argv = attach_argv(pod, "run_x y", "sock")
    assert argv[:10] == ["ssh", "-t", "-F", "conf", "-p", "2200", "-i", str(key), "--", "me@host"]
    shell, option, script = shlex.split(argv[10])
    assert (shell, option) == ("sh", "-c")
    assert "exec tmux -u -L sock attach-session -t '=run_x y' ';'" in script
    assert "tmux -u -L sock has-session -t '=run_x y' 2>/dev/null" in script


def test_ssh_reads_the_configuration_that_links_are_made_by_where_home_is_not_the_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shell_argv(PodConfig("a", ssh="box"), ["true"], "sh", terminal=False)[:3] == ["ssh", "-F", "none"]
    config = tmp_path / ".ssh/config"
    config.parent.mkdir()
    config.write_text("Host box\n")
    assert attach_argv(PodConfig("a", ssh="box"), "run_x", "sock")[:4] == ["ssh", "-t", "-F", str(config)]


def test_a_local_pod_is_attached_to_also_from_inside_tmux() -> None:
    argv = attach_argv(PodConfig("a", local=True), "run_x", "sock", nested=True)
    assert argv[:5] == ["env", "-u", "TMUX", "sh", "-c"]
    assert "exec tmux -u -L sock attach-session -t =run_x ';'" in argv[5]
    assert "ctrl-b ctrl-b d" in argv[5]


def test_a_container_is_entered_by_its_engines_own_client_where_the_engine_is() -> None:
    pod = PodConfig("a", docker="box", docker_host="tcp://e:1", user="me")
    shell, option, script = attach_argv(pod, "run_x y", "sock")
    assert (shell, option) == ("sh", "-c")
    for client in ("exec docker -H tcp://e:1 exec -it", "exec podman --url tcp://e:1 exec -it"):
        assert f'{client} -e "TERM=$TERM" -u me box sh -c ' in script
    there = PodConfig("a", docker="box", docker_host="ssh://me@Alias:22/run/e.sock", ssh_config="conf")
    argv = attach_argv(there, "run_x", "sock")
    assert argv[:8] == ["ssh", "-t", "-F", "conf", "-p", "22", "--", "me@Alias"]
    assert "exec docker -H unix:///run/e.sock exec -it" in shlex.split(argv[8])[2]


def test_a_run_without_a_session_cannot_be_attached_to() -> None:
    with pytest.raises(UsageError):
        attach_argv(PodConfig("a", local=True), None, "sock")
