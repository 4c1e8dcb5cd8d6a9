"""Programs by their name. `shutil.which` brings every compression library along."""

import os

from podops_runners.typed import Optional


def find(name: str) -> Optional[str]:
    """The path of the program `name` on our PATH, or `None`."""
    for directory in (os.environ.get("PATH") or os.defpath).split(os.pathsep):
        path = os.path.join(directory or os.curdir, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None
