"""The pod side as one file: a zipapp of `podops_runners` and `pynvml.py`, the same bytes for the same sources.

Beside `pynvml.py` stands `pynvml_part.py`, the lines of it that are used: that is what a pod loads.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from podops.state_dir import private_directory, state_dir, write_whole

_MAIN = """\
import sys
home = __file__.rpartition("/")[0]
if sys.path[0] != home:  # started as a file, which is sooner: Python needs `runpy` for a directory
    sys.path.insert(0, home)
    sys.argv[0] = home
import podops_runners
# Started from the unpacked copy, of which a cleaner of old files may have taken some: the rest is in the archive.
podops_runners.__path__.append(home + ".pyz/podops_runners")
from podops_runners.__main__ import main
sys.exit(main(sys.argv[1:]))
"""

#: The oldest time a zip file can tell; a fixed one makes the archive depend on its content alone.
_EPOCH = (1980, 1, 1, 0, 0, 0)


#: So many archives are kept besides the newest: of other versions that are still in use.
_KEPT = 3

#: What asks NVML.
_ASKERS = "podops_runners/gpu/"

_making = threading.Lock()


def pod_archive() -> tuple[bytes, str]:
    """The archive and its SHA-256 in hex. It needs no installation: `python3 -I -S <file> link`."""
    # All links of a fleet ask at once, each in a thread.
    with _making:
        return _made()


def is_made() -> bool:
    """Whether `pod_archive` has nothing left to do."""
    return _made.cache_info().currsize > 0


@functools.cache
def _made() -> tuple[bytes, str]:
    sources = _sources()
    try:
        data = _kept(sources)
    except OSError:
        data = _built(sources)
    return data, hashlib.sha256(data).hexdigest()


def _sources() -> list[tuple[str, Path]]:
    """What goes into the archive, by the names it has there."""
    root = _directory_of("podops_runners")
    found = [(f"podops_runners/{path.relative_to(root).as_posix()}", path) for path in sorted(root.rglob("*.py"))]
    pynvml = _module_file("pynvml")
    return found if pynvml is None else [*found, ("pynvml.py", pynvml)]


def _kept(sources: list[tuple[str, Path]]) -> bytes:
    """The archive as it was built before from the same files, else built and kept. Raises `OSError`."""
    makers = [("", path) for path in (Path(__file__), Path(__file__).with_name("pynvml_part.py"))]
    stats = [(name, str(path), (found := path.stat()).st_mtime_ns, found.st_size) for name, path in [*makers, *sources]]
    key = hashlib.sha256(str(stats).encode()).hexdigest()[:32]
    directory = private_directory(state_dir(os.environ) / "pod-side")
    for file in directory.glob(f"{key}-*.pyz"):
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() == file.stem.partition("-")[2]:
            return data
    data = _built(sources)
    for older in sorted(directory.glob("*.pyz"), key=lambda file: file.stat().st_mtime)[:-_KEPT]:
        older.unlink(missing_ok=True)
    write_whole(directory / f"{key}-{hashlib.sha256(data).hexdigest()}.pyz", data)
    return data


def _built(sources: list[tuple[str, Path]]) -> bytes:
    # Here, because a command finds the archive built.
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in _members(sources):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def _members(sources: list[tuple[str, Path]]) -> Iterator[tuple[str, bytes]]:
    from podops.link.pynvml_part import used_part

    yield "__main__.py", _MAIN.encode()
    for name, path in sources:
        yield name, path.read_bytes()
        if name == "pynvml.py":
            # Without the part, the whole is loaded.
            with contextlib.suppress(SyntaxError):
                users = [user.read_text("utf-8") for where, user in sources if where.startswith(_ASKERS)]
                yield "pynvml_part.py", used_part(path.read_text("utf-8"), users).encode()


def _directory_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


def _module_file(name: str) -> Path | None:
    # Found, not imported: importing pynvml costs 40 ms that no command should pay.
    spec = importlib.util.find_spec(name)
    return Path(spec.origin) if spec is not None and spec.origin else None
