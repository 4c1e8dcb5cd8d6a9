"""What a user can rely on when asking for help: nothing is loaded that only work needs."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

HEAVY = {"asyncssh", "textual", "wandb", "docker", "requests", "jmespath", "mlflow", "boto3", "pynvml", "cryptography"}

#: Needed to work, not to tell the options.
WORK = {"asyncio", "yaml", "ssl", "sqlite3", "podops.fleet.fleet", "podops.plan", "podops.config.load"}

_SCRIPT = """
import sys
from podops.cli.main import main
try: main(sys.argv[1:])
except SystemExit as end: assert not end.code, end.code
print(*sys.modules)
"""


def imported(*words: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", _SCRIPT, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("words", ["--help", "run list --help", "run status --help", "doctor --help", "tui --help"])
def test_help_loads_neither_heavy_libraries_nor_the_engine(words: str) -> None:
    loaded = imported(*words.split())
    assert "click" in loaded
    assert not loaded & (HEAVY | WORK)


def test_a_completion_script_is_printed_without_the_engine() -> None:
    assert not imported("completion", "bash") & (HEAVY | WORK)


_INTERRUPTED = """
import os, signal, sys
class Interrupts:
    def find_spec(self, name, path, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
from podops.cli.main import main
sys.argv = ["ops", "--help"]
main()
"""


def test_ctrl_c_while_the_command_loads_itself_ends_it_without_a_word() -> None:
    done = subprocess.run([sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
