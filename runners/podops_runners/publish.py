"""A run's directory appears with all its records, or not at all."""

import os
import shutil
import tempfile
import time

from podops_runners import records, submit_records, ticket
from podops_runners.command_script import render_script
from podops_runners.rundir import RunDir
from podops_runners.runfiles import event
from podops_runners.ticket import Ticket
from podops_runners.typed import Any, Dict, Optional

#: What a rerun over an old directory leaves where it is.
_KEPT_IN_PLACE = ("checkpoints", "wandb")


def publish(run: RunDir, spec: Dict[str, Any], session: Optional[str], place: Ticket, force: bool) -> None:
    """Write every record beside the outputs, then move them into place at once: no reader sees half a run.

    Raises `OSError`.
    """
    staging = tempfile.mkdtemp(prefix=".new-", dir=os.path.dirname(run.path))
    try:
        os.chmod(staging, 0o755)
        staged = RunDir(staging, run.layout)
        os.mkdir(staged.private)
        records.write_record(staged.spec, spec)
        records.write_bytes(staged.command, render_script(spec, run).encode("utf-8", "surrogateescape"), 0o755)
        records.write_record(staged.metadata, submit_records.metadata(spec, session))
        records.write_record(staged.config_effective, submit_records.config_effective(spec))
        ticket.write(staged, place)
        if (spec.get("queue") or {}).get("hold"):
            records.write_bytes(staged.held, b"")
        event(staged, "submitted", preset=spec["preset"], by=spec.get("user"), client=spec.get("client"))
        for text in spec["warnings"]:
            event(staged, "warning", detail=text)
        if os.path.isdir(run.path) and force:
            _move_over(staging, run.path)
        else:
            os.rename(staging, run.path)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _move_over(staging: str, target: str) -> None:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for name in os.listdir(target):
        if name not in _KEPT_IN_PLACE and ".bak-" not in name:
            os.rename(os.path.join(target, name), os.path.join(target, "{}.bak-{}".format(name, stamp)))
    for name in os.listdir(staging):
        os.rename(os.path.join(staging, name), os.path.join(target, name))
    os.rmdir(staging)
