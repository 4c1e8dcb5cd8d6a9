"""The keys of one pod."""

from __future__ import annotations

import re
from dataclasses import replace

from podops.config.destination import Destination
from podops.config.model import PodConfig
from podops.config.reader import Section

_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z")
_CONTAINER_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?\Z")
_DOCKER_HOST = re.compile(r"(unix:///\S+|tcp://[^\s/-]\S*|ssh://[^\s/-]\S*)\Z")


def read_pod(section: Section, name: str, places: PodConfig) -> PodConfig:
    """One pod; the directories it does not name are those of `places`."""
    ssh, local, docker = section.text("ssh"), section.flag("local", False), section.text("docker")
    if (ssh is not None) + (docker is not None) + local != 1 and not section.malformed:
        section.fault(None, f"{section.path} needs exactly one of `ssh: HOST`, `docker: CONTAINER` and `local: true`")
    if ssh is not None:
        _check_ssh(section, ssh)
    if docker is not None and not is_container(docker):
        section.fault(section.raw("docker"), f"{section.path}.docker: {docker!r} is not a container")
    common = read_common(section, places)
    for key in ("docker_host", "user"):
        if docker is None and section.has(key):
            hint = "with SSH it stands in `ssh: USER@HOST`" if key == "user" else ""
            section.fault(section.raw(key), f"{section.path}.{key} belongs to a `docker: CONTAINER`", hint)
    pod = replace(
        common,
        name=name,
        local=local,
        ssh=ssh,
        docker=docker,
        port=section.whole("port", 1, 65535),
        price_per_hour=section.number("price_per_hour"),
    )
    section.done()
    return pod


def _check_ssh(section: Section, ssh: str) -> None:
    value, hint = section.raw("ssh"), "write alias, host, user@host or user@host:port"
    if ssh.startswith("-") or not ssh.strip() or any(c.isspace() for c in ssh):
        section.fault(value, f"{section.path}.ssh: {ssh!r} is not a host", hint)
        return
    try:
        Destination.parse(ssh)
    except ValueError as error:
        section.fault(value, f"{section.path}.ssh: {error}", hint)


def read_common(section: Section, places: PodConfig) -> PodConfig:
    """What pods may have in common: everything but where each of them is and what it costs."""
    own_outputs = section.path_text("remote_outputs_dir")
    if own_outputs is not None:
        check_pod_path(section, "remote_outputs_dir", own_outputs)
    user = section.text("user")
    if user is not None and not _CONTAINER_USER.match(user):
        section.fault(section.raw("user"), f"{section.path}.user: {user!r} is not a user")
    return PodConfig(
        "",
        docker_host=_docker_host(section),
        user=user,
        identity_file=section.path_text("identity_file"),
        ssh_config=section.path_text("ssh_config"),
        tags=section.texts("tags") or (),
        outputs_dir=own_outputs or places.outputs_dir,
        repo_dir=section.path_text("remote_repo_dir") or places.repo_dir,
        venv_python=section.path_text("venv_python") or places.venv_python,
    )


def is_container(text: str) -> bool:
    return bool(_CONTAINER.match(text))


def check_pod_path(section: Section, key: str, path: str) -> None:
    if not path.startswith(("/", "~/")):
        section.fault(section.raw(key), f"{key}: {path!r} must start with / or ~/", "it is a directory on the pod")


def _docker_host(section: Section) -> str | None:
    host = section.path_text("docker_host")
    if host is not None and not _DOCKER_HOST.match(host):
        hint = "write unix:///path, tcp://host:port or ssh://user@host"
        section.fault(section.raw("docker_host"), f"{section.path}.docker_host: {host!r} is not an engine", hint)
    return host
