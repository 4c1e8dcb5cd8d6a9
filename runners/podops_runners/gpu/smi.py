"""GPUs through one long-lived `nvidia-smi -l`, where NVML itself cannot be loaded."""

import shutil
import subprocess
import threading
from typing import Any, Dict, List, Optional

_FIELDS = "index,uuid,name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw,enforced.power.limit"
_MIB = 1024 * 1024


def start() -> "Optional[SmiGpus]":
    """The running `nvidia-smi`, or `None` where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=" + _FIELDS, "--format=csv,noheader,nounits", "-l", "1"]
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return SmiGpus(process)


class SmiGpus:
    """Reads the rows of a running `nvidia-smi` in a thread; the last row of each GPU counts."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._gpus: Dict[int, Dict[str, Any]] = {}
        threading.Thread(target=self._read, name="nvidia-smi", daemon=True).start()

    def report(self) -> Dict[str, Any]:
        """GpuReport in its wire form."""
        alive = self._process.poll() is None
        message = "" if alive else "nvidia-smi ended with status {}".format(self._process.returncode)
        gpus = [dict(self._gpus[index]) for index in sorted(self._gpus)]
        return {"source": "nvidia-smi", "message": message, "driver": "", "gpus": gpus}

    def close(self) -> None:
        self._process.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            gpu = parse_row(line.decode("utf-8", "replace"))
            if gpu is not None:
                self._gpus[gpu["index"]] = gpu


def parse_row(line: str) -> Optional[Dict[str, Any]]:
    """One CSV row as a wire GpuSample; `None` for anything else. A cell like `[N/A]` is no value."""
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != 9 or not cells[0].isdigit():
        return None
    numbers = [_number(cell) for cell in cells[3:]]
    used, total = (None if value is None else int(value * _MIB) for value in numbers[1:3])
    lost: List[str] = [cell for cell in cells[3:] if "lost" in cell.lower() or "err" in cell.lower()]
    return {
        "index": int(cells[0]),
        "uuid": cells[1],
        "name": cells[2],
        "utilization_percent": numbers[0],
        "memory_used_bytes": used,
        "memory_total_bytes": total,
        "temperature_c": numbers[3],
        "power_w": numbers[4],
        "power_limit_w": numbers[5],
        "error": lost[0] if lost else "",
        "processes": [],
    }


def _number(text: str) -> Optional[float]:
    try:
        return float(text)
    except ValueError:
        return None
