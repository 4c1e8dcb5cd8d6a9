"""Turning a spec into a run directory and a supervisor that works on it."""

import errno
import os
import tempfile
import time

from podops_runners import (
    agent_process,
    creds,
    launch,
    machine,
    outputs_root,
    protocol,
    publish,
    queue_gate,
    records,
    run_claim,
    run_queue,
    states,
    ticket,
    tmux,
    waiting,
)
from podops_runners.command_script import render_command
from podops_runners.environment import EnvironmentFileError, base_environment, declared_in_files
from podops_runners.rundir import RunDir
from podops_runners.runfiles import layout_of
from podops_runners.runid import is_valid_run_id, session_name
from podops_runners.submit_error import SubmitError
from podops_runners.ticket import Ticket
from podops_runners.typed import Any, Callable, Dict, List, Optional

#: Kept from submit to submit of one process: what waits need not be read again.
_queue = run_queue.Queue()


def submit_run(
    spec: Dict[str, Any], *, force: bool, gpus: Callable[[], List[Dict[str, Any]]], simulated: int = 0
) -> Dict[str, Any]:
    """Write the run directory, and start the run at once when nothing stands in its way; else it waits in the queue.

    `gpus` gives the GPUs as last seen, `simulated` tells how many of them are not real. Returns `run_id`, `run_dir`,
    `session`, `command`, `state`, `warnings` and, for a run that waits, `why`. Raises `SubmitError`, and then leaves
    nothing behind but what was there before.
    """
    spec = _checked(spec)
    root = _outputs_root(spec["outputs_dir"])
    run = RunDir(os.path.join(root, spec["run_id"]), layout_of(spec))
    _require_tmux(spec)
    begun = _begun_before(run, spec)
    if begun is not None:
        return _begin(run, begun, gpus, simulated)
    _refuse_existing(run, force)
    place = _ticket(spec, run)
    spec["gpus"] = check_gpus(spec.get("gpus"), str(spec["pod"]), gpus, bool(simulated))
    resolved = _resolve(spec, run)
    _refuse_unreadable(resolved)
    try:
        with run_queue.taking(root):
            _refuse_closed(str(spec["pod"]))
            _refuse_existing(run, force)  # again: it may have waited before, and have started since
            publish.publish(run, resolved, _session(resolved), place, force)
    except OSError as error:
        raise _disk_error(error, run.path)
    return _begin(run, resolved, gpus, simulated)


def _refuse_closed(pod: str) -> None:
    if queue_gate.is_closed():
        raise SubmitError(
            protocol.E_REFUSED, "pod {} takes no more runs: it is being ended".format(pod), "start the demo again"
        )


def _refuse_unreadable(spec: Dict[str, Any]) -> None:
    if not records.fits(spec):
        raise SubmitError(
            protocol.E_USAGE,
            "run {} is too long to be recorded: more than {} MiB".format(
                spec["run_id"], records.MAX_RECORD_BYTES >> 20
            ),
            "put what is long into a file, and name the file in the override",
        )


def _require_tmux(spec: Dict[str, Any]) -> None:
    if (spec.get("tmux") or {}).get("enabled", True) and tmux.available() is None:
        raise SubmitError(
            protocol.E_NO_TMUX,
            "tmux is not installed on pod {}".format(spec["pod"]),
            "apt-get install tmux on the pod, or set tmux.enabled: false",
        )


def _session(spec: Dict[str, Any]) -> Optional[str]:
    """The tmux session the run will be in; `None` where the project does without."""
    settings = spec.get("tmux") or {}
    if not settings.get("enabled", True):
        return None
    return session_name(str(settings.get("session_prefix", "run")), spec["run_id"])


def _session_told(run: RunDir) -> Optional[str]:
    """The session it is in, which has another name where another project's run has taken the first."""
    metadata, _ = records.read_record(run.metadata)
    settings = (metadata or {}).get("tmux")
    session = settings.get("session") if isinstance(settings, dict) else None
    return session if isinstance(session, str) else None


def _begun_before(run: RunDir, spec: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """The stored spec, when this very request has made the run and its answer was lost, or half of its work."""
    stored, _ = records.read_record(run.spec)
    request_id = spec.get("request_id")
    return stored if stored is not None and request_id and stored.get("request_id") == request_id else None


def _begin(
    run: RunDir, spec: Dict[str, Any], gpus: Callable[[], List[Dict[str, Any]]], simulated: int
) -> Dict[str, Any]:
    """Start a published run, or leave it in the queue; the answer to its submit. May be done twice."""
    root = _root_of(spec, simulated)
    try:
        machine.register_root(root)
    except OSError as error:
        raise _disk_error(error, run.path)
    place = ticket.read(run) or _ticket(spec, run)
    state, why = _start(run, spec, place, root, gpus)
    agent_process.ensure_running(spec.get("tmux"))
    machine.wake_agent()
    return {
        "run_id": run.run_id,
        "run_dir": run.path,
        "session": _session_told(run),
        "command": spec["command"],
        "state": state,
        "why": why,
        "warnings": [*(spec.get("warnings") or []), *_hopeless(run, root, place)],
    }


def _hopeless(run: RunDir, root: machine.Root, place: ticket.Ticket) -> List[str]:
    """That it can never start, where a run it comes after has ended otherwise than it was to."""
    verdict, text = ("go", "") if os.path.exists(run.claim) else waiting.parents(run, root, place)
    return ["it can never start: {}".format(text)] if verdict == "fail" else []


def _ended(run: RunDir) -> Optional["tuple[str, str]"]:
    """The state of one that has ended, and why it did where it has never been started."""
    summary, _ = records.read_record(run.summary)
    if summary is None:
        return None
    return str(summary.get("state")), "" if os.path.exists(run.claim) else str(summary.get("detail") or "")


def _start(
    run: RunDir, spec: Dict[str, Any], place: Ticket, root: machine.Root, gpus: Callable[[], List[Dict[str, Any]]]
) -> "tuple[str, str]":
    ended = _ended(run)
    if ended is not None:
        return ended
    if waiting.is_held(run):
        return states.HELD, states.AWAITS_RELEASE
    why: Dict[str, str] = {}
    waits = spec.get("gpus") or place.after or place.after_any or place.not_before > time.time()
    try:
        if waits:
            why = _queue.start_what_can(root, _others(root), lambda _: gpus())
        else:
            _launch_unless_cancelled(run, spec)
    except FileExistsError:
        pass  # the agent was quicker
    except OSError as error:
        raise _disk_error(error, run.path)
    if os.path.exists(run.claim):
        return states.STARTING, ""
    return _ended(run) or (states.QUEUED, why.get(run.path, ""))


def _others(root: machine.Root) -> List[machine.Root]:
    return [known for known in machine.roots() if known.outputs_dir != root.outputs_dir]


def _launch_unless_cancelled(run: RunDir, spec: Dict[str, Any]) -> None:
    """Who cancels a waiting run holds the lock as well: it is cancelled or claimed, never both."""
    with machine.locked(run_queue.lock_of(os.path.dirname(run.path))):
        token = None if os.path.exists(run.summary) else run_claim.create(run, (), 1)
    if token is not None:
        launch.begin(run, spec, token)


def _checked(spec: Dict[str, Any]) -> Dict[str, Any]:
    if not isinstance(spec, dict):
        raise SubmitError(protocol.E_USAGE, "the spec is not an object")
    run_id = spec.get("run_id")
    if not isinstance(run_id, str) or not is_valid_run_id(run_id):
        raise SubmitError(
            protocol.E_USAGE,
            "{!r} cannot be a run id".format(run_id),
            "use letters, digits, '.', '_' and '-'",
        )
    for key, kind in (("outputs_dir", str), ("command_parts", list), ("preset", str), ("kind", str)):
        if not isinstance(spec.get(key), kind):
            raise SubmitError(protocol.E_USAGE, "the spec of {} has no valid {!r}".format(run_id, key))
    return dict(spec, pod=str(spec.get("pod") or "?"))


def _outputs_root(text: str) -> str:
    root = outputs_root.resolve(text)
    missing = outputs_root.missing(root)
    if missing:
        raise SubmitError(protocol.E_UNWRITABLE, missing, outputs_root.cure_for_missing(root))
    try:
        os.makedirs(root, exist_ok=True)
        descriptor, probe = tempfile.mkstemp(prefix=".probe-", dir=root)
        try:
            os.write(descriptor, b"x" * 4096)
        finally:
            os.close(descriptor)
            os.unlink(probe)
    except OSError as error:
        raise _disk_error(error, root)
    return root


def _disk_error(error: OSError, path: str) -> SubmitError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SubmitError(protocol.E_DISK_FULL, "no space left on {}".format(path), "free some space on that volume")
    named = str(error.filename or "")
    beside = bool(named) and not named.startswith(os.path.dirname(path))
    return SubmitError(
        protocol.E_UNWRITABLE,
        "cannot write to {}: {}".format(os.path.dirname(named) if beside else path, error.strerror or error),
        "make it writable for this user" + ("" if beside else ", or set remote_outputs_dir to a directory that is"),
    )


def _refuse_existing(run: RunDir, force: bool) -> None:
    if not os.path.lexists(run.path):
        return
    claim, _ = records.read_record(run.claim)
    if claim and not os.path.exists(run.summary):
        raise SubmitError(protocol.E_EXISTS, "run {} is still running".format(run.run_id), "kill it first")
    if not force:
        raise SubmitError(
            protocol.E_EXISTS,
            "run {} exists already in {}".format(run.run_id, run.path),
            "choose another --run-id, or --force to run again and keep the old files as *.bak-<time>",
        )


def _resolve(spec: Dict[str, Any], run: RunDir) -> Dict[str, Any]:
    """The spec with everything that only the pod knows filled in."""
    base = base_environment()
    declared = dict(spec.get("env") or {})
    mode = (spec.get("wandb") or {}).get("mode", "auto")
    credentials = creds.ensure_for(spec, declared, base)
    have_creds = credentials.found or _key_is_declared(spec)
    if mode != "auto":
        declared.setdefault("WANDB_MODE", mode)
    elif not have_creds:
        # Without credentials wandb would end the run; offline keeps the data for a later `wandb sync`.
        declared.setdefault("WANDB_MODE", "offline")
    declared.setdefault("WANDB_DIR", run.path)
    parts, command = render_command(
        spec["command_parts"],
        run,
        have_creds,
        gpus=(spec.get("gpus") or {}).get("number", 0),
    )
    workdir = os.path.abspath(os.path.expanduser(spec["workdir"])) if spec.get("workdir") else run.path
    if workdir != run.path and not os.path.isdir(workdir):
        raise SubmitError(
            protocol.E_NOT_FOUND,
            "the working directory {} does not exist on pod {}".format(workdir, spec["pod"]),
            "clone the repository there, or set remote_repo_dir or workdir",
        )
    return dict(
        spec,
        outputs_dir=os.path.dirname(run.path),
        run_dir=run.path,
        command_parts=parts,
        command=command,
        workdir=workdir,
        base_env=base,
        env=declared,
        warnings=[creds.warning(credentials)] if credentials.problem else [],
    )


def _key_is_declared(spec: Dict[str, Any]) -> bool:
    """Whether an environment file will give the run a W&B key; one that cannot be read fails the run at its start."""
    try:
        return bool(declared_in_files(spec).get("WANDB_API_KEY"))
    except EnvironmentFileError:
        return False


def check_gpus(
    request: Any, pod: str, gpus: Callable[[], List[Dict[str, Any]]], simulated: bool
) -> Optional[Dict[str, Any]]:
    """The request with its number of GPUs; refuses what this pod can never give. Raises `SubmitError`."""
    if not isinstance(request, dict):
        return None
    there = {sample["index"] for sample in gpus()}
    indices = request.get("indices")
    if isinstance(indices, list):
        lacking = sorted(index for index in indices if index not in there)
        count = len(indices)
    else:
        count = len(there) if request.get("all") else int(records.number(request.get("count")) or 0)
        lacking = []
    if lacking or count > len(there) or not count:
        many = "1 GPU" if count == 1 else "{} GPUs".format(count or "all")
        asked = "GPU {}".format(", ".join(str(index) for index in lacking)) if lacking else many
        have = "GPUs {}".format(", ".join(str(index) for index in sorted(there))) if there else "no GPU"
        raise SubmitError(
            protocol.E_NO_GPU,
            "{} asked for, but pod {} has {}".format(asked, pod, have),
            "choose another pod, or ask for fewer with --gpus",
        )
    return dict(request, number=count, simulated=simulated)


def _ticket(spec: Dict[str, Any], run: RunDir) -> Ticket:
    try:
        place = ticket.from_spec(spec)
    except ValueError as error:
        raise SubmitError(protocol.E_USAGE, str(error))
    root = os.path.dirname(run.path)
    pending, seen = list(place.after + place.after_any), set()  # type: List[str], set[str]
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if name == run.run_id:
            raise SubmitError(protocol.E_USAGE, "run {} would come after itself".format(name))
        parent = RunDir(os.path.join(root, name), run.layout)
        if not is_valid_run_id(name) or not os.path.isdir(parent.path):
            raise SubmitError(
                protocol.E_NOT_FOUND, "there is no run {} here to come after".format(name), "see `ops run list`"
            )
        above = ticket.read(parent)
        pending.extend(above.after + above.after_any if above else ())
    return place


def _root_of(spec: Dict[str, Any], simulated: int) -> machine.Root:
    settings = spec.get("tmux") or {}
    return machine.Root(
        os.path.dirname(spec["run_dir"]),
        str(spec.get("project") or ""),
        str(spec["pod"]),
        layout_of(spec),
        str(settings.get("socket") or "podops") if settings.get("enabled", True) else None,
        simulated,
        int(records.number(spec.get("gpu_busy_bytes")) or machine.BUSY_MEMORY),
    )
