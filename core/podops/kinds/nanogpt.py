"""`nanogpt_train`: a training script configured by a Python file and `key=<Python literal>` overrides."""

from __future__ import annotations

import posixpath
import shlex

from podops.errors import UsageError
from podops.kinds.overrides import write_overrides
from podops.kinds.registry import KindInput, KindOutput


def nanogpt_train(given: KindInput) -> KindOutput:
    """`python train.py config/x.py out_dir=… key=value`, started where the script lies.

    nanoGPT keeps `train.py` beside the `config` folder, so `examples/nanogpt/config/x.py` runs
    `examples/nanogpt/train.py`; the preset key `script` names another. Checkpoints go into the run directory unless
    the overrides say where. An override `max_iters` tells how many steps there will be.
    """
    options, preset = given.preset.options, given.preset
    config = options.get("config")
    if not isinstance(config, str) or not config:
        raise UsageError(f"preset {preset.name} has no `config`", "nanogpt_train needs `config: path/to/config.py`")
    folder, name = posixpath.split(config)
    base = posixpath.dirname(folder) if posixpath.basename(folder) == "config" else folder
    script = options.get("script")
    script = script if isinstance(script, str) and script else "train.py"
    root = preset.workdir or given.pod.repo_dir
    workdir = posixpath.join(root, base).rstrip("/") if root else (base or None)
    prefix = str(options.get("override_prefix") or "")
    relative = posixpath.relpath(config, base) if base else config
    parts: list[object] = [
        {"torchrun": shlex.quote(given.pod.venv_python or "python3")},
        f" {shlex.quote(script)} {shlex.quote(relative)}",
    ]
    if "out_dir" not in given.overrides:
        parts += [f" {prefix}out_dir=", {"ref": "run_dir", "suffix": "/checkpoints", "style": "literal"}]
    style = preset.override_style or "literal"
    parts += write_overrides(given.overrides, style, prefix=prefix, wandb_mode=given.config.storage.wandb.mode)
    derived: dict[str, object] = {"script": posixpath.join(base, script), "config_name": name}
    steps = given.overrides.get("max_iters")
    if type(steps) is int and steps > 0:
        derived["total_steps"] = steps
    return KindOutput(tuple(parts), workdir=workdir, config=config, derived=derived)
