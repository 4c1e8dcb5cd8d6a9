"""The fixtures themselves: a loopback pod answers the OpenSSH client as a real one would."""

from __future__ import annotations

import shutil
import subprocess

from tests.pods.conftest import MakeSshPod
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
    assert answer.stdout.splitlines() == [str(pod.home), shutil.which("python3", path=POD_PATH)], (
        answer.stderr
    )
