"""The folder that holds every run directory, and whether a missing one may be made.

A missing root is most often a volume that is not mounted. Runs written in its place would land on the machine's own
disk, and be out of sight once the volume is back. So a root is made only where no volume can be missing: below the
user's home, or on a file system that is mounted.
"""

import os

from podops_runners.typed import Optional

#: For one that is not a directory, may not be written to or cannot be made.
CURE_FOR_UNUSABLE = "make it a directory that this user can write to, or set remote_outputs_dir to one"


def resolve(text: str) -> str:
    """The absolute path of an outputs root; `~/` is the user's home."""
    return os.path.abspath(os.path.expanduser(text))


def existing_part(path: str) -> str:
    """The nearest parent of `path` (or itself) that exists."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def may_be_made(root: str) -> bool:
    """Whether a submit makes the missing `root` by itself."""
    place = existing_part(root)
    home = os.path.realpath(os.path.expanduser("~"))
    below_home = home != "/" and os.path.commonpath([home, os.path.realpath(place)]) == home
    return below_home or os.stat(place).st_dev != os.stat("/").st_dev


def missing(root: str) -> Optional[str]:
    """What to say of a root that does not exist and is not made; `None` for any other."""
    if os.path.lexists(root) or may_be_made(root):
        return None
    return "{} does not exist: its volume is not mounted, or it was never made".format(root)


def cannot_be_made(root: str) -> Optional[str]:
    """Why a missing `root` cannot be made by anybody but an administrator of the pod, as far as can be seen without
    trying; `None` where nothing is in the way."""
    place = root
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        return "{} is not a directory".format(place)
    if os.access(place, os.W_OK | os.X_OK):
        return None
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return "{} is on a read-only file system".format(place)
    return "this user may not write to {}".format(place)


def cure_for_missing(root: str) -> str:
    return "mount the volume; on a new one: mkdir -p {} there, or let `ops doctor --fix` make it".format(root)


def problem(root: str) -> Optional[str]:
    """Why no run can be written below `root`, as far as can be seen without writing; `None` when it looks well."""
    if not os.path.lexists(root):
        why = cannot_be_made(root)
        return missing(root) or (why and "{} does not exist and cannot be made: {}".format(root, why))
    if not os.path.isdir(root):
        return "{} is not a directory".format(root)
    return None if os.access(root, os.W_OK | os.X_OK) else "{} is not writable".format(root)
