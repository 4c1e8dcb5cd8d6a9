"""What a user can rely on from `make setup`: it says or does what is missing, and does nothing twice.

The script runs in a copy of its own with a PATH of our making. What would change the machine (apt-get, python3) is a
stand-in there that writes down how it was called.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash") or "/bin/bash"

#: Pretends to be python3, pip and the Python of the environment that it makes.
PYTHON = r"""
case "$*" in
  *"-m venv"*) mkdir -p .venv/bin; for name in python pip; do cp "$0" .venv/bin/$name; done ;;
  --version) echo "Python 3.11.2" ;;
esac
"""


class Checkout:
    """A copy of what the script reads, and the programs it can see."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.bin.mkdir(parents=True)
        (root / "scripts").mkdir()
        (root / "requirements").mkdir()
        shutil.copy(ROOT / "scripts/setup.sh", root / "scripts")
        (root / "pyproject.toml").write_text("[project]\n")
        (root / "requirements/runtime.txt").write_text("click==8\n")
        (root / "requirements/dev.txt").write_text("pytest==8\n")
        for tool in ("cat", "cksum", "dirname", "uname", "mkdir", "cp"):
            (self.bin / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")

    def program(self, name: str, script: str = "") -> None:
        path = self.bin / name
        path.write_text(f'#!{BASH}\necho "{name} $*" >> "$CALLS"\n{script}\n')
        path.chmod(0o755)

    def run(self, *purpose: str) -> tuple[int, str, list[str]]:
        """Exit status, what was said, and the stand-ins called that could change something."""
        calls = self.root / "calls"
        calls.write_text("")
        done = subprocess.run(
            [BASH, self.root / "scripts/setup.sh", *purpose],
            env={"PATH": str(self.bin), "CALLS": str(calls), "HOME": str(self.root)},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
        )
        changes = [line for line in calls.read_text().splitlines() if "-m " in line or line.startswith("apt-get")]
        return done.returncode, done.stdout + done.stderr, changes


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a checkout")


def complete(checkout: Checkout) -> None:
    """Everything the script looks for is there."""
    checkout.program("python3", PYTHON)
    for name in ("tmux", "ssh", "sshd", "gcc"):
        checkout.program(name)


def test_without_root_the_exact_line_to_run_is_printed_and_nothing_is_done(checkout: Checkout) -> None:
    checkout.program("python3", PYTHON)
    checkout.program("apt-get")
    checkout.program("id", "echo 1000")
    status, said, changes = checkout.run()
    assert (status, changes) == (1, [])
    server = "" if Path("/usr/sbin/sshd").exists() else " openssh-server"
    packages = f"tmux openssh-client{server} gcc libc6-dev"
    assert f"  sudo apt-get update && sudo apt-get install -y --no-install-recommends {packages}\n" in said
    assert not (checkout.root / ".venv").exists()


def test_as_root_what_is_missing_is_installed_and_only_that(checkout: Checkout) -> None:
    complete(checkout)
    (checkout.bin / "tmux").unlink()
    checkout.program("apt-get")
    checkout.program("id", "echo 0")
    status, said, changes = checkout.run()
    assert status == 0, said
    installs = [line for line in changes if line.startswith("apt-get")]
    assert installs == ["apt-get update -qq", "apt-get install -y -qq --no-install-recommends tmux"]


def test_without_a_new_enough_python_it_says_so(checkout: Checkout) -> None:
    checkout.program("python3", "exit 1")
    status, said, _ = checkout.run()
    assert status == 1
    assert "Python 3.11 or later is needed" in said


def test_a_second_run_changes_nothing_until_a_requirement_changes(checkout: Checkout) -> None:
    complete(checkout)
    status, said, first = checkout.run()
    assert status == 0, said
    assert any("-m venv" in call for call in first) and any("pip install" in call for call in first)
    assert checkout.run() == (0, "", [])
    (checkout.root / "requirements/runtime.txt").write_text("click==9\n")
    assert any("pip install" in call for call in checkout.run()[2])


def test_the_demo_needs_nothing_that_only_tests_need(checkout: Checkout) -> None:
    complete(checkout)
    for name in ("gcc", "sshd"):
        (checkout.bin / name).unlink()
    status, said, calls = checkout.run("demo")
    assert status == 0, said
    assert any("requirements/runtime.txt" in call for call in calls)
    assert not any("requirements/dev.txt" in call for call in calls)
    assert checkout.run("demo") == (0, "", [])
    for name in ("gcc", "sshd"):
        checkout.program(name)
    assert any("requirements/dev.txt" in call for call in checkout.run()[2])
    assert checkout.run("demo") == (0, "", [])
