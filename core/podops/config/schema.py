"""From a parsed document to the typed project: which keys there are, and what each takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

from podops.config.document import Value
from podops.config.model import (
    ArtifactContract,
    GpuRequest,
    HistoryConfig,
    OverrideStyle,
    PodConfig,
    Policies,
    PresetConfig,
    ProjectConfig,
    QueueConfig,
    StorageConfig,
    TmuxConfig,
    WandbConfig,
    WandbMode,
)
from podops.config.pod_keys import check_pod_path, read_pod
from podops.config.policy_keys import read_policies, read_service
from podops.config.provision_keys import read_provision
from podops.config.reader import NAME_RULE, Section, is_name
from podops.config.source_keys import read_sources
from podops.errors import ConfigFault, UsageError

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OVERRIDE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")


def build_project(
    document: Value, sources: tuple[Path, ...], environ: Mapping[str, str], faults: list[ConfigFault]
) -> ProjectConfig:
    """The typed project. Every fault found is added to `faults`; the result is only good when there are none."""
    top = Section(document, "", faults, environ)
    project = top.section("project")
    name = project.name("name", "")
    if not name and not project.has("name") and not project.malformed:
        project.fault(None, "project.name is missing", "every project file needs `project: {name: …}`")
    outputs = environ.get("REMOTE_OUTPUTS_DIR") or project.path_text("remote_outputs_dir")
    project.raw("remote_outputs_dir")
    outputs = outputs or f"/mnt/runs/{name or 'project'}"
    check_pod_path(project, "remote_outputs_dir", outputs)
    repo_dir, repo_url = project.path_text("remote_repo_dir"), project.text("remote_repo_url")
    python = project.path_text("venv_python")
    project.done()
    defaults = top.section("defaults")
    policies = read_policies(defaults, Policies())
    defaults.done()
    places = PodConfig("", outputs_dir=outputs, repo_dir=repo_dir, venv_python=python)
    config = ProjectConfig(
        name=name,
        outputs_dir=outputs,
        repo_dir=repo_dir,
        repo_url=repo_url,
        venv_python=python,
        storage=_storage(top.section("storage")),
        tmux=_tmux(top.section("tmux")),
        artifacts=_artifacts(top.section("artifact_contract")),
        queue=_queue(top.section("queue")),
        history=_history(top.section("history")),
        pods={key: read_pod(entry, key, places) for key, entry in _entries(top.section("pods"))},
        sources=sources,
        pod_sources=read_sources(top, places),
    )
    config = replace(config, provision=read_provision(top.section("provision"), config))
    config = replace(config, presets=_presets(top.section("presets"), policies, config))
    top.done()
    return config


def _entries(section: Section) -> list[tuple[str, Section]]:
    found = []
    for key in section.names():
        entry = section.section(key)
        if is_name(key):
            found.append((key, entry))
        else:
            entry.fault(entry.value, f"{key[:80]!r} cannot be a name in {section.path}", NAME_RULE)
    return found


def _storage(section: Section) -> StorageConfig:
    wandb = section.section("wandb")
    storage = StorageConfig(
        hf_home=section.path_text("hf_home"),
        datasets_root=section.path_text("datasets_root"),
        env_files=section.texts("env_files") or (),
        wandb=WandbConfig(
            mode=cast(WandbMode, wandb.choice("mode", get_args(WandbMode), "auto")),
            project=wandb.text("project"),
            ensure_creds_script=wandb.path_text("ensure_creds_script"),
        ),
    )
    wandb.done()
    section.done()
    return storage


def _tmux(section: Section) -> TmuxConfig:
    standard = TmuxConfig()
    interval = section.duration("watch_interval_sec", standard.watch_interval_s)
    if interval is None or interval < 0.2:
        section.fault(section.raw("watch_interval_sec"), "tmux.watch_interval_sec must be 0.2 seconds or more")
        interval = standard.watch_interval_s
    tmux = TmuxConfig(
        enabled=section.flag("enabled", standard.enabled),
        session_prefix=section.name("session_prefix", standard.session_prefix),
        watch_interval_s=interval,
        heartbeat_file=section.name("heartbeat_file", standard.heartbeat_file),
        socket=section.name("socket", standard.socket),
    )
    section.done()
    return tmux


def _artifacts(section: Section) -> ArtifactContract:
    standard = ArtifactContract()
    required = section.texts("required")
    for name in required or ():
        if name.startswith("/") or ".." in name.split("/"):
            section.fault(section.raw("required"), f"artifact_contract.required: {name!r} leaves the run directory")
    contract = ArtifactContract(
        required=standard.required if required is None else required,
        completion_file=section.name("completion_file", standard.completion_file),
    )
    section.done()
    return contract


def _queue(section: Section) -> QueueConfig:
    standard = QueueConfig()
    busy = section.size("gpu_busy_memory", standard.gpu_busy_bytes)
    section.done()
    return QueueConfig(standard.gpu_busy_bytes if busy is None else busy)


def _history(section: Section) -> HistoryConfig:
    standard = HistoryConfig()
    enabled, most = section.flag("enabled", standard.enabled), section.size("max_size", standard.max_bytes)
    if most is None or most < 2**20:
        section.fault(section.raw("max_size"), "history.max_size must be 1MiB or more", "enabled: false keeps none")
        most = standard.max_bytes
    section.done()
    return HistoryConfig(enabled, most)


def _presets(section: Section, standard: Policies, config: ProjectConfig) -> dict[str, PresetConfig]:
    found = {}
    for name, entry in _entries(section):
        before = len(entry.faults)
        found[name] = _preset(entry, name, standard)
        if len(entry.faults) == before:
            _check_command(entry, found[name], config)
    return found


def _check_command(section: Section, preset: PresetConfig, config: ProjectConfig) -> None:
    """Faults that show only when the command is made: an unknown placeholder, what its kind cannot do without."""
    from podops.kinds.registry import KindInput, kind_of

    try:
        kind_of(preset.kind).build(KindInput(config, config.plain_pod(), preset, preset.overrides))
    except UsageError as error:
        section.fault(section.raw("command"), error.message, error.hint)


def _preset(section: Section, name: str, standard: Policies) -> PresetConfig:
    from podops.kinds.registry import kind_options

    known = _kind(section)
    kind = known or "command"
    service = section.section("service") if section.has("service") else None
    preset = PresetConfig(
        name=name,
        kind=kind,
        command=section.text("command"),
        overrides=_overrides(section),
        override_style=_style(section),
        gpus=_gpus(section),
        env=_environment(section),
        workdir=section.path_text("workdir"),
        policies=read_policies(section, standard),
        priority=section.whole("priority", -1000, 1000) or 0,
        env_files=section.texts("env_files") or (),
        checkpoints=section.text("checkpoints"),
        resume=section.flag("resume", False),
        service=read_service(service, needs_port="port" not in kind_options(kind)) if service is not None else None,
        metrics_pattern=_pattern(section),
        tags=section.texts("tags") or (),
        description=section.text("description") or "",
        options={key: section.plain(key) for key in kind_options(kind) if section.has(key)},
    )
    for key in kind_options(kind):
        section.raw(key)
    if known in ("command", "train", "eval") and not (preset.command or "").strip():
        section.fault(None, f"{section.path}.command is missing", f"kind {kind!r} runs a shell line")
    section.done()
    return preset


def _kind(section: Section) -> str | None:
    """`None` when it is missing or unknown, and that was told."""
    from podops.kinds.registry import is_kind, kind_names

    kind = section.text("kind")
    if kind is None:
        if not section.malformed:
            section.fault(None, f"{section.path}.kind is missing", f"known: {', '.join(sorted(kind_names()))}")
    elif not is_kind(kind):
        section.choice("kind", kind_names(), "")
        return None
    return kind


def _overrides(section: Section) -> dict[str, Any]:
    value = section.plain("overrides")
    if value is None:
        return {}
    if not isinstance(value, dict):
        section.fault(section.raw("overrides"), f"{section.path}.overrides must be a mapping")
        return {}
    for key in value:
        if not _OVERRIDE_KEY.match(key):
            section.fault(section.raw("overrides"), f"{section.path}.overrides: {key!r} cannot be a key")
    return value


def _style(section: Section) -> OverrideStyle | None:
    if not section.has("override_style"):
        section.raw("override_style")
        return None
    return cast(OverrideStyle, section.choice("override_style", get_args(OverrideStyle), "keyval"))


def _gpus(section: Section) -> GpuRequest:
    value = section.raw("gpus")
    if value is None:
        return None
    data = value.plain()
    if data == "all":
        return "all"
    if isinstance(data, int) and not isinstance(data, bool) and 0 <= data <= 1024:
        return data or None
    if isinstance(data, list) and data and all(type(item) is int and item >= 0 for item in data):
        return tuple(data)
    section.fault(value, f"{section.path}.gpus must be a number, `all`, or a list of indices")
    return None


def _environment(section: Section) -> dict[str, str]:
    value = section.plain("env")
    if value is None:
        return {}
    if not isinstance(value, dict):
        section.fault(section.raw("env"), f"{section.path}.env must be a mapping of names to texts")
        return {}
    for key in value:
        if not _ENV_NAME.match(key):
            section.fault(section.raw("env"), f"{section.path}.env: {key[:80]!r} cannot be the name of a variable")
    return {key: _env_text(item) for key, item in value.items()}


def _env_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _pattern(section: Section) -> str | None:
    text = section.text("metrics_pattern")
    if text is None:
        return None
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        section.fault(section.raw("metrics_pattern"), f"{section.path}.metrics_pattern: {error}")
        return None
    if not groups:
        hint = r"such as (?P<step>\d+) … (?P<loss>[\d.]+)"
        section.fault(section.raw("metrics_pattern"), f"{section.path}.metrics_pattern names no group", hint)
    return text
