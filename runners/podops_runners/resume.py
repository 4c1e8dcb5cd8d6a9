"""The newest checkpoint of a run that can be trusted to be whole."""

import glob
import json
import os
import re

from podops_runners.rundir import RunDir
from podops_runners.typed import List, Optional

#: What training programs leave behind: files of torch and Lightning, directories of Hugging Face.
_USUAL = ("checkpoints/**/*.pt", "checkpoints/**/*.pth", "checkpoints/**/*.ckpt", "checkpoints/checkpoint-*")

_UNFINISHED = re.compile(r"(\.tmp|\.part|\.partial|\.incomplete|~)$", re.I)


def newest_checkpoint(run: RunDir, pattern: Optional[str] = None) -> Optional[str]:
    """The path of the newest whole checkpoint under the run directory; `None` when there is none.

    `pattern` is a glob relative to the run directory. What is still being written is passed over: names that say so,
    empty files, torch archives without their end, Hugging Face directories without a readable `trainer_state.json`.
    """
    patterns = [pattern] if pattern else list(_USUAL)
    found: List[str] = []
    for one in patterns:
        found.extend(glob.glob(os.path.join(glob.escape(run.path), one), recursive=True))
    for path in sorted(set(found), key=_modified, reverse=True):
        if _inside(path, run.path) and _is_whole(path):
            return path
    return None


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _inside(path: str, directory: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(directory) + os.sep)


def _is_whole(path: str) -> bool:
    if _UNFINISHED.search(os.path.basename(path)):
        return False
    if os.path.isdir(path):
        return _whole_directory(path)
    try:
        with open(path, "rb") as stream:
            head = stream.read(4)
    except OSError:
        return False
    import zipfile  # here, because a first attempt has no checkpoint to look at

    # A torch archive is a zip file: its table of contents stands at the end, so a cut one has none.
    return zipfile.is_zipfile(path) if head == b"PK\x03\x04" else bool(head)


def _whole_directory(path: str) -> bool:
    try:
        names = os.listdir(path)
        if "trainer_state.json" in names:
            with open(os.path.join(path, "trainer_state.json"), "rb") as stream:
                json.load(stream)
    except (OSError, ValueError):
        return False
    return bool(names) and not any(_UNFINISHED.search(name) for name in names)
