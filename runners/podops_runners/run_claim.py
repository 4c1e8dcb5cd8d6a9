"""Who works on a run: `.ops/claim.json`. It is created once per start, so that no run is started twice.

Whoever starts a supervisor puts a fresh token into the claim; the supervisor takes the claim only while its token
stands there. So of two supervisors started for one run by a slow and a quick agent, one works and the other leaves.
"""

import os
import time
import zlib

from podops_runners import machine, process, records
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, List, Optional, Sequence


def _lock_of(run: RunDir) -> str:
    """One for each outputs root: a volume that hangs keeps no run of another from its supervisor."""
    return "claims-{:08x}".format(zlib.crc32(os.fsencode(os.path.dirname(run.path))))


def create(run: RunDir, gpus: Sequence[int], attempt: int = 1) -> str:
    """Claim an unclaimed run for this machine; the token its supervisor needs.

    Raises `FileExistsError` when somebody else has it, else `OSError`.
    """
    token = os.urandom(8).hex()
    records.create_record(
        run.claim,
        {
            "token": token,
            "time": time.time(),
            "host": os.uname().nodename,
            "machine_id": process.machine_id(),
            "boot_id": process.boot_id(),
            "attempt": attempt,
            "gpus": list(gpus),
            "by": process.own_identity(),
            "supervisor": None,
            "child": None,
        },
    )
    return token


def renew(run: RunDir, claim: Dict[str, Any]) -> Optional[str]:
    """A fresh token for another supervisor of a run whose own has died; `None` when that is no longer so.

    Raises `OSError`.
    """
    with machine.locked(_lock_of(run)):
        now, _ = records.read_record(run.claim)
        if now is None or now.get("token") != claim.get("token") or process.is_alive(now.get("supervisor")):
            return None
        adoptions = int(records.number(now.get("adoptions")) or 0) + 1
        fresh = dict(
            now,
            token=os.urandom(8).hex(),
            supervisor=None,
            by=process.own_identity(),
            time=time.time(),
            adoptions=adoptions,
        )
        records.write_record(run.claim, fresh)
        return str(fresh["token"])


def take(run: RunDir, token: Optional[str]) -> Optional[Dict[str, Any]]:
    """Become the supervisor of a run; its claim, or `None` when it is another's.

    Without a token (a start by hand) an unclaimed run is claimed.
    """
    try:
        if token is None:
            os.makedirs(run.private, exist_ok=True)
            token = create(run, _gpus_of(run))
        with machine.locked(_lock_of(run)):
            claim, _ = records.read_record(run.claim)
            if claim is None or claim.get("token") != token or process.is_alive(claim.get("supervisor")):
                return None
            claim["supervisor"] = process.own_identity()
            records.write_record(run.claim, claim, durable=False)
            return claim
    except FileExistsError:
        return None


def update(run: RunDir, claim: Dict[str, Any]) -> None:
    """The owner's own change of its claim. Raises `OSError`."""
    records.overwrite_record(run.claim, claim)


def give_up(run: RunDir, claim: Dict[str, Any]) -> bool:
    """Take back a claim whose supervisor never came; whether the run is unclaimed now. Raises `OSError`."""
    with machine.locked(_lock_of(run)):
        now, _ = records.read_record(run.claim)
        if now is None or now.get("token") != claim.get("token") or process.is_alive(now.get("supervisor")):
            return False
        os.unlink(run.claim)
        return True


def _gpus_of(run: RunDir) -> List[int]:
    metadata, _ = records.read_record(run.metadata)
    gpus = (metadata or {}).get("gpus")
    return [index for index in gpus if isinstance(index, int)] if isinstance(gpus, list) else []
