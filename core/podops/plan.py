"""From a preset to the exact thing that will run: pure, before any pod is touched."""

from __future__ import annotations

import getpass
import posixpath
import shlex
import socket
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from podops.config.model import GpuRequest, PodConfig, PresetConfig, ProjectConfig, ServiceConfig
from podops.config.reader import nearest
from podops.errors import NotFoundError, PodopsError, UsageError
from podops.kinds.epochs import epochs_in
from podops.kinds.near_miss import near_miss
from podops.kinds.overrides import parse_overrides
from podops.kinds.registry import KindInput, KindOutput, kind_of
from podops_runners.command_script import python_literal, torchrun
from podops_runners.runid import is_valid_run_id, new_run_id, session_name


@dataclass(frozen=True, slots=True)
class SubmitPlan:
    """What `--dry-run` prints and `submit` sends. `spec` has the shape of `run_spec.json` (docs/protocol.md)."""

    pod: str
    run_id: str
    preset: str
    kind: str
    run_dir: str
    session: str | None
    #: The shell line as it will run; a value only the pod knows is shown as `key=<auto>`.
    command: str
    workdir: str | None
    spec: dict[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """When a run may start. `not_before` is Unix time; `after` and `after_any` are full run ids of the same pod."""

    priority: int | None = None
    after: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()
    delay_s: float | None = None
    not_before: float | None = None
    hold: bool = False


def plan_submit(
    config: ProjectConfig,
    preset: str,
    pod: str,
    *,
    overrides: Sequence[str] = (),
    run_id: str | None = None,
    gpus: GpuRequest = None,
    ref: str | None = None,
    tags: Sequence[str] = (),
    place: QueuePlace | None = None,
) -> SubmitPlan:
    """Resolve `preset` for `pod`. `overrides` are `KEY=VALUE` as typed.

    Raises `NotFoundError` for an unknown preset or pod, `UsageError` for an override or run id that cannot be taken.
    """
    chosen, target = _preset(config, preset), _pod(config, pod)
    if run_id is not None and not is_valid_run_id(run_id):
        raise UsageError(f"{run_id!r} cannot be a run id", "use letters, digits, '.', '_' and '-', no '..', up to 100")
    parsed = parse_overrides(overrides, chosen.overrides)
    values = dict(chosen.overrides) | parsed
    output = kind_of(chosen.kind).build(KindInput(config, target, chosen, values))
    name = run_id or new_run_id(preset)
    run_dir = posixpath.join(target.outputs_dir, name)
    spec = _spec(config, chosen, target, output, name)
    spec["overrides"] = {"given": dict(text.split("=", 1) for text in overrides), "parsed": values}
    spec["gpus"] = _gpus(chosen.gpus if gpus is None else gpus)
    spec["queue"] = _place(place or QueuePlace(), chosen.priority)
    spec["git"] = {"url": config.repo_url, "ref": ref}
    spec["tags"] = [*chosen.tags, *tags]
    return SubmitPlan(
        pod=target.name,
        run_id=name,
        preset=chosen.name,
        kind=chosen.kind,
        run_dir=run_dir,
        session=session_name(config.tmux.session_prefix, name) if config.tmux.enabled else None,
        command=shown_command(output.parts, run_dir, name, spec["gpus"]),
        workdir=output.workdir,
        spec=spec,
        warnings=_mistyped(chosen, parsed),
    )


def _mistyped(preset: PresetConfig, typed: Collection[str]) -> tuple[str, ...]:
    """What is probably not meant as it was typed; it is passed on all the same."""
    args = preset.options.get("args")
    known = [*preset.overrides, *(args if isinstance(args, dict) else ())]
    # Where the kind has `args`, a dash and an underscore are the same.
    same = "args" in kind_of(preset.kind).options
    meant = [(key, near_miss(key.replace("-", "_") if same else key, known)) for key in typed if key not in known]
    return tuple(f"preset {preset.name} has no {key!r}; did you mean {name!r}?" for key, name in meant if name)


def override_fault(config: ProjectConfig, preset: str, text: str) -> str | None:
    """What is wrong with one `KEY=VALUE`, or `None`: for checking while it is typed."""
    try:
        parse_overrides([text], _preset(config, preset).overrides)
    except PodopsError as error:
        return error.message
    return None


def shown_command(parts: Sequence[Any], run_dir: str, run_id: str, gpus: Mapping[str, Any] | None) -> str:
    """The parts as one line, with what only the pod decides marked as such."""
    wanted = gpus or {"count": 1}
    count = "<gpus>" if wanted.get("all") else str(wanted.get("count") or len(wanted.get("indices") or "1"))
    return "".join(_shown(part, {"run_dir": run_dir, "run_id": run_id, "gpu_count": count}) for part in parts)


def _shown(part: Any, values: Mapping[str, str]) -> str:
    if isinstance(part, str):
        return part
    if "auto" in part:
        return f" {part['auto']}=<auto>"
    if "torchrun" in part:
        return torchrun(part["torchrun"], values["gpu_count"])
    if part["ref"] not in values:
        return f"<{part['ref']}>"
    value = values[part["ref"]] + part.get("suffix", "")
    return shlex.quote(python_literal(value) if part.get("style") == "literal" else value)


def _preset(config: ProjectConfig, name: str) -> PresetConfig:
    if name in config.presets:
        return config.presets[name]
    hint = nearest(name, config.presets) if config.presets else "add one under `presets:` in the project file"
    raise NotFoundError(f"there is no preset {name!r}", hint)


def _pod(config: ProjectConfig, name: str) -> PodConfig:
    if name in config.pods:
        return config.pods[name]
    hint = nearest(name, config.pods) if config.pods else "add one under `pods:` in the project file"
    raise NotFoundError(f"there is no pod {name!r}", hint)


def _gpus(request: GpuRequest) -> dict[str, Any] | None:
    if request is None or request == 0:
        return None
    if request == "all":
        return {"all": True}
    return {"count": request} if isinstance(request, int) else {"indices": list(request)}


def _place(place: QueuePlace, priority: int) -> dict[str, Any]:
    wanted = {
        "priority": priority if place.priority is None else place.priority,
        "after": list(place.after),
        "after_any": list(place.after_any),
        "delay_s": place.delay_s,
        "not_before": place.not_before,
        "hold": place.hold,
    }
    return {name: value for name, value in wanted.items() if value not in (None, [], False, 0)}


def _policies(preset: PresetConfig, service: dict[str, Any] | None) -> dict[str, Any]:
    policies = preset.policies
    spec = asdict(policies) | {
        "timeout_s": policies.timeout_s if service is None or policies.timeout_said else None,
        "checkpoints": preset.checkpoints,
    }
    del spec["timeout_said"]
    if not policies.retries.on:
        del spec["retries"]["on"]
    restarts = service is not None and service["on_unhealthy"] == "restart"
    if not policies.retries.max and (restarts or policies.on_stall == "retry"):
        # Who asks for another attempt without saying how often gets the pod's own number, not none.
        del spec["retries"]["max"]
    return spec


def _spec(
    config: ProjectConfig, preset: PresetConfig, pod: PodConfig, output: KindOutput, run_id: str
) -> dict[str, Any]:
    tmux, wandb = config.tmux, config.storage.wandb
    service = _service(preset, output)
    return {
        "run_id": run_id,
        "project": config.name,
        "preset": preset.name,
        "kind": preset.kind,
        "pod": pod.name,
        "outputs_dir": pod.outputs_dir,
        "layout": {"heartbeat": tmux.heartbeat_file, "completion": config.artifacts.completion_file},
        "command_parts": list(output.parts),
        "workdir": output.workdir,
        "env": _environment(config) | dict(preset.env),
        "config": output.config,
        "derived": _derived(output),
        "policies": _policies(preset, service),
        "env_files": [*config.storage.env_files, *preset.env_files],
        "resume": preset.resume,
        "gpu_busy_bytes": config.queue.gpu_busy_bytes,
        "service": service,
        "metrics_pattern": preset.metrics_pattern,
        "wandb": {
            "mode": wandb.mode,
            "project": wandb.project,
            "ensure_creds_script": wandb.ensure_creds_script,
        },
        "artifacts_required": list(config.artifacts.required),
        "tmux": {"enabled": tmux.enabled, "session_prefix": tmux.session_prefix, "socket": tmux.socket},
        "watch_interval_s": tmux.watch_interval_s,
        "user": _user(),
        "client": socket.gethostname(),
        "created_at": _now(),
    }


def _derived(output: KindOutput) -> dict[str, Any]:
    """What the kind made of the preset, and what stands in the command."""
    epochs = epochs_in(output.parts)
    return dict(output.derived or {}) | ({} if epochs is None else {"total_epochs": epochs})


def _now() -> str:
    """To the millisecond: a script submits several runs in one second, which have an order all the same."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"


def _service(preset: PresetConfig, output: KindOutput) -> dict[str, Any] | None:
    service: ServiceConfig | None = output.service or preset.service
    return None if service is None else asdict(service)


def _environment(config: ProjectConfig) -> dict[str, str]:
    storage = config.storage
    values = {
        "HF_HOME": storage.hf_home,
        "OPS_DATASETS_ROOT": storage.datasets_root,
        "WANDB_PROJECT": storage.wandb.project,
    }
    return {name: value for name, value in values.items() if value}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
