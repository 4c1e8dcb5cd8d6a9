"""The pod side as one file: a zipapp of `podops_runners` and `pynvml.py`, the same bytes for the same sources."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import zipfile
from pathlib import Path

_MAIN = """\
import sys
import podops_runners
# Started from the unpacked copy, of which a cleaner of old files may have taken some: the rest is in the archive.
podops_runners.__path__.append(sys.path[0] + ".pyz/podops_runners")
from podops_runners.__main__ import main
sys.exit(main(sys.argv[1:]))
"""

#: The oldest time a zip file can tell; a fixed one makes the archive depend on its content alone.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@functools.cache
def pod_archive() -> tuple[bytes, str]:
    """The archive and its SHA-256 in hex. It needs no installation: `python3 -I -S <file> link`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        root = _directory_of("podops_runners")
        for source in sorted(root.rglob("*.py")):
            _add(archive, f"podops_runners/{source.relative_to(root).as_posix()}", source.read_bytes())
        pynvml = _module_file("pynvml")
        if pynvml is not None:
            _add(archive, "pynvml.py", pynvml.read_bytes())
    data = buffer.getvalue()
    return data, hashlib.sha256(data).hexdigest()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _directory_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


def _module_file(name: str) -> Path | None:
    # Found, not imported: importing pynvml costs 40 ms that no command should pay.
    spec = importlib.util.find_spec(name)
    return Path(spec.origin) if spec is not None and spec.origin else None
