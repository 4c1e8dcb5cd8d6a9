"""`vllm_serve`: `vllm serve MODEL --port …`, ready once `/v1/models` answers."""

from __future__ import annotations

import posixpath
import shlex
from dataclasses import replace
from typing import Any

from podops.config.model import ServiceConfig
from podops.errors import UsageError
from podops.kinds.overrides import write_overrides
from podops.kinds.registry import KindInput, KindOutput

_DEFAULT_PORT = 8000


def vllm_serve(given: KindInput) -> KindOutput:
    """`args` and overrides become flags with dashes: `tensor_parallel_size: 8` is `--tensor-parallel-size 8`.

    The port is the preset's `port`; its `service` section tells the rest.
    """
    preset, options = given.preset, given.preset.options
    overrides = dict(given.overrides)
    model = overrides.pop("model", options.get("model"))
    port = overrides.pop("port", options.get("port", _DEFAULT_PORT))
    if not isinstance(model, str) or not model:
        raise UsageError(f"preset {preset.name} has no `model`", "vllm_serve needs `model: organisation/name`")
    if port != "auto" and (not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535):
        raise UsageError(f"preset {preset.name}: port {port!r} is not a port number", "1 to 65535, or auto")
    args = options.get("args") or {}
    if not isinstance(args, dict):
        raise UsageError(f"preset {preset.name}: `args` must be a mapping of vLLM's options")
    flags: dict[str, Any] = {key.replace("_", "-"): value for key, value in (args | overrides).items()}
    words = [_program(given.pod.venv_python), "serve", model, "--port"]
    number = {"ref": "port"} if port == "auto" else str(port)
    parts = [" ".join(shlex.quote(word) for word in words) + " ", number, *write_overrides(flags, "flags")]
    chosen = preset.service or ServiceConfig(port)
    return KindOutput(
        tuple(parts),
        workdir=preset.workdir or given.pod.repo_dir,
        service=replace(chosen, port=port),
        derived={"model": model, "port": port},
    )


def _program(venv_python: str | None) -> str:
    """vLLM's command stands beside the Python it was installed for."""
    return posixpath.join(posixpath.dirname(venv_python), "vllm") if venv_python else "vllm"
