"""From what the Docker SDK, requests and the network say to what a person can act on."""

from __future__ import annotations

import errno
import getpass
import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from json import JSONDecodeError
from pathlib import Path

from podops.errors import PodSetupError, RefusedError, UnreachableError
from podops.transport.docker_answers import EndlessAnswerError

_SHELL_PROBLEM = re.compile(r"exec failed|unable to find user|no matching entries")
_START = "start it: systemctl start docker, or `podman system service` for podman's; or correct `docker_host`"
_NO_ENGINE = "it is no Docker engine, or not well"

#: What comes of an answer that is no HTTP, no JSON, or JSON of another shape than an engine's.
_MISSHAPEN = (HTTPException, JSONDecodeError, LookupError, TypeError, AttributeError, RecursionError)
_CUT_SHORT = (RemoteDisconnected, IncompleteRead)


@contextmanager
def explain(engine: str, container: str = "") -> Iterator[None]:
    """Turn what is raised inside into the errors a person sees, about `engine` and the `container` asked for."""
    from podops.transport.docker_client import APIError, DockerException, RequestException

    try:
        yield
    except APIError as error:
        raise _answered(error, engine, container) from error
    except (DockerException, RequestException, OSError) as error:
        raise unreachable(error, engine) from error
    except _MISSHAPEN as error:
        raise _no_engine(engine) from error


def unreachable(error: BaseException, engine: str) -> UnreachableError:
    """The error for an engine that could not be asked: `error` or what lies under it says why."""
    chain = list(_chain(error))
    endless = next((link for link in chain if isinstance(link, EndlessAnswerError)), None)
    if endless is not None:
        return UnreachableError(f"the engine at {engine} sent {endless}: {_NO_ENGINE}", "correct `docker_host`")
    if any(isinstance(link, TimeoutError) or "timed out" in type(link).__name__.lower() for link in chain):
        return UnreachableError(f"the engine at {engine} did not answer in time", "is its host well?")
    broken = next((link for link in chain if isinstance(link, ssl.SSLError)), None)
    if broken is not None:  # its errno is a number of OpenSSL's own
        hint = "check DOCKER_CERT_PATH (ca.pem, cert.pem, key.pem) and DOCKER_TLS_VERIFY"
        return RefusedError(f"no TLS with the engine at {engine}: {broken.reason or broken}", hint, code="engine_tls")
    number = next((link.errno for link in chain if isinstance(link, OSError) and link.errno), None)
    if any(isinstance(link, socket.gaierror) for link in chain):
        return UnreachableError(f"the name of {engine} cannot be resolved", "correct `docker_host`")
    if number in (errno.EACCES, errno.EPERM):
        hint = f"sudo usermod -aG docker {_user()}, then log in again; or use a rootless engine by `docker_host`"
        return RefusedError(f"no permission to use the engine at {engine}", hint, code="engine_permission")
    if number in (errno.ENOENT, errno.ECONNREFUSED):
        return UnreachableError(f"no engine answers at {engine}", _START + _other_sockets(engine), code="engine_down")
    if not number and any(isinstance(link, _MISSHAPEN) and not isinstance(link, _CUT_SHORT) for link in chain):
        return _no_engine(engine)
    said = os.strerror(number) if number else str(chain[-1])[:300]
    return UnreachableError(f"the engine at {engine} cannot be used: {said}", "correct `docker_host`, or start it")


def _no_engine(engine: str) -> UnreachableError:
    """The error for what answers, but not as an engine does."""
    return UnreachableError(
        f"what answers at {engine} does not speak Docker's API: {_NO_ENGINE}", "correct `docker_host`"
    )


def _answered(error: Exception, engine: str, container: str) -> UnreachableError:
    """The error for an engine that answered and said no."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    said = str(getattr(error, "explanation", "") or error)[:300]
    if status == 404 and container:
        hint = "correct `docker`, or make it; `docker ps -a` lists what there is"
        return UnreachableError(f"there is no container {container} at {engine}", hint, code="container_missing")
    if container and _SHELL_PROBLEM.search(said):
        return shell_problem(container, said)
    if status == 409 and container:
        return UnreachableError(f"container {container} cannot be used now: {said}", f"docker start {container}")
    if status in (401, 403):
        return RefusedError(f"the engine at {engine} refuses us: {said}", "check its certificates and authorization")
    return UnreachableError(f"the engine at {engine} says: {said}")


def shell_problem(container: str, said: str) -> PodSetupError:
    """The error for a container in which the engine could not start a shell, by what it `said` about that."""
    if "user" in said.lower():
        return PodSetupError(f"container {container} does not have the user asked for: {said[:300]}", "correct `user`")
    hint = "podops needs /bin/sh, python3 and tmux in the image"
    if "no such file" in said or "not found" in said:
        return PodSetupError(f"container {container} has no /bin/sh", hint)
    why = said[:300] or "the engine does not say why"
    return PodSetupError(f"container {container} cannot start a shell: {why}", hint)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and everything under it: causes, contexts, and the errors that urllib3 hands on as arguments."""
    left, seen = [error], set[int]()
    while left:
        link = left.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        under = [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
        left += [item for item in under if isinstance(item, BaseException)]


def _other_sockets(engine: str) -> str:
    """Engines that are there all the same: podman's, and rootless ones."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    names = ("podman/podman.sock", "docker.sock")
    places = [f"{folder}/{name}" for folder in ("/run", runtime) for name in names]
    found = [f"unix://{place}" for place in places if not engine.endswith(place) and Path(place).is_socket()]
    return f" (there is {found[0]})" if found else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "USER"
