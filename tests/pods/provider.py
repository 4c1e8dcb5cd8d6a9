"""A stand-in for a provider's own command: it lists, makes and removes loopback pods, and notes what it was asked."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.pods.loopback import SSHD, SshPod

_SCRIPT = """#!/bin/sh
cd '{folder}'
printf '%s\\n' "$*" >> asked
[ -e broken ] && {{ cat broken >&2; exit 7; }}
ask=$1; shift
value() {{ wanted=$1; shift; while [ $# -gt 0 ]; do [ "$1" = "$wanted" ] && {{ echo "$2"; return; }}; shift; done; }}
case $ask in
  ps) printf '{{"pods": ['; sep=
      for file in there/*; do [ -e "$file" ] && printf '%s' "$sep" && cat "$file" && sep=,; done
      echo ']}}' ;;
  price) echo "about 2.50 an hour" ;;
  rm) kill "$(cat offers/$1/pid)" && rm there/$1 ;;
  up) name=$(value --name "$@"); echo "renting $(value --gpu "$@")" >&2
      [ -d "offers/$name" ] || {{ echo "no capacity for $name" >&2; exit 3; }}
      {sshd} -f "$(cat offers/$name/sshd)" && ln offers/$name/entry there/$name; echo "ordered $name" ;;
esac
"""


class Provider:
    """`tell` says which pods there are from now on; `fail` lets every command fail with these words."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("there", "offers"):
            (folder / name).mkdir(parents=True)
        self.program = folder / "cloud"
        self.program.write_text(_SCRIPT.format(folder=folder, sshd=SSHD))
        self.program.chmod(0o755)

    def tell(self, *pods: SshPod, **names: Any) -> None:
        """These pods, and by name what stands in place of their way."""
        entries = {pod.name: _entry(pod.name, f"ssh {pod.alias} -p {pod.port}") for pod in pods}
        entries |= {name: _entry(name, way) for name, way in names.items()}
        (self._folder / "broken").unlink(missing_ok=True)
        for old in (self._folder / "there").iterdir():
            old.unlink()
        for name, entry in entries.items():
            # What is told is in the file, whatever the name is.
            (self._folder / "there" / name.replace("/", "_")).write_text(json.dumps(entry))

    def offer(self, pod: SshPod) -> None:
        """Let `up --name` start this pod; it is not running yet."""
        pod.start()
        pod.stop()
        folder = self._folder / "offers" / pod.name
        folder.mkdir()
        (folder / "entry").write_text(json.dumps(_entry(pod.name, f"ssh {pod.alias} -p {pod.port}")))
        (folder / "sshd").write_text(str(pod.root / "sshd_config"))
        (folder / "pid").symlink_to(pod.root / "sshd.pid")

    def fail(self, words: str) -> None:
        (self._folder / "broken").write_text(words)

    @property
    def asked(self) -> list[str]:
        """The words of each command it was asked."""
        path = self._folder / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def source(self, ssh_config: Path, **keys: Any) -> dict[str, Any]:
        """The entry for `pod_sources`."""
        mapping = {"items": "pods[]", "name": "name", "ssh": "login", "price_per_hour": "price"}
        return {"command": f"{self.program} ps", **mapping, "pod": {"ssh_config": str(ssh_config)}, **keys}

    def end(self) -> None:
        """End the servers it started."""
        for file in (self._folder / "offers").glob("*/pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(file.read_text()), signal.SIGTERM)


def _entry(name: str, way: Any) -> dict[str, Any]:
    return {"name": name, "login": way, "price": 1.25}
