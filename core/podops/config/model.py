"""The project file as typed, immutable values; what every other module reads. `load` makes it, nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

OverrideStyle = Literal["keyval", "flags", "literal"]
OnStall = Literal["flag", "kill", "retry"]
OnMaxLog = Literal["punch", "end"]
OnNan = Literal["flag", "stop"]
OnUnhealthy = Literal["flag", "restart"]
InputType = Literal["string", "int", "float", "bool", "choice"]
WandbMode = Literal["auto", "online", "offline", "disabled"]
Scalar = str | int | float | bool | None
#: What an override may hold: a scalar, or a list or mapping of them (written as a Python or JSON literal).
OverrideValue = Scalar | list["OverrideValue"] | dict[str, "OverrideValue"]
#: `None`: no GPU claimed. A number: any that are free. "all": every one. A tuple: these indices.
GpuRequest = int | Literal["all"] | tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class WandbConfig:
    mode: WandbMode = "auto"
    project: str | None = None
    ensure_creds_script: str | None = None


@dataclass(frozen=True, slots=True)
class StorageConfig:
    hf_home: str | None = None
    datasets_root: str | None = None
    #: Files on the pod with `NAME=value` lines, for every run.
    env_files: tuple[str, ...] = ()
    wandb: WandbConfig = WandbConfig()


@dataclass(frozen=True, slots=True)
class TmuxConfig:
    enabled: bool = True
    session_prefix: str = "run"
    watch_interval_s: float = 20.0
    heartbeat_file: str = "heartbeat.txt"
    #: tmux socket name (`tmux -L NAME`) of the server we start on each pod.
    socket: str = "podops"


@dataclass(frozen=True, slots=True)
class ArtifactContract:
    required: tuple[str, ...] = ("command.sh", "run_metadata.json", "stdout.log", "summary.json")
    completion_file: str = "summary.json"


@dataclass(frozen=True, slots=True)
class QueueConfig:
    #: A GPU with more memory in use belongs to somebody else's process.
    gpu_busy_bytes: int = 512 * 2**20


@dataclass(frozen=True, slots=True)
class HistoryConfig:
    """What this machine keeps of pods and runs; `max_bytes` bounds the file of all projects."""

    enabled: bool = True
    max_bytes: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """`max` further attempts. `on` empty: the pod's standard set of reasons that may pass by themselves."""

    max: int = 0
    on: tuple[str, ...] = ()
    exit_codes: tuple[int, ...] = ()
    backoff_s: float = 10.0
    backoff_max_s: float = 600.0
    unless_log_matches: str | None = None


@dataclass(frozen=True, slots=True)
class Policies:
    """Seconds and bytes; `None` is never. `grace_s` lies between SIGINT and SIGTERM, and again before SIGKILL."""

    timeout_s: float | None = 24 * 3600.0
    #: Whether the preset says it itself: only then it holds for a service, which is meant to run till somebody ends it.
    timeout_said: bool = False
    stall_timeout_s: float | None = 30 * 60.0
    on_stall: OnStall = "flag"
    grace_s: float = 30.0
    max_log_bytes: int | None = None
    on_max_log: OnMaxLog = "punch"
    on_nan: OnNan = "flag"
    retries: RetryConfig = RetryConfig()


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """A run that serves: ready once `http://127.0.0.1:port` + `health` answers 200."""

    port: int | Literal["auto"]
    health: str = "/v1/models"
    ready_timeout_s: float | None = None
    on_unhealthy: OnUnhealthy = "flag"


@dataclass(frozen=True, slots=True)
class PodConfig:
    """One pod. Exactly one of `ssh`, `local` and `docker` is set; directories are the project's unless it says else."""

    name: str
    local: bool = False
    #: `alias`, `host` or `user@host`, as the OpenSSH client takes it.
    ssh: str | None = None
    #: A container, by name or id.
    docker: str | None = None
    #: `unix://…`, `tcp://…` or `ssh://…`; `None`: where the docker command would look.
    docker_host: str | None = None
    #: Who commands run as in the container; `None`: the image's own user.
    user: str | None = None
    port: int | None = None
    identity_file: str | None = None
    #: An OpenSSH client configuration file to use instead of `~/.ssh/config`.
    ssh_config: str | None = None
    price_per_hour: float | None = None
    tags: tuple[str, ...] = ()
    outputs_dir: str = ""
    repo_dir: str | None = None
    venv_python: str | None = None
    #: The pod source that told of it; empty for one of the project file.
    source: str = ""
    #: What its provider calls it, where that is not its name.
    source_id: str | None = None
    #: Unix time since which its source tells of it no more.
    gone_since: float | None = None
    #: Set by the demo alone: shows this many simulated GPUs, labelled as simulated everywhere.
    simulated_gpus: int = 0

    @property
    def address(self) -> str:
        """How it is reached, as a person says it."""
        if self.local:
            return "local"
        if self.docker:
            return f"docker {self.docker}" + (f" at {self.docker_host}" if self.docker_host else "")
        return f"ssh {self.ssh}" + (f":{self.port}" if self.port else "")

    @property
    def transport(self) -> str:
        return "local" if self.local else "docker" if self.docker else "ssh"


@dataclass(frozen=True, slots=True)
class PresetConfig:
    """One preset. `options` holds the keys that belong to its kind alone (`config`, `model`, `args`, …)."""

    name: str
    kind: str
    command: str | None = None
    overrides: Mapping[str, OverrideValue] = field(default_factory=dict)
    override_style: OverrideStyle | None = None
    gpus: GpuRequest = None
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str | None = None
    policies: Policies = Policies()
    priority: int = 0
    #: Files on the pod with `NAME=value` lines; read when the run starts, their values recorded nowhere.
    env_files: tuple[str, ...] = ()
    #: Glob of checkpoints in the run directory; `None`: what is usual.
    checkpoints: str | None = None
    #: The first attempt, too, starts from a checkpoint when there is one (a rerun over an old directory).
    resume: bool = False
    service: ServiceConfig | None = None
    metrics_pattern: str | None = None
    tags: tuple[str, ...] = ()
    description: str = ""
    options: Mapping[str, OverrideValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodSource:
    """A provider's own command that tells in JSON which pods there are. Everything in `fields` is JMESPath."""

    name: str
    command: tuple[str, ...]
    #: What each pod's keys are, taken from one item: `name`, and `ssh`, `host` or `docker` at least.
    fields: Mapping[str, str]
    #: Where the items are in the answer.
    items: str = "@"
    #: Items for which this is not true are left out.
    filter: str | None = None
    #: A second command for each item, whose answer is laid over it; `{key}` is a key of the item.
    detail: tuple[str, ...] = ()
    interval_s: float = 60.0
    timeout_s: float = 30.0
    #: How long a pod that is told of no more is still shown.
    keep_gone_s: float = 24 * 3600.0
    #: What all of its pods have in common.
    pod: PodConfig = PodConfig("")


@dataclass(frozen=True, slots=True)
class InputConfig:
    """A value that making a pod takes; `default` of `None` and no `optional` means that it must be given."""

    name: str
    type: InputType = "string"
    default: str | int | float | bool | None = None
    #: May be left out: its words then stand in no command.
    optional: bool = False
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    #: The option that stands in front of it: `--gpu`; of a bool, the option itself.
    flag: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class ProvisionConfig:
    """How pods are made at one provider: words of commands, with `{input}`, `{name}`, `{id}` and the time to live."""

    name: str
    up: tuple[str, ...]
    rm: tuple[str, ...]
    #: The pod source that tells of what was made.
    source: str
    inputs: Mapping[str, InputConfig] = field(default_factory=dict)
    #: How long a pod lives; `None`: until it is removed.
    ttl_s: float | None = None
    price_per_hour: float | None = None
    #: Prints what a pod with these inputs costs for an hour.
    price: tuple[str, ...] = ()
    #: A script run on the pod once it answers.
    bootstrap: str | None = None
    timeout_s: float = 900.0
    ready_timeout_s: float = 900.0


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    name: str
    #: The project's outputs root; a pod may have its own (`PodConfig.outputs_dir` is always filled in).
    outputs_dir: str
    repo_dir: str | None = None
    repo_url: str | None = None
    venv_python: str | None = None
    storage: StorageConfig = StorageConfig()
    tmux: TmuxConfig = TmuxConfig()
    artifacts: ArtifactContract = ArtifactContract()
    queue: QueueConfig = QueueConfig()
    history: HistoryConfig = HistoryConfig()
    pods: Mapping[str, PodConfig] = field(default_factory=dict)
    presets: Mapping[str, PresetConfig] = field(default_factory=dict)
    #: The files it was read from, in the order they were merged.
    sources: tuple[Path, ...] = ()
    pod_sources: tuple[PodSource, ...] = ()
    provision: Mapping[str, ProvisionConfig] = field(default_factory=dict)

    def plain_pod(self) -> PodConfig:
        """A pod with nothing of its own, for what can be said before one is chosen."""
        return PodConfig("(any)", outputs_dir=self.outputs_dir, repo_dir=self.repo_dir, venv_python=self.venv_python)
