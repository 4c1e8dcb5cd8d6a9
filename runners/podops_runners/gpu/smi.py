"""GPUs through one long-lived `nvidia-smi -l`, where NVML itself cannot be loaded. It is started again when it ends."""

import re
import signal
import subprocess
import threading
import time

from podops_runners import process as processes
from podops_runners.gpu import card
from podops_runners.gpu.smi_rows import FIELDS, OLDER, parse_instances, parse_row
from podops_runners.typed import Any, Dict, List, Optional

#: A row older than this is not believed; an `nvidia-smi` silent for so long hangs, and is ended. Seconds.
_STALE_S, _HANGS_S = 5.0, 20.0

#: How long it stays down after it ended, seconds: longer each time it had nothing to say.
_PAUSES = (0.5, 2.0, 5.0, 15.0, 30.0)

#: How often the MIG instances are listed, seconds.
_INSTANCES_S = 60.0


class SmiGpus:
    """Reads the rows of `nvidia-smi` in a thread; the last row of each GPU counts, as long as it is fresh."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._fields = list(FIELDS)
        self._rows: Dict[int, Dict[str, Any]] = {}
        self._row_times: Dict[int, float] = {}
        self._instances: Dict[str, List[Dict[str, Any]]] = {}
        self._said, self._said_at = "", 0.0
        self._message = "nvidia-smi has said nothing yet"
        self._heard = time.monotonic()
        self._closed = threading.Event()
        self._process: Optional["subprocess.Popen[bytes]"] = None
        threading.Thread(target=self._keep, name="nvidia-smi", daemon=True).start()

    def report(self) -> Dict[str, Any]:
        """GpuReport in its wire form."""
        now = time.monotonic()
        if now - self._heard > _HANGS_S:
            self._end("nvidia-smi hung")
        rows = dict(self._rows)
        gpus = [self._shown(rows[index], now - self._row_times[index]) for index in sorted(rows)]
        driver = next((row["driver"] for row in rows.values()), "")
        message = self._message or (self._said if now - self._said_at < _STALE_S else "")
        return {"source": "nvidia-smi", "message": message, "driver": driver, "cuda": "", "gpus": gpus}

    def close(self) -> None:
        self._closed.set()
        self._end("")

    def _shown(self, row: Dict[str, Any], age: float) -> Dict[str, Any]:
        if age > _STALE_S:
            return card.forgotten(row, "nvidia-smi has not told this GPU for {:.0f} s".format(age))
        gpu = {name: value for name, value in row.items() if name != "driver"}
        gpu["processes"] = []
        gpu["instances"] = self._instances.get(gpu["uuid"], [])
        return gpu

    def _keep(self) -> None:
        failures = 0
        while not self._closed.is_set():
            fields = list(self._fields)
            rows = self._run(fields)
            failures = 0 if rows else failures + 1
            if self._fields == fields:  # otherwise it refused one of them: the others at once
                self._closed.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])

    def _run(self, fields: List[str]) -> int:
        """One life of `nvidia-smi`; how many rows it told."""
        command = [self._program, "--query-gpu=" + ",".join(fields), "--format=csv,noheader,nounits", "-l", "1"]
        self._heard = time.monotonic()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._message = "nvidia-smi cannot be started: {}".format(error.strerror or error)
            return 0
        self._process = process
        if self._closed.is_set():
            processes.signal_group(process.pid, signal.SIGKILL)
        rows = self._read(process, fields)
        status = process.wait()
        self._process = None
        self._message = "nvidia-smi ended with status {}".format(status) + (self._said and ": " + self._said)
        return rows

    def _read(self, process: "subprocess.Popen[bytes]", fields: List[str]) -> int:
        assert process.stdout is not None
        told, self._said, listed = 0, "", 0.0
        with process.stdout as output:
            for data in output:
                line = data.decode("utf-8", "replace").strip()
                self._heard = time.monotonic()
                row = parse_row(line, fields)
                if row is None:
                    self._remark(line)
                    continue
                told += 1
                if row["mig_enabled"] and (not listed or self._heard - listed > _INSTANCES_S):
                    self._instances, listed = self._list_instances(), self._heard
                self._row_times[row["index"]] = self._heard
                self._rows[row["index"]] = row
                self._message = ""
        return told

    def _remark(self, line: str) -> None:
        """A line that is no row: a field this driver does not know, or a complaint worth showing."""
        refused = re.search(r'Field "([^"]+)" is not a valid field', line)
        if refused and refused.group(1) in self._fields:
            position = self._fields.index(refused.group(1))
            older = OLDER.get(refused.group(1))
            self._fields[position : position + 1] = [older] if older else []
        elif line:
            self._said, self._said_at = line[:200], self._heard

    def _list_instances(self) -> Dict[str, List[Dict[str, Any]]]:
        try:
            done = subprocess.run(
                [self._program, "-L"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=10,
            )
        except (OSError, subprocess.TimeoutExpired):
            return {}
        return parse_instances(done.stdout.decode("utf-8", "replace"))

    def _end(self, why: str) -> None:
        process = self._process
        if process is not None:
            self._said = why or self._said
            processes.signal_group(process.pid, signal.SIGKILL)
