"""The fixtures themselves: a loopback pod answers the OpenSSH client as a real one would."""

from __future__ import annotations

import shutil
import subprocess

from podops.config.load import load_project
from tests.pods.conftest import MakeProject, MakeSshPod
from tests.pods.loopback import POD_PATH


def test_a_loopback_pod_answers_ssh_with_its_own_home(ssh_pod: MakeSshPod) -> None:
    pod = ssh_pod("a")
    command = [
        "ssh",
        "-F",
        str(pod.ssh_config),
        "-o",
        "BatchMode=yes",
        pod.alias,
        "echo $HOME; command -v python3",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert answer.stdout.splitlines() == [str(pod.home), shutil.which("python3", path=POD_PATH)], answer.stderr


def test_the_project_file_for_tests_is_one_the_engine_takes(
    project: MakeProject, ssh_pod: MakeSshPod, tmux_socket: str
) -> None:
    pod = ssh_pod("a")
    loaded = load_project(project(pod, "laptop").directory)
    assert (loaded.pods["a"].ssh, loaded.pods["a"].ssh_config) == (pod.alias, str(pod.ssh_config))
    assert loaded.pods["laptop"].local and loaded.pods["laptop"].outputs_dir == "~/runs"
    assert loaded.tmux.socket == tmux_socket
