"""Turning a spec into a run directory and a supervisor that works on it."""

import errno
import os
import shutil
import sys
import tempfile
import time
from typing import Any, Callable, Dict, List, Optional

from podops_runners import creds, git_state, gpu_claims, outputs_root, process, protocol, records, states, tmux
from podops_runners.command_script import render_command, render_script
from podops_runners.rundir import RunDir
from podops_runners.runfiles import event, iso, layout_of
from podops_runners.runid import is_valid_run_id, session_name
from podops_runners.submit_error import SubmitError

#: What of the pod's own environment a run sees; anything else could be somebody's secret.
_BASE_ENVIRONMENT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH")

#: What a rerun over an old directory leaves where it is.
_KEPT_IN_PLACE = ("checkpoints", "wandb")


def submit_run(
    spec: Dict[str, Any], *, force: bool, pyz: str, gpus: Callable[[], List[Dict[str, Any]]]
) -> Dict[str, Any]:
    """Write the run directory and start its supervisor.

    `pyz` is the archive to start it from, `gpus` gives the GPUs as last seen. Returns `run_id`, `run_dir`, `session`,
    `command` and `state`. Raises `SubmitError`, and then leaves nothing behind but what was there before.
    """
    spec = _checked(spec)
    root = _outputs_root(spec["outputs_dir"])
    run = RunDir(os.path.join(root, spec["run_id"]), layout_of(spec))
    settings = spec.get("tmux") or {}
    with_tmux = bool(settings.get("enabled", True))
    if with_tmux and tmux.available() is None:
        raise SubmitError(
            protocol.E_NO_TMUX,
            "tmux is not installed on pod {}".format(spec["pod"]),
            "apt-get install tmux on the pod, or set tmux.enabled: false",
        )
    _refuse_existing(run, force)
    resolved = _resolve(spec, run)
    resolved["gpus"] = _claim_gpus(spec.get("gpus"), run, gpus)
    session = session_name(str(settings.get("session_prefix", "run")), run.run_id) if with_tmux else None
    try:
        _publish(run, resolved, session, force)
    except OSError as error:
        _release(resolved, run)
        raise _disk_error(error, run.path)
    _launch(run, resolved, pyz, session)
    return {
        "run_id": run.run_id,
        "run_dir": run.path,
        "session": session,
        "command": resolved["command"],
        "state": states.STARTING,
    }


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
    return SubmitError(
        protocol.E_UNWRITABLE,
        "cannot write to {}: {}".format(path, error.strerror or error),
        "make it writable for this user, or set remote_outputs_dir to a directory that is",
    )


def _refuse_existing(run: RunDir, force: bool) -> None:
    if not os.path.lexists(run.path):
        return
    claim, _ = records.read_record(run.claim)
    if claim and (process.is_alive(claim.get("supervisor")) or process.is_alive(claim.get("child"))):
        raise SubmitError(protocol.E_EXISTS, "run {} is still running".format(run.run_id), "kill it first")
    if not force:
        raise SubmitError(
            protocol.E_EXISTS,
            "run {} exists already in {}".format(run.run_id, run.path),
            "choose another --run-id, or --force to run again and keep the old files as *.bak-<time>",
        )


def _resolve(spec: Dict[str, Any], run: RunDir) -> Dict[str, Any]:
    """The spec with everything that only the pod knows filled in."""
    base = {name: value for name, value in os.environ.items() if name in _BASE_ENVIRONMENT or name.startswith("LC_")}
    wandb = spec.get("wandb") or {}
    have_creds = creds.ensure_wandb_credentials(wandb.get("ensure_creds_script"), base)
    declared = dict(spec.get("env") or {})
    mode = wandb.get("mode", "auto")
    if mode != "auto":
        declared.setdefault("WANDB_MODE", mode)
    elif not have_creds:
        # Without credentials wandb would end the run; offline keeps the data for a later `wandb sync`.
        declared.setdefault("WANDB_MODE", "offline")
    declared.setdefault("WANDB_DIR", run.path)
    parts, command = render_command(spec["command_parts"], run, have_creds)
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
    )


def _claim_gpus(request: Any, run: RunDir, gpus: Callable[[], List[Dict[str, Any]]]) -> Optional[Dict[str, Any]]:
    if not isinstance(request, dict):
        return None
    try:
        indices = gpu_claims.claim(request, run.path, gpus())
    except gpu_claims.NoGpuError as error:
        raise SubmitError(protocol.E_NO_GPU, str(error), "wait for one, choose another pod, or ask for fewer")
    except OSError as error:
        raise _disk_error(error, "/tmp")
    return dict(request, indices=indices)


def _release(spec: Dict[str, Any], run: RunDir) -> None:
    if spec.get("gpus"):
        try:
            gpu_claims.release(run.path)
        except OSError:
            pass


def _publish(run: RunDir, spec: Dict[str, Any], session: Optional[str], force: bool) -> None:
    """Write every record beside the outputs, then move them into place at once: no reader sees half a run."""
    gpus = (spec.get("gpus") or {}).get("indices")
    spec["env"].update(gpu_claims.visible_devices(gpus))
    staging = tempfile.mkdtemp(prefix=".new-", dir=os.path.dirname(run.path))
    try:
        os.chmod(staging, 0o755)
        staged = RunDir(staging, run.layout)
        os.mkdir(staged.private)
        records.write_record(staged.spec, spec)
        records.write_bytes(staged.command, render_script(spec).encode("utf-8", "surrogateescape"), 0o755)
        records.write_record(staged.metadata, _metadata(spec, session))
        records.write_record(staged.config_effective, _config_effective(spec))
        event(staged, "submitted", preset=spec["preset"], by=spec.get("user"), client=spec.get("client"))
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


def _metadata(spec: Dict[str, Any], session: Optional[str]) -> Dict[str, Any]:
    git = dict(spec.get("git") or {})
    git.update(git_state.read(spec["workdir"]))
    return {
        "run_id": spec["run_id"],
        "project": spec.get("project"),
        "preset": spec["preset"],
        "kind": spec["kind"],
        "pod": {"name": spec["pod"], "host": os.uname().nodename, "id": process.machine_id()},
        "git": git,
        "created": spec.get("created_at") or iso(),
        "submitted": iso(),
        "started": None,
        "user": spec.get("user"),
        "client": spec.get("client"),
        "gpus": (spec.get("gpus") or {}).get("indices"),
        "attempt": 1,
        "tmux": {"session": session, "socket": (spec.get("tmux") or {}).get("socket")},
        "tags": spec.get("tags") or [],
    }


def _config_effective(spec: Dict[str, Any]) -> Dict[str, Any]:
    return {
        "config": spec.get("config"),
        "overrides": spec.get("overrides") or {},
        "derived": spec.get("derived") or {},
        "command": spec["command"],
        "env": spec["env"],
    }


def _launch(run: RunDir, spec: Dict[str, Any], pyz: str, session: Optional[str]) -> None:
    command = [sys.executable or "python3", "-I", "-S", pyz, "supervise", run.path]
    try:
        if session is None:
            _detach(command)
        else:
            tmux.new_session(str(spec["tmux"].get("socket") or "podops"), session, command, run.path)
    except (tmux.TmuxError, OSError) as error:
        summary = {"run_id": run.run_id, "ok": False, "state": states.FAILED, "reason": "spawn_failed"}
        summary.update(detail=str(error), exit_code=None, signal=None, ended_at=iso(), ended=time.time(), attempts=1)
        records.write_record(run.summary, summary)
        raise SubmitError(protocol.E_FAILED, "run {} could not be started: {}".format(run.run_id, error))


def _detach(command: List[str]) -> None:
    """Start a supervisor that no terminal and no link can take along when it goes."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.execve(command[0], command, tmux.clean_environment())
    finally:
        os._exit(127)
