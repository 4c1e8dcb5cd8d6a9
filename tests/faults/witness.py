"""The run of every fault test: it prints numbered lines, and tells a file outside its run directory what it has done.

Started as `python -I -S witness.py DIRECTORY [options]` by a run's `command.sh`. Each start makes a file of its own in
DIRECTORY, so a second start of one attempt cannot hide, and each line stands in the log before it stands there.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ended without a traceback in its log
    options = _options()
    run_id, attempt = os.environ["OPS_RUN_ID"], int(os.environ["OPS_ATTEMPT"])
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    told = os.open(f"{options.directory}/{run_id}.{attempt}.{os.getpid()}.told", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    _tell(told, f"begun {time.monotonic()} {gpus or '-'} {os.environ.get('OPS_RESUME_FROM', '-')}")
    number = 0
    code = None
    while code is None:
        number += 1
        _print(f"attempt {attempt} line {number} of {run_id}\n".encode())
        _tell(told, f"line {time.monotonic()} {number}")
        if number == options.fail_at and attempt <= options.fail_attempts:
            code = 1
        elif number == options.lines:
            code = 0
        else:
            time.sleep(options.every)
            code = _asked_to_end(f"{options.directory}/{run_id}.go")
    _tell(told, f"end {time.monotonic()} {code}")
    return code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--every", type=float, default=0.01, help="seconds between two lines")
    parser.add_argument("--lines", type=int, default=0, help="end with 0 after so many; 0: when DIRECTORY/RUN.go says")
    parser.add_argument("--fail-at", type=int, default=0, help="end with 1 after so many lines")
    parser.add_argument("--fail-attempts", type=int, default=0, help="in the first so many attempts")
    return parser.parse_args()


def _asked_to_end(path: str) -> int | None:
    try:
        with open(path) as stream:
            return int(stream.read() or 0)
    except FileNotFoundError:
        return None


def _print(line: bytes) -> None:
    """Onto stdout whole, however long the volume takes no byte of it."""
    while line:
        try:
            line = line[os.write(1, line) :]
        except OSError:
            time.sleep(0.02)


def _tell(descriptor: int, text: str) -> None:
    os.write(descriptor, text.encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
