"""Log searches in a process of their own: they hold up nothing else of a link, and can be ended at any time.

A regular expression holds Python's lock for as long as it likes, and some take for ever; here only the search pays.
The process asks for work on its stdin, one step after the other, and ends when there is none for a while.
"""

import os
import resource
import select
import signal
import subprocess
import threading
import time
import warnings

from podops_runners import program, protocol, records
from podops_runners.frames import Frame, FrameDecoder, FrameError, encode_frame
from podops_runners.line_pattern import PatternError
from podops_runners.log_search import SearchStep, query_of
from podops_runners.rundir import RunDir
from podops_runners.typed import Any, Dict, NoReturn, Optional, Tuple

#: A process without work ends after so long, seconds.
_IDLE_S = 20.0

#: Processor time that one step may take, seconds. It wants half a second: only an expression can make it take more.
_STEP_CPU_S = 2.0

#: Memory that the process may have, bytes: a line of 32 MiB and what an expression keeps of its way through it.
_MEMORY = 2**30

#: A step that takes longer has a volume that hangs, or hardly any processor, seconds. A client waits longer.
_ANSWER_S = 25.0

_PLAINER = "repeat nothing that is itself repeated, as in (a+)+, and nothing without end"

Header = Dict[str, Any]


class SearchFailure(Exception):
    """A step that cannot be done: what the client is answered."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


class _TooLong(Exception):
    pass


def main() -> int:
    """The process: answers each frame on stdin with one on stdout."""
    warnings.simplefilter("ignore")
    _be_modest()
    signal.signal(signal.SIGVTALRM, _give_up)
    decoder = FrameDecoder()
    while select.select([0], [], [], _IDLE_S)[0]:
        data = os.read(0, 65536)
        if not data:
            break
        for frame in decoder.feed(data):
            header, payload = _answer(frame.header)
            _write(1, encode_frame(header, payload))
    return 0


def _be_modest() -> None:
    """Take no memory from what the pod is there for: a limit, and the first place in line when it runs out."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write("1000")
    except (OSError, ValueError):
        pass  # a lower limit is set already, or this is no Linux


def _give_up(_signal: int, _frame: Any) -> NoReturn:
    raise _TooLong


def _answer(request: Header) -> Tuple[Header, bytes]:
    step: Optional[SearchStep] = None
    run = RunDir(str(request.get("run_dir")))
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, _STEP_CPU_S)
        # Within a single repetition Python looks for no signal: this one ends the process.
        signal.setitimer(signal.ITIMER_PROF, _STEP_CPU_S + 1)
        try:
            step = SearchStep(query_of(request))
            return step.run(run)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.setitimer(signal.ITIMER_PROF, 0)
    except PatternError as error:
        return _failure(protocol.E_USAGE, str(error), "search for it as plain text, or put a \\ before each sign")
    except (_TooLong, MemoryError) as error:
        where = " for the lines from byte {} on".format(step.at) if step is not None else ""
        return _failure(protocol.E_USAGE, _too_much(isinstance(error, MemoryError)) + where, _PLAINER)
    except OSError as error:
        return _failure(protocol.E_FAILED, *records.unreadable(run.stdout_log, error))


def _too_much(memory: bool) -> str:
    limit = "1 GiB of memory" if memory else "{:g} s of processor time".format(_STEP_CPU_S)
    return "the expression takes more than " + limit


def _failure(code: str, message: str, hint: str = "") -> Tuple[Header, bytes]:
    return {"failed": {"code": code, "message": message, "hint": hint}}, b""


class SearchProcess:
    """The near end of one such process, for one thread; it is started when it is needed."""

    def __init__(self) -> None:
        self._process: Optional["subprocess.Popen[bytes]"] = None

    def ask(self, request: Header) -> Tuple[Header, bytes]:
        """The answer to one step. Raises `SearchFailure`."""
        for attempt in (1, 2):
            process = self._running()
            try:
                frame = self._exchange(process, request)
            except (OSError, EOFError, FrameError) as error:
                self._end(process)
                if _status(process) == -signal.SIGPROF:
                    raise SearchFailure(protocol.E_USAGE, _too_much(False), _PLAINER)
                # It may have ended for lack of work just now; a new one has not.
                if attempt == 2 or isinstance(error, TimeoutError):
                    raise SearchFailure(protocol.E_FAILED, str(error) or "the search ended by itself")
            else:
                failed = frame.header.get("failed")
                if failed:
                    raise SearchFailure(failed["code"], failed["message"], failed["hint"])
                return frame.header, frame.payload
        raise AssertionError("not reached")

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                program.command("search"),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            # Whenever it ends, nothing of it stays behind.
            threading.Thread(target=self._process.wait, daemon=True).start()
        return self._process

    def _exchange(self, process: "subprocess.Popen[bytes]", request: Header) -> Frame:
        assert process.stdin is not None and process.stdout is not None
        _write(process.stdin.fileno(), encode_frame(request))
        decoder, deadline = FrameDecoder(), time.monotonic() + _ANSWER_S
        while True:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([process.stdout], [], [], left)[0]:
                told = "no answer within {:g} s: does its volume hang, or is the pod overloaded?"
                raise TimeoutError(told.format(_ANSWER_S))
            data = os.read(process.stdout.fileno(), 262144)
            if not data:
                raise EOFError
            frames = decoder.feed(data)
            if frames:
                return frames[0]

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = None
        try:
            process.kill()
        except ProcessLookupError:
            pass  # it has just ended by itself, and Python 3.8 does not look before it kills
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _status(process: "subprocess.Popen[bytes]") -> Optional[int]:
    try:
        return process.wait(1.0)
    except subprocess.TimeoutExpired:
        return None  # on a volume that hangs it cannot even be killed


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
