"""What processes of ours are started from: the zipapp, or its unpacked copy, whose modules are compiled already.

Compiling them anew would be most of the time between a submit and its run's first instruction.
"""

import os
import sys

from podops_runners.typed import List

_SUFFIX = ".pyz"

#: Stands in the copy: a line `SIZE PATH` for each of its files. The bootstrap of a link reads it, too.
_SIZES = "sizes"


def archive() -> str:
    """The zipapp this process was started from, also when that was its unpacked copy."""
    started_from = os.path.abspath(sys.argv[0])
    beside = started_from + _SUFFIX
    return beside if os.path.isdir(started_from) and os.path.isfile(beside) else started_from


def command(*arguments: str) -> List[str]:
    """The command line that starts a process of ours: from the unpacked copy where there is a whole one."""
    place = archive()
    copy = _copy_of(place)
    # The file in it, not the directory: that would cost the import of `runpy`.
    started = os.path.join(copy, "__main__.py") if _is_whole(copy) else place
    return [sys.executable or "python3", "-I", "-S", started] + list(arguments)


def unpack() -> None:
    """Make the unpacked copy beside the zipapp unless it is there, and whole.

    Never raises: without it all works, but slower.

    The caller must be single-threaded: it forks.
    """
    place = archive()
    copy = _copy_of(place)
    if not copy or _is_whole(copy):
        return
    try:
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            return
    except OSError:
        return
    # In a process of its own, as what a compiler takes of memory is never given back.
    try:
        # A lock that its parent holds must end with its parent.
        os.closerange(3, 1024)
        _make(place, copy)
    finally:
        os._exit(0)


def restart(*arguments: str) -> None:
    """Go on as a new program in this process, from the unpacked copy; returns when it is from there, or cannot be.

    What compiling has taken of memory is given back in no other way.
    """
    wanted = command(*arguments)
    if wanted[3] != archive() and not os.path.isfile(__file__):
        try:
            os.execv(wanted[0], wanted)
        except OSError:
            pass


def _copy_of(place: str) -> str:
    return place[: -len(_SUFFIX)] if place.endswith(_SUFFIX) else ""


def _is_whole(copy: str) -> bool:
    """Whether every file of the copy is there in its size: cleaners of caches and full disks take single ones."""
    try:
        with open(os.path.join(copy, _SIZES), encoding="utf-8") as stream:
            lines = [line.split(" ", 1) for line in stream.read().splitlines()]
        return bool(lines) and all(os.path.getsize(os.path.join(copy, name)) == int(size) for size, name in lines)
    except (OSError, ValueError):
        return False


def _make(place: str, copy: str) -> None:
    import shutil
    import tempfile

    fresh = tempfile.mkdtemp(prefix=".unpacking-", dir=os.path.dirname(copy))
    try:
        _unpack(place, fresh, copy)
        _note_sizes(fresh)
        if os.path.isdir(copy):
            os.rename(copy, os.path.join(fresh, "damaged"))
            shutil.rmtree(os.path.join(fresh, "damaged"), ignore_errors=True)
        os.rename(fresh, copy)
    except Exception:  # a full disk, or another agent that was quicker
        shutil.rmtree(fresh, ignore_errors=True)


def _unpack(place: str, fresh: str, final: str) -> None:
    import zipfile

    with zipfile.ZipFile(place) as stored:
        stored.extractall(fresh)
    for folder, _, names in os.walk(fresh):
        for name in names:
            if name.endswith(".py"):
                _compile(os.path.join(folder, name), final + os.path.join(folder, name)[len(fresh) :])


def _note_sizes(copy: str) -> None:
    lines = []
    for folder, _, names in os.walk(copy):
        for path in (os.path.join(folder, name) for name in names):
            lines.append("{} {}\n".format(os.path.getsize(path), os.path.relpath(path, copy)))
    with open(os.path.join(copy, _SIZES), "w", encoding="utf-8") as stream:
        stream.writelines(lines)
        stream.flush()
        os.fsync(stream.fileno())


def _compile(path: str, told: str) -> None:
    """Compile one module; it and its source outlive a power cut, since half of either would stop every later start."""
    import py_compile

    compiled = py_compile.compile(path, dfile=told, doraise=True)
    for written in (path, compiled):
        if written:
            with open(written, "rb") as stream:
                os.fsync(stream.fileno())
