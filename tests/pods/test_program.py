"""The unpacked copy that processes of the pod side are started from."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from podops.link.pod_archive import pod_archive
from tests.pods.pod_side import pythons

UNPACK = "import sys; sys.path.insert(0, sys.argv[1]); sys.argv = sys.argv[1:]; from podops_runners import program; "


@pytest.fixture
def pyz(tmp_path: Path) -> Path:
    place = tmp_path / "cache"
    place.mkdir(mode=0o700)
    archive = place / "podops-abc.pyz"
    archive.write_bytes(pod_archive()[0])
    return archive


def unpack(python: str, pyz: Path) -> list[str]:
    """Unpack, and return what a process of ours is started with from then on."""
    code = UNPACK + "program.unpack(); print(*program.command('supervise', '/nowhere'), sep=chr(10))"
    told = subprocess.run([python, "-I", "-S", "-c", code, str(pyz)], capture_output=True, text=True, check=True)
    return told.stdout.splitlines()


@pytest.mark.parametrize("python", pythons())
def test_processes_start_from_a_compiled_copy_and_from_the_archive_where_files_of_it_are_missing(
    python: str, pyz: Path
) -> None:
    command = unpack(python, pyz)
    copy = pyz.with_suffix("")
    assert command[3] == str(copy / "__main__.py")
    assert sorted(path.name for path in pyz.parent.iterdir()) == ["podops-abc", "podops-abc.pyz"]
    compiled = {path.name.partition(".")[0] for path in (copy / "podops_runners/__pycache__").iterdir()}
    assert {"supervise", "agent", "shim"} <= compiled
    for name in ("podops_runners/supervise.py", "podops_runners/__pycache__"):
        told = subprocess.run(command, capture_output=True, text=True)
        assert (told.returncode, told.stderr) == (2, "/nowhere: no run_spec.json\n")
        subprocess.run(["rm", "-r", str(copy / name)], check=True)
    told = subprocess.run(command, capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (2, "/nowhere: no run_spec.json\n")


@pytest.mark.parametrize("name", ["podops_runners/shim.py", "__main__.py", "sizes"])
def test_a_copy_with_a_damaged_file_is_not_used_and_made_anew(name: str, pyz: Path) -> None:
    copy = pyz.with_suffix("")
    assert unpack(pythons()[0], pyz)[3] == str(copy / "__main__.py")
    with (copy / name).open("r+b") as stream:
        stream.truncate(7)
    code = UNPACK + "print(program.command('agent')[3])"
    told = subprocess.run([pythons()[0], "-I", "-S", "-c", code, str(pyz)], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(pyz)
    assert unpack(pythons()[0], pyz)[3] == str(copy / "__main__.py")
    assert sorted(path.name for path in pyz.parent.iterdir()) == ["podops-abc", "podops-abc.pyz"]
    command = [pythons()[0], "-I", "-S", str(copy), "supervise", "/nowhere"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (2, "/nowhere: no run_spec.json\n")


def test_two_that_unpack_at_once_make_one_copy(pyz: Path) -> None:
    code = UNPACK + "program.unpack()"
    words = [pythons()[0], "-I", "-S", "-c", code, str(pyz)]
    for process in [subprocess.Popen(words) for _ in range(4)]:
        assert process.wait(60) == 0
    assert sorted(path.name for path in pyz.parent.iterdir()) == ["podops-abc", "podops-abc.pyz"]


def test_an_archive_that_cannot_be_unpacked_is_started_as_it_is_and_nothing_is_left_beside_it(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as stored:
        module = stored.getinfo("podops_runners/stop.py")
    damaged = bytearray(pyz.read_bytes())
    damaged[module.header_offset + 30 + len(module.filename) + 20] ^= 0xFF
    pyz.write_bytes(damaged)
    assert unpack(pythons()[0], pyz)[3] == str(pyz)
    assert [path.name for path in pyz.parent.iterdir()] == [pyz.name]


@pytest.mark.parametrize("python", pythons())
def test_what_runs_on_a_pod_starts_without_what_only_type_checkers_read(python: str, pyz: Path) -> None:
    """`typing` would be a fifth of the time until it works, and half a megabyte in each process."""
    loaded = "from podops_runners import agent, link_server, shim, supervise; from podops_runners.gpu import nvml_gpus"
    code = f"{UNPACK}{loaded}; print('typing' in sys.modules)"
    told = subprocess.run([python, "-I", "-S", "-c", code, str(pyz)], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
