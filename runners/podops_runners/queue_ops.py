"""What a user may do to a waiting run: hold it, release it, cancel it, move it forward or to another pod."""

import os

from podops_runners import launch, machine, moving, protocol, records, run_queue, states, ticket, waiting
from podops_runners.rundir import RunDir
from podops_runners.runfiles import event
from podops_runners.submit_error import SubmitError
from podops_runners.typed import Any, Callable, Dict, Optional


def change(run: RunDir, action: str, by: str, value: Any = None) -> Dict[str, Any]:
    """Do `action` (hold, release, cancel, priority, move, stay, take) to a waiting run; its `state` afterwards, and
    `changed`: false when it was so before.

    Nothing under the run's outputs root starts meanwhile. `move` notes that the run goes to another pod
    (`moving`), `stay` takes that back, `take` removes the run once the other pod has it. Raises `SubmitError` when the
    run does not wait, else `OSError`.
    """
    actions: Dict[str, Callable[[RunDir, str, Any], Dict[str, Any]]] = {
        "hold": _hold,
        "release": _release,
        "cancel": _cancel,
        "priority": _prioritise,
        "move": _move,
        "stay": _stay,
        "take": _take,
    }
    if action not in actions:
        raise SubmitError(protocol.E_USAGE, "unknown queue action {!r}".format(action))
    with machine.locked(run_queue.lock_of(os.path.dirname(run.path))):
        if action == "cancel" and _is_cancelled(run):
            return {"state": states.CANCELLED, "ended": True}  # asked for twice
        _must_wait(run, action)
        _must_be_ours(run, action)
        answer = actions[action](run, by, value)
    machine.wake_agent()
    return answer


def _is_cancelled(run: RunDir) -> bool:
    summary, _ = records.read_record(run.summary)
    return (summary or {}).get("state") == states.CANCELLED


def _must_wait(run: RunDir, action: str) -> None:
    if os.path.exists(run.summary):
        problem, hint = "has ended", "see `ops run status {}`".format(run.run_id)
    elif os.path.exists(run.claim):
        problem, hint = "has started", "end it with `ops run kill {}`".format(run.run_id)
    elif not os.path.exists(run.ticket):
        problem, hint = "was never in the queue", "see `ops queue list`"
    else:
        return
    change = "change the priority of" if action == "priority" else action
    raise SubmitError(protocol.E_REFUSED, "cannot {} run {}: it {}".format(change, run.run_id, problem), hint)


def _must_be_ours(run: RunDir, action: str) -> None:
    """On a volume that pods share, only the pod whose queue a run is in holds the lock for changing it."""
    place = ticket.read(run)
    here = os.path.dirname(run.path)
    root = next((root for root in machine.roots() if root.outputs_dir == here), machine.Root(here))
    if place is not None and not waiting.is_ours(place, root):
        told = "cannot {} run {} from here: it waits on pod {}".format(action, run.run_id, place.pod)
        raise SubmitError(protocol.E_REFUSED, told, "name that pod: --pod {}".format(place.pod))


def _hold(run: RunDir, by: str, _: Any) -> Dict[str, Any]:
    if os.path.exists(run.held):
        return {"state": states.HELD, "changed": False}
    records.write_bytes(run.held, b"")
    event(run, "held", by=by)
    return {"state": states.HELD}


def _release(run: RunDir, by: str, _: Any) -> Dict[str, Any]:
    way = moving.of(run)
    if way is not None:
        # The other pod may have it: released here, it might run twice.
        told = "run {} is on its way to pod {}, which may have it already".format(run.run_id, way["to"])
        hint = "`ops queue move {} --to {}` finishes that, `ops queue cancel` ends it here"
        raise SubmitError(protocol.E_REFUSED, told, hint.format(run.run_id, way["to"]))
    if not os.path.exists(run.held):
        return {"state": states.QUEUED, "changed": False}
    os.unlink(run.held)
    event(run, "released", by=by)
    return {"state": states.QUEUED}


def _cancel(run: RunDir, by: str, _: Any) -> Dict[str, Any]:
    launch.end_unstarted(run, states.CANCELLED, "user_kill", "cancelled by {} before it started".format(by))
    return {"state": states.CANCELLED, "ended": True}


def _prioritise(run: RunDir, by: str, value: Any) -> Dict[str, Any]:
    wanted = records.number(value)
    place = ticket.read(run)
    if wanted is None or not ticket.LOWEST <= wanted <= ticket.HIGHEST or place is None:
        raise SubmitError(protocol.E_USAGE, "a priority lies between {} and {}".format(ticket.LOWEST, ticket.HIGHEST))
    ticket.write(run, place._replace(priority=int(wanted)))
    event(run, "priority", by=by, priority=int(wanted))
    return {"state": states.HELD if waiting.is_held(run) else states.QUEUED, "priority": int(wanted)}


def _move(run: RunDir, by: str, value: Any) -> Dict[str, Any]:
    known = moving.is_on_its_way(run)
    way = moving.set_out(run, value)
    if way is None:
        raise SubmitError(protocol.E_USAGE, "a move needs the pod it goes to, and an id")
    if not known:
        event(run, "moving", by=by, to=way["to"])
    return {"state": states.HELD, "to": way["to"], "move_id": way["id"], "held": os.path.exists(run.held)}


def _stay(run: RunDir, by: str, value: Any) -> Dict[str, Any]:
    _must_be_the_move(run, value)
    moving.stay(run)
    event(run, "stays", by=by)
    return {"state": states.HELD if os.path.exists(run.held) else states.QUEUED}


def _take(run: RunDir, by: str, value: Any) -> Dict[str, Any]:
    _must_be_the_move(run, value)
    moving.remove(run)
    return {"state": "moved", "by": by}


def _must_be_the_move(run: RunDir, move_id: Any) -> None:
    way = moving.of(run)
    if way is None or way["id"] != move_id:
        raise SubmitError(protocol.E_REFUSED, "run {} is not on its way under this id".format(run.run_id))


def cancel_if_waiting(run: RunDir, by: str) -> Optional[Dict[str, Any]]:
    """Cancel a run that has not started; `None` when it has."""
    if os.path.exists(run.claim) or os.path.exists(run.summary) or not os.path.exists(run.ticket):
        return None
    try:
        return change(run, "cancel", by)
    except SubmitError:
        return None
