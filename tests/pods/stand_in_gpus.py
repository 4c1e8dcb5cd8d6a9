"""Machines with GPUs that are not there: stand-ins for NVIDIA's library and for `nvidia-smi`, and what is wrong today.

Nothing in them was measured on a card. Everything above them is the real thing.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_nvml.c")

#: NVML's error codes, as nvml.h has them.
DRIVER_NOT_LOADED, GPU_IS_LOST, VERSION_MISMATCH, UNKNOWN = 9, 15, 18, 999

_SMI = """#!/bin/sh
# A STAND-IN for nvidia-smi: answers from the files beside it.
here=$(dirname "$0")
[ "$1" = -L ] && exec cat "$here/listing"
fields=${1#--query-gpu=}
echo "$fields" >> "$here/asked"
for refused in $(cat "$here/refused"); do
  case ",$fields," in *",$refused,"*) echo "Field \\"$refused\\" is not a valid field to query."; exit 2;; esac
done
while :; do
  cat "$here/rows" || exit 1  # as the true one, it ends with whoever read it
  [ -e "$here/hang" ] && { rm "$here/hang"; sleep 300; }
  [ -e "$here/die" ] && { rm "$here/die"; exit 9; }
  sleep 0.2
done
"""


class StandInNvml:
    """A `libnvidia-ml.so.1` in `directory`; `env` makes a pod load it. `install` may come late, or again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._faults = directory / "faults"
        self.env = {"LD_LIBRARY_PATH": str(directory), "FAKE_NVML": str(self._faults)}
        directory.mkdir(parents=True, exist_ok=True)
        self.say()

    def install(self, *flags: str, driver: str = "570.00") -> None:
        library, fresh = self.directory / "libnvidia-ml.so.1", self.directory / "fresh.so"
        named = [f'-DDRIVER="{driver}"', f'-DFAULTS="{self._faults}"']
        options = ["-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", *named, *flags]
        subprocess.run(["gcc", *options, "-o", str(fresh), str(SOURCE)], check=True)
        fresh.rename(library)

    def say(self, *faults: str) -> None:
        """What the machine is like from now on; the lines are told in fake_nvml.c."""
        fresh = self._faults.with_suffix(".new")
        fresh.write_text("".join(f"{line}\n" for line in faults))
        fresh.rename(self._faults)

    def calls(self) -> dict[str, int]:
        """How often each function was called."""
        lines = self._faults.with_suffix(".calls").read_text().splitlines()
        return {name: int(number) for name, number in (line.split() for line in lines)}


class StandInSmi:
    """An `nvidia-smi` in `directory`, to be put into a pod's PATH."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        program = directory / "nvidia-smi"
        program.write_text(_SMI)
        program.chmod(0o755)
        self.refuse()
        self.list_instances("")

    def print_rows(self, *rows: str) -> None:
        self._write("rows", "".join(f"{row}\n" for row in rows))

    def refuse(self, *fields: str) -> None:
        """Fields that this driver does not know."""
        self._write("refused", "\n".join(fields))

    def list_instances(self, text: str) -> None:
        self._write("listing", text)

    def die(self) -> None:
        """End once, after the next rows."""
        self._write("die", "")

    def hang(self) -> None:
        """Say nothing more once, after the next rows."""
        self._write("hang", "")

    def asked(self) -> list[list[str]]:
        """The fields asked for, at each start."""
        log = self.directory / "asked"
        return [line.split(",") for line in log.read_text().splitlines()] if log.exists() else []

    def _write(self, name: str, text: str) -> None:
        fresh = self.directory / f"{name}.new"
        fresh.write_text(text)
        fresh.rename(self.directory / name)
