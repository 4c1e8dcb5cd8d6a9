"""The networks of all soaked pods, in a process of their own: what they hold is not taken for the client's."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from tests.faults.network.bad_network import BadNetwork, Conditions

_ROOT = Path(__file__).parents[3]


def _slow(network: BadNetwork) -> None:
    network.conditions = Conditions(latency_s=0.15, loss=0.05)


def _fast(network: BadNetwork) -> None:
    network.conditions = Conditions()


#: What can be done to a network, by its name.
_WORK: dict[str, Callable[[BadNetwork], object]] = {
    "reset": BadNetwork.reset,
    "forget": BadNetwork.forget,
    "stop": BadNetwork.stop,
    "go": BadNetwork.go,
    "slow": _slow,
    "fast": _fast,
}


class FarNetwork:
    """One of them; its methods may be called in any thread."""

    def __init__(self, port: int, do: Callable[[str], None]) -> None:
        self.port = port
        self._do = do

    def reset(self) -> None:
        self._do("reset")

    def forget(self) -> None:
        self._do("forget")

    def stop(self) -> None:
        self._do("stop")

    def go(self) -> None:
        self._do("go")

    def slow(self) -> None:
        """300 ms there and back, with loss."""
        self._do("slow")

    def fast(self) -> None:
        self._do("fast")


@contextlib.contextmanager
def networks_before(targets: Sequence[int]) -> Iterator[list[FarNetwork]]:
    """A network before each of these ports."""
    command = [sys.executable, "-m", __name__, *map(str, targets)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
    assert process.stdin is not None and process.stdout is not None
    turn = threading.Lock()

    def ask(stdin: IO[str], stdout: IO[str], number: int, what: str) -> None:
        with turn:
            stdin.write(f"{number} {what}\n")
            stdin.flush()
            assert stdout.readline() == "done\n"

    def way(number: int) -> Callable[[str], None]:
        return lambda what: ask(process.stdin, process.stdout, number, what)  # type: ignore[arg-type]

    try:
        ports = json.loads(process.stdout.readline())
        yield [FarNetwork(port, way(number)) for number, port in enumerate(ports)]
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def serve(targets: Sequence[int]) -> None:
    """Do what each line of standard input says, until it ends."""
    with contextlib.ExitStack() as stack:
        networks = [stack.enter_context(BadNetwork(target)) for target in targets]
        print(json.dumps([network.port for network in networks]), flush=True)
        for line in sys.stdin:
            number, what = line.split()
            _WORK[what](networks[int(number)])
            print("done", flush=True)


if __name__ == "__main__":
    serve([int(word) for word in sys.argv[1:]])
