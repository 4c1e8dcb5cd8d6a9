"""The pod side as it lies where podops was used before: built by its client, and uploaded, unpacked and compiled.

To do all that anew for every test would be a good part of the time that they take.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from podops.link.pod_archive import pod_archive

_UNPACK = (
    "import sys; sys.path.insert(0, sys.argv[1]); sys.argv = sys.argv[1:]; "
    "from podops_runners import program; program.unpack()"
)


def put_beside(pyz: Path, python: str = sys.executable) -> None:
    """The archive, and beside it the copy that this Python has compiled."""
    compiled = _compiled(python)
    shutil.copy(compiled, pyz)
    shutil.copytree(compiled.with_suffix(""), pyz.with_suffix(""))


def put_on_pod(home: Path, python: str) -> None:
    """Where a link to a pod with this home looks for it."""
    place = home / ".cache/podops"
    place.parent.mkdir()
    place.mkdir(mode=0o700)
    put_beside(place / f"podops-{pod_archive()[1]}.pyz", python)


def put_on_client(home: Path) -> None:
    """Where whoever connects from this home keeps what was built."""
    place = home / ".local/state/podops"
    place.mkdir(mode=0o700, parents=True)
    shutil.copytree(_built(), place / "pod-side")


@functools.cache
def _place() -> Path:
    place = Path(tempfile.mkdtemp(prefix="podops-test-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


@functools.cache
def _built() -> Path:
    state = _place() / "state"
    code = "from podops.link.pod_archive import pod_archive; pod_archive()"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OPS_STATE_DIR": str(state)})
    return state / "pod-side"


@functools.cache
def _compiled(python: str) -> Path:
    pyz = Path(tempfile.mkdtemp(dir=_place())) / "podops.pyz"
    pyz.write_bytes(pod_archive()[0])
    subprocess.run([python, "-I", "-S", "-c", _UNPACK, str(pyz)], check=True, env={"PATH": os.environ["PATH"]})
    return pyz
