"""What becomes of a program when a signal ends whoever has started it."""

from __future__ import annotations

import signal
import subprocess
import sys

_SCRIPT = """
import os, signal, subprocess, sys
from podops.child_programs import EndsWithUs, watch_for_our_end
watch_for_our_end()
with EndsWithUs(60) as child:
    os.kill(os.getpid(), signal.SIGTERM)
    process = subprocess.Popen(["sleep", "90"], start_new_session=True)
    child.started(process.pid)
"""


def test_a_signal_that_comes_while_a_program_is_started_ends_it_too() -> None:
    # Its output is over when the program has ended as well, which has inherited it.
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
