"""A stand-in for a provider's own command: it tells of the pods that a file lists, and how often it was asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.pods.loopback import SshPod

_SCRIPT = """#!/bin/sh
echo asked >> '{folder}/asked'
[ -e '{folder}/broken' ] && {{ cat '{folder}/broken' >&2; exit 7; }}
cat '{folder}/pods.json'
"""


class Provider:
    """`list` says which pods there are from now on; `fail` lets the command fail with these words."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.program = folder / "cloud"
        self.program.write_text(_SCRIPT.format(folder=folder))
        self.program.chmod(0o755)
        self.list()

    def list(self, *pods: SshPod, **names: Any) -> None:
        """These pods, and by name what stands in place of their way."""
        entries = [{"name": pod.name, "login": f"ssh {pod.alias} -p {pod.port}", "price": 1.25} for pod in pods]
        entries += [{"name": name, "login": way} for name, way in names.items()]
        temporary = self._folder / "new.json"
        temporary.write_text(json.dumps({"pods": entries}))
        temporary.rename(self._folder / "pods.json")
        (self._folder / "broken").unlink(missing_ok=True)

    def fail(self, words: str) -> None:
        (self._folder / "broken").write_text(words)

    @property
    def asked(self) -> int:
        """How often it was asked."""
        path = self._folder / "asked"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def source(self, ssh_config: Path, **keys: Any) -> dict[str, Any]:
        """The entry for `pod_sources`."""
        mapping = {"items": "pods[]", "name": "name", "ssh": "login", "price_per_hour": "price"}
        return {"command": str(self.program), **mapping, "pod": {"ssh_config": str(ssh_config)}, **keys}
