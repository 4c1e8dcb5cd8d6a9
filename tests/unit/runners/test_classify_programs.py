"""Why a run ended, told of real programs: each fails for real here, and its log and exit status are judged."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from podops_runners.classify import classify
from podops_runners.verdict import Ending, Verdict

BIND_TWICE = """
import socket
first = socket.create_server(("127.0.0.1", 0))
socket.create_server(first.getsockname())
"""
FORBIDDEN = """
import http.server, threading, urllib.request
class Refuse(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_error(403)
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Refuse)
threading.Thread(target=server.serve_forever, daemon=True).start()
urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://127.0.0.1:%d/model" % server.server_port)
"""
POOL = """
import multiprocessing
def load(path):
    return open(path)
if __name__ == "__main__":
    with multiprocessing.Pool(1) as pool:
        pool.map(load, ["/nowhere/train.bin"])
"""
FLAGS = """
import argparse
flags = argparse.ArgumentParser()
flags.add_argument("--lr", type=float)
flags.parse_args(["lr=0.1"])
"""
KILLED_WORKER = """
import concurrent.futures, os, signal
def die():
    os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        pool.submit(die).result()
"""
GROUP = """
def fail():
    raise FileNotFoundError(2, "No such file or directory", "/nowhere/train.bin")
def both():
    errors = []
    try:
        fail()
    except OSError as error:
        errors.append(error)
    raise ExceptionGroup("loading", errors)
both()
"""
CHAIN = """
def read():
    with open("/dev/full", "w") as stream:
        stream.write("x")
def save():
    try:
        read()
    except OSError as error:
        raise RuntimeError("the checkpoint was not saved") from error
save()
"""
HANDLED = """
try:
    open("/nowhere/cache")
except OSError:
    raise KeyError("n_embd")
"""
NAN = "import sys; print('iter 3: loss nan'); sys.exit('Loss is nan, stopping training')"
LOGGED = """
import logging
try:
    import nowhere
except ImportError:
    logging.exception("cannot go on")
    raise SystemExit(4)
"""


def python(source: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(source)}"


def run(tmp_path: Path, command: str, **known: Any) -> Verdict:
    """As a run is started: `bash command.sh`, both outputs in one file."""
    script, log = tmp_path / "command.sh", tmp_path / "stdout.log"
    script.write_text(f"cd {shlex.quote(str(tmp_path))} || exit 1\n{command}\n")
    with log.open("ab") as stream:
        start = stream.tell()
        code = subprocess.run(["bash", str(script)], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream).returncode
    number = -code if code < 0 else None
    return classify(Ending(128 - code if code < 0 else code, number, log_path=str(log), log_start=start, **known))


PROGRAMS = {
    "writing to a full disk": (
        python("print('x', file=open('/dev/full', 'w'), flush=True)"),
        "disk_full",
        "OSError: [Errno 28]",
    ),
    "a shell tool on a full disk": ("head -c 9 /dev/zero > /dev/full", "disk_full", "No space left on device"),
    "a full disk behind another error": (python(CHAIN), "disk_full", "OSError: [Errno 28]"),
    "listening twice": (python(BIND_TWICE), "address_in_use", "[Errno 98]"),
    "a server that refuses": (python(FORBIDDEN), "auth", "HTTP Error 403: Forbidden"),
    "a missing file": (python("open('/nowhere/train.bin')"), "data_missing", "/nowhere/train.bin"),
    "a missing file in a pool": (f"cat > p.py <<'END'\n{POOL}END\n{sys.executable} p.py", "data_missing", "/nowhere/"),
    "a missing script": (f"{sys.executable} nowhere.py", "data_missing", "nowhere.py"),
    "a missing module": (python("import nowhere"), "import_error", "No module named 'nowhere'"),
    "a missing module as program": (f"{sys.executable} -m nowhere", "import_error", "No module named nowhere"),
    "a missing library": (python("import ctypes; ctypes.CDLL('libnowhere.so')"), "import_error", "libnowhere.so"),
    "more memory than there is": (python("bytearray(1 << 60)"), "oom_host", "MemoryError"),
    "a command that is not there": ("torchrunn train.py", "spawn_failed", "torchrunn: command not found"),
    "a script that may not run": ("touch a.sh; ./a.sh", "spawn_failed", "./a.sh: Permission denied"),
    "a loss that is no number": (python(NAN), "nan_loss", "Loss is nan, stopping training"),
    "a plain error": (python("{}['n_embd']"), "nonzero_exit", "KeyError: 'n_embd'"),
    "an error while a missing file was handled": (python(HANDLED), "nonzero_exit", "KeyError: 'n_embd'"),
    "a flag given as key=value": (python(FLAGS), "nonzero_exit", "(argparse takes what `override_style: flags`"),
    "silence": ("exit 3", "nonzero_exit", "exit status 3"),
    "a crash": (python("import os; os.kill(os.getpid(), 11)"), "signal", "SIGSEGV"),
    "an abort": (python("import os; os.abort()"), "signal", "SIGABRT"),
    "success": ("echo 'CUDA out of memory. Tried to allocate 2 GiB'", "ok", ""),
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_a_run_that_ended_by(tmp_path: Path, what: str) -> None:
    command, reason, said = PROGRAMS[what]
    verdict = run(tmp_path, command)
    assert verdict.reason == reason, verdict
    assert said in verdict.detail
    if "line" in verdict.evidence:
        log = (tmp_path / "stdout.log").read_bytes()
        assert log[verdict.evidence["offset"] :].decode().startswith(verdict.evidence["line"].split(" ")[0])


def test_a_second_attempt_is_not_blamed_for_the_first_ones_log(tmp_path: Path) -> None:
    assert run(tmp_path, python("print('x', file=open('/dev/full', 'w'), flush=True)")).reason == "disk_full"
    assert run(tmp_path, "exit 3").detail == "exit status 3"


def test_a_killed_worker_is_out_of_memory_only_where_the_kernel_counted(tmp_path: Path) -> None:
    command = f"cat > p.py <<'END'\n{KILLED_WORKER}END\n{sys.executable} p.py"
    assert run(tmp_path, command).reason == "nonzero_exit"
    verdict = run(tmp_path, command, oom_kills=1)
    assert (verdict.reason, verdict.evidence["source"], verdict.evidence["oom_kills"]) == ("oom_host", "cgroup", 1)


@pytest.mark.parametrize(
    ("source", "function", "line", "error"),
    [
        (GROUP, "fail", 3, "FileNotFoundError"),
        (CHAIN, "save", 9, "RuntimeError"),
        (HANDLED, "<module>", 5, "KeyError"),
        ("def f():\n    raise ValueError('two\\nlines')\nf()", "f", 2, "ValueError"),
        ("import sys\nsys.setrecursionlimit(60)\ndef f():\n    f()\nf()", "f", 4, "RecursionError"),
        ("compile('a b', 'other.py', 'exec')", "", 1, "SyntaxError"),
        (LOGGED, "<module>", 4, "ModuleNotFoundError"),
    ],
    ids=["group", "chain", "handled", "lines", "recursion", "syntax", "logged"],
)
def test_the_last_frame_and_message_are_kept(tmp_path: Path, source: str, function: str, line: int, error: str) -> None:
    if "ExceptionGroup" in source and sys.version_info < (3, 11):
        pytest.skip("groups came with Python 3.11")
    verdict = run(tmp_path, python(source))
    assert verdict.traceback is not None
    told = {key: verdict.traceback[key] for key in ("function", "line", "error")}
    assert told == {"function": function, "line": line, "error": error}
