"""What is cut out of `pynvml.py` for the pods: all that the pod side asks of it, word for word, and little else."""

from __future__ import annotations

import importlib.util
import io
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pynvml
import pytest

from podops.link.pod_archive import pod_archive
from podops.link.pynvml_part import used_part

WHOLE = Path(str(pynvml.__file__)).read_text("utf-8")
ARCHIVE = zipfile.ZipFile(io.BytesIO(pod_archive()[0]))
PART = ARCHIVE.read("pynvml_part.py").decode()
ASKERS = [ARCHIVE.read(name).decode() for name in ARCHIVE.namelist() if name.startswith("podops_runners/gpu/")]


@pytest.fixture
def part(tmp_path: Path) -> ModuleType:
    return loaded(tmp_path / "pynvml_part.py", PART)


def loaded(path: Path, source: str) -> ModuleType:
    path.write_text(source, "utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
        return module
    finally:
        del sys.modules[path.stem]


def test_every_name_the_pod_side_asks_for_is_there_and_is_what_it_was(part: ModuleType) -> None:
    asked = [name for name in vars(pynvml) if any(f'"{name}"' in text or f".{name}" in text for text in ASKERS)]
    assert {"nvmlInit", "nvmlMemory_v2", "NVMLError", "nvmlDeviceGetComputeRunningProcesses_v3"} <= set(asked)
    assert len(asked) > 50
    assert [name for name in asked if not hasattr(part, name)] == []
    numbers = [name for name in asked if isinstance(getattr(pynvml, name), int)]
    assert {name: getattr(part, name) for name in numbers} == {name: getattr(pynvml, name) for name in numbers}


def test_each_of_its_errors_is_known_by_number_word_and_class(part: ModuleType) -> None:
    codes = [value for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_")]
    for code in codes:
        theirs, ours = pynvml.NVMLError(code), part.NVMLError(code)
        assert (type(ours).__name__, ours.value) == (type(theirs).__name__, code)
        assert isinstance(ours, part.NVMLError)
    assert str(part.NVMLError(part.NVML_ERROR_GPU_IS_LOST)) == "GPU is lost"


def test_no_name_that_is_used_in_it_is_missing(part: ModuleType) -> None:
    for function in [each for each in vars(part).values() if getattr(each, "__module__", "") == part.__name__]:
        code = getattr(function, "__code__", None)
        missing = {name for name in code.co_names if name in vars(pynvml)} - set(vars(part)) if code else set()
        assert missing == set(), function


def test_its_lines_are_those_of_the_whole_in_their_order_with_the_licence_and_the_whole_is_shipped_too() -> None:
    lines = iter(WHOLE.splitlines())
    assert all(line in lines for line in PART.splitlines())
    assert PART.startswith(WHOLE[: WHOLE.index("import")].rpartition("\n")[0])
    assert "NVIDIA Corporation.  All rights reserved." in PART
    assert len(PART) < len(WHOLE) / 8
    assert ARCHIVE.read("pynvml.py").decode() == WHOLE


SMALL = """# licence
import json, math
from os import *
A = 1
B = A
UNUSED = math.pi

def wrap(function, value=B):
    return function

class Base:
    pass

class Kind(Base):
    pass

@wrap
def asked():
    return Kind

def left():
    return json.dumps(UNUSED)

NVML_ERROR_ODD = 99
"""


def test_what_is_needed_by_what_is_needed_comes_along_and_nothing_else(tmp_path: Path) -> None:
    part = used_part(SMALL, ['module.ask("asked")'])
    found = loaded(tmp_path / "small.py", part)
    assert found.asked() is found.Kind and (found.B, found.NVML_ERROR_ODD) == (1, 99)
    assert part.startswith("# licence\n") and "from os import *" in part
    assert not any(word in part for word in ("left", "UNUSED", "json"))
