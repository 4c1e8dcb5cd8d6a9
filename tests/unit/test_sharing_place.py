"""Whose socket is asked, and when it is another project's."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest

from podops.sharing.peer import is_same_user
from podops.sharing.place import project_files, project_key, socket_dir
from podops.transport.ssh_files import decides_by_command

PROJECT = "project: {name: x, remote_outputs_dir: '${ROOT}/runs'}\npods: {a: {ssh: host, ssh_config: ~/own}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "configs/ops/project.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(PROJECT)
    return file


def key(file: Path, home: Path, **environ: str) -> str:
    return project_key(project_files(file), {"HOME": str(home), "ROOT": "/mnt", **environ})


def test_the_key_is_the_same_for_the_same_project_and_another_after_any_change(file: Path, tmp_path: Path) -> None:
    seen = {key(file, tmp_path)}

    def is_new() -> bool:
        found = key(file, tmp_path)
        fresh = found not in seen
        seen.add(found)
        return fresh

    assert not is_new()
    assert key(file, tmp_path, TERM="vt100", OPS_TIMEOUT="3") in seen, "this does not concern the project"
    assert key(Path(os.path.relpath(file)), tmp_path) in seen
    for name, value in (("ROOT", "/data"), ("REMOTE_OUTPUTS_DIR", "/x"), ("OPS_TMUX__SOCKET", "mine"), ("HOME", "/")):
        assert key(file, tmp_path, **{name: value}) not in seen, name
    (file.with_name("project.local.yaml")).write_text("pods: {b: {local: true}}\n")
    assert is_new()
    file.write_text(PROJECT + "# a comment\n")
    assert is_new()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host host\n  HostName elsewhere\n")
    assert is_new()
    (tmp_path / "own").write_text("Host host\n")
    assert is_new()


def test_the_socket_lies_in_the_runtime_directory_where_there_is_one(tmp_path: Path) -> None:
    own = f"run-{os.uname().nodename}"
    assert socket_dir({"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "podops"
    assert socket_dir({"OPS_STATE_DIR": "/state"}) == Path("/state") / own
    assert socket_dir({"OPS_STATE_DIR": "/state", "XDG_RUNTIME_DIR": str(tmp_path / "none")}) == Path("/state") / own


def test_a_change_in_what_the_ssh_configuration_includes_is_another_key(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / ".ssh/conf.d"
    folder.mkdir(parents=True)
    (tmp_path / ".ssh/config").write_text('Host a\n  include conf.d/*.conf\nInclude="~/more" ${ELSEWHERE}/x%h\n')
    deep, more, other = folder / "1.conf", tmp_path / "more", tmp_path / "else/x-host"
    other.parent.mkdir()
    seen = [key(file, tmp_path, ELSEWHERE=str(other.parent))]
    deep.write_text(f"Include {tmp_path}/deeper\n")
    for path in (deep, more, tmp_path / "deeper", other, folder / "2.conf"):
        path.write_text(path.read_text() + "#\n" if path.exists() else "Include config\n")
        seen.append(key(file, tmp_path, ELSEWHERE=str(other.parent)))
    assert len(set(seen)) == len(seen)
    (folder / "no.txt").write_text("Host b\n")
    assert key(file, tmp_path, ELSEWHERE=str(other.parent)) == seen[-1], "that one is not included"


@pytest.mark.parametrize(
    ("line", "decides"),
    [
        ('Match host a exec "true"', True),
        ("  match exec=true", True),
        ("Match host exec", False),
        ("# Match exec true", False),
        ("ProxyCommand exec nc a 22", False),
    ],
)
def test_it_is_known_where_a_command_decides_what_the_configuration_means(
    tmp_path: Path, line: str, decides: bool
) -> None:
    (tmp_path / "included").write_text(f"Host b\n{line}\n")
    (tmp_path / "config").write_text(f"Include {tmp_path}/included\n")
    assert decides_by_command(str(tmp_path / "config"), {"HOME": str(tmp_path)}) is decides


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_socket_of_another_user_is_not_trusted() -> None:
    near, far = socket.socketpair(socket.AF_UNIX)
    assert is_same_user(near)
    with socket.socket(socket.AF_UNIX) as server:
        name = f"\0podops-test-{os.getpid()}"
        server.bind(name)
        server.listen()
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(name)
                # Whether root's socket is taken for one's own, as this other user sees it.
                client.sendall(struct.pack("?", is_same_user(client)))
            os._exit(0)
        connection, _ = server.accept()
        with connection:
            assert not is_same_user(connection)
            assert connection.recv(1) == struct.pack("?", False)
        os.waitpid(child, 0)
    near.close()
    far.close()
