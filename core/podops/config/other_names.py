"""Keys that people write because other tools have them, and what says the same in a project file."""

from __future__ import annotations

_WAYS = "a pod says where it is by `ssh: HOST`, `docker: CONTAINER` or `local: true`"
_LOGIN = "with SSH it stands in `ssh: USER@HOST`"
_OUTPUTS = "outputs_dir output_dir outputs output_root outputs_root runs_dir run_dir runs_root volume"
_REPO = "repo_dir repo workdir working_dir work_dir cwd dir path code_dir"
_PYTHON = "python python_path python_bin interpreter venv"

#: By the first part of a section's path: words, and what to write in their place.
CURES: dict[str, dict[str, str]] = {
    "": {
        f"{_OUTPUTS} remote_outputs_dir": "write `project: {remote_outputs_dir: …}`",
        f"{_REPO} remote_repo_dir": "write `project: {remote_repo_dir: …}`",
        "repo_url git_url remote_repo_url": "write `project: {remote_repo_url: …}`",
        f"{_PYTHON} venv_python": "write `project: {venv_python: …}`",
        "name project_name": "write `project: {name: …}`",
        "transport host hosts ssh local docker": f"write it under `pods: {{NAME: …}}`; {_WAYS}",
        "servers machines nodes clusters targets": "did you mean 'pods'?",
        "jobs runs tasks experiments templates commands": "did you mean 'presets'?",
        "wandb hf_home datasets_root env_files": "it belongs in `storage`",
        "timeout stall_timeout retries grace": "it belongs in `defaults`, or in a preset",
        "env environment": "it belongs in a preset, as `env`",
    },
    "project": {
        _OUTPUTS: "did you mean 'remote_outputs_dir'?",
        _REPO: "did you mean 'remote_repo_dir'?",
        "repo_url git_url git url": "did you mean 'remote_repo_url'?",
        _PYTHON: "did you mean 'venv_python'?",
    },
    "pods": {
        "transport type kind via connection": _WAYS,
        "host hostname host_name address ip addr": "write `ssh: HOST` or `ssh: USER@HOST`",
        "username user_name login": _LOGIN,
        "key key_file keyfile ssh_key private_key identity": "did you mean 'identity_file'?",
        "container container_name image": "did you mean 'docker'?",
        _OUTPUTS: "did you mean 'remote_outputs_dir'?",
        _REPO: "did you mean 'remote_repo_dir'?",
        _PYTHON: "did you mean 'venv_python'?",
        "gpu gpus gpu_count num_gpus": "a pod's GPUs are found by themselves; a preset says how many it needs",
        "price cost price_hour": "did you mean 'price_per_hour'?",
    },
    "presets": {
        "cmd run exec script entrypoint shell": "did you mean 'command'?",
        "args arguments params parameters hyperparameters": "did you mean 'overrides'?",
        "type": "did you mean 'kind'?",
        "environment envs env_vars": "did you mean 'env'?",
        "cwd dir working_dir work_dir": "did you mean 'workdir'?",
        "max_time time_limit walltime time": "did you mean 'timeout'?",
        "gpu num_gpus n_gpus gpu_count": "did you mean 'gpus'?",
        "port": "write `service: {port: …}`",
        "pod pods host": "a submit chooses it: `ops run submit --pod NAME`",
        "after depends_on needs": "a submit says it: `ops run submit --after RUN`",
        f"{_PYTHON} venv_python": "it belongs in `project`, or in a pod",
    },
}

#: What a section may look like, where something else than a mapping stands in its place.
_SHAPES = {
    "project": "write `project: {name: mine}`",
    "pods": "such as `{local: true}` or `{ssh: HOST}`",
    "presets": "such as `{kind: train, command: …}`",
}


def other_name(path: str, word: str) -> str:
    """What says the same as `word` in the section at the dotted `path`; empty when nothing is known to."""
    word = word.lower().replace("-", "_")
    return next((cure for words, cure in CURES.get(_kind_of(path), {}).items() if word in words.split()), "")


def shape(path: str) -> str:
    """An example of the section at `path`; empty where none is needed."""
    if path in ("pods", "presets"):
        return f"write `{path}: {{NAME: …}}`"
    return _SHAPES.get(_kind_of(path), "")


def _kind_of(path: str) -> str:
    """`pods` for a pod; a section inside one (`presets.train.service`) is none of ours."""
    parts = path.split(".")
    return parts[0] if len(parts) <= 2 or parts[0] == "pods" else path
