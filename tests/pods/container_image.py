"""A container image from this machine's own files, as no registry is asked: python3, tmux, a shell, little else."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

PROGRAMS = ("tmux", "sh", "bash", "sleep", "cat", "seq", "env", "ls", "tail", "stty", "infocmp", "kill", "rm")

_FOLDERS = ("usr", "usr/bin", "usr/lib", "usr/lib64", "root", "etc", "proc", "sys", "dev", "run", "var", "home/user")
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/bash\n",
    "etc/group": "root:x:0:\nuser:x:1000:\n",
}
_UNUSED = re.compile(r"__pycache__|/test$|/idlelib|/tkinter|/lib2to3|/config-3|/ensurepip")


def write_image(path: Path) -> None:
    """Write the root file system as a tar archive, for `docker import`. Raises `FileNotFoundError`."""
    python = Path("/usr/bin/python3").resolve(strict=True)
    library = Path("/usr/lib") / python.name
    programs = {name: _found(name) for name in PROGRAMS} | {python.name: python}
    extensions = sorted(library.glob("lib-dynload/*.so"))
    with tarfile.open(path, "w") as archive:
        for name in _FOLDERS:
            _folder(archive, name, 0o755)
        _folder(archive, "tmp", 0o1777)
        for name in ("bin", "lib", "lib64"):
            _link(archive, name, f"usr/{name}")
        for name, program in programs.items():
            archive.add(program, f"usr/bin/{name}")
        _link(archive, "usr/bin/python3", python.name)
        for needed in sorted(_libraries([*programs.values(), *extensions])):
            archive.add(Path(needed).resolve(), "usr/" + needed.lstrip("/").removeprefix("usr/"))
        archive.add(library, f"usr/lib/{library.name}", filter=lambda item: None if _UNUSED.search(item.name) else item)
        for terminals in ("/lib/terminfo", "/usr/lib/locale/C.utf8"):
            if Path(terminals).exists():
                archive.add(terminals, "usr/" + terminals.lstrip("/").removeprefix("usr/"))
        for name, text in _FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))


def _found(name: str) -> Path:
    path = shutil.which(name, path="/usr/bin:/bin")
    if path is None:
        raise FileNotFoundError(f"{name} is not on this machine, and the image needs it")
    return Path(path).resolve()


def _libraries(programs: list[Path]) -> set[str]:
    done = subprocess.run(["ldd", *programs], capture_output=True, text=True)
    return set(re.findall(r"(/\S+) \(0x", done.stdout))


def _folder(archive: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def _link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    archive.addfile(entry)
