"""The pod's end of a link: frames in on stdin, answers and pushes out on stdout (docs/protocol.md).

The main thread only reads, so that a slow line or a volume that hangs never looks like a silent client; every request
that may take time runs in a small pool; pongs, samples and the run list have a thread each. The process does not
outlive its client: it ends with its stdin, at the first write that fails, or when it has heard nothing for
`DEAD_MAN_S`, but first completes what it was asked to change.
"""

import binascii
import os
import sys
import threading
import time

from podops_runners import __version__, hello_fields, machine, protocol
from podops_runners.frames import Frame, FrameDecoder, FrameError, encode_frame
from podops_runners.host_info import host_info
from podops_runners.link_ops import CHANGING, LinkOps, OpError
from podops_runners.scan import Scanner
from podops_runners.typed import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple
from podops_runners.workers import Workers

if TYPE_CHECKING:
    from podops_runners.gpu import GpuSource

_WORKERS = 4

#: So many searches work at the same time; each step of one takes half a second and a processor.
_SEARCHES = 2

#: How often the run list is looked at unless the client says else, and the limits of what it may say, seconds.
_SCAN_S, _LEAST_SCAN_S, _MOST_SCAN_S = 0.5, 0.1, 60.0

#: How long a link that has lost its client works on to complete a change, seconds.
_COMPLETE_S = 5.0

#: The first sample and the look for an agent come after the first run list, unless that takes longer, seconds.
_FIRST_LIST_S = 0.2

#: How often a link looks whether the agent still lives, seconds.
_AGENT_LOOK_S = 5.0

#: How long a thread works on while another one waits for its turn, seconds.
_TURN_S = 0.0005

#: Most runs in one frame.
_BATCH = 200

Header = Dict[str, Any]


def main(arguments: List[str]) -> int:
    """Serve one client until it goes. `--dead-man SECONDS` changes how long silence is borne.

    What the client says first comes from the bootstrap, in the environment, which nothing started from here shall have.
    """
    greeting = binascii.a2b_base64(os.environ.pop("PODOPS_GREETING", ""))
    dead_man = protocol.DEAD_MAN_S
    if len(arguments) == 2 and arguments[0] == "--dead-man":
        dead_man = float(arguments[1])
    LinkServer(dead_man).serve(greeting)
    return 0


class LinkServer:
    """One link. Nothing of it is needed by any run."""

    def __init__(self, dead_man_s: float) -> None:
        self._dead_man_s = dead_man_s
        self._heard = time.monotonic()
        self._write_lock = threading.Lock()
        self._pool = Workers(_WORKERS, "request")
        # Changes have threads of their own: a volume that hangs those who read it must not keep a run from its end.
        self._changes = Workers(_WORKERS, "change")
        self._searches = Workers(_SEARCHES, "search")
        self._pongs = Workers(1, "pong")
        self._changing = 0
        self._completed = threading.Condition()
        self._gpus: Optional["GpuSource"] = None
        self._simulated = 0
        self._opening = threading.Lock()
        self._to_begin: List[Callable[[], None]] = []
        #: The first run list has been told.
        self._listed = threading.Event()
        self._interval = 1.0
        self._scan_s = _SCAN_S
        self._resample = threading.Event()
        self._rescan = threading.Event()
        self._ops: Optional[LinkOps] = None

    def serve(self, greeting: bytes) -> None:
        """Read frames, `greeting` first, until stdin ends, then end the process at once, whatever its threads do."""
        # A line of a log does not wait for a sample to be put together.
        sys.setswitchinterval(_TURN_S)
        self._start(self._watch_silence)
        decoder = FrameDecoder()
        data = greeting
        while True:
            try:
                frames = decoder.feed(data)
            except FrameError as error:
                self._send({"push": "problem", "message": str(error)})
                self._end()
            for frame in frames:
                self._take(frame)
            data = os.read(0, 262144)
            if not data:
                self._end()
            self._heard = time.monotonic()

    def _take(self, frame: Frame) -> None:
        request = frame.header
        op, number = request.get("op"), request.get("id")
        if op == "ack" and self._ops:
            self._ops.ack(request)
        elif op in ("data", "room", "eof", "close") and self._ops:
            self._ops.carry(frame)
        elif op == "hello":
            # Answered here and now: everything else needs what it says.
            self._answer(number, self._hello, request)
            self._begin()
        elif op == "ping":
            self._pongs.give(self._answer, number, lambda _: {"time": time.time()}, request)
        elif op == "rate":
            self._pongs.give(self._answer, number, self._rate, request)
        elif self._ops is None:
            self._fail(number, protocol.E_PROTOCOL, "the first request must be hello")
        elif op == "follow":
            self._pool.give(self._follow, number, request)
        else:
            work = self._ops.find(op)
            if work is None:
                self._pongs.give(self._fail, number, protocol.E_USAGE, "unknown request {!r}".format(op))
            elif op in CHANGING:
                self._changes.give(self._answer, number, self._counted(work), request)
            else:
                pool = self._searches if op == "search" else self._pool
                pool.give(self._answer, number, work, request)

    def _counted(self, work: Callable[[Header], Any]) -> Callable[[Header], Any]:
        """`work`, which the end of this process waits for from now on."""

        def counted(request: Header) -> Any:
            try:
                return work(request)
            finally:
                with self._completed:
                    self._changing -= 1
                    self._completed.notify_all()

        with self._completed:
            self._changing += 1
        return counted

    def _answer(self, number: Any, work: Callable[[Header], Any], request: Header) -> None:
        try:
            answer = work(request)
            payload = b""
            if isinstance(answer, tuple):
                answer, payload = answer
            self._send(dict(answer, id=number, ok=True), payload)
        except OpError as error:
            self._fail(number, error.code, error.message, error.hint)
        except Exception as error:  # whatever it is, the client must hear of it, and the link goes on
            self._fail(number, protocol.E_FAILED, "{}: {}".format(error.__class__.__name__, error))
        if request.get("op") in CHANGING:
            self._rescan.set()

    def _fail(self, number: Any, code: str, message: str, hint: str = "") -> None:
        self._send({"id": number, "ok": False, "error": {"code": code, "message": message, "hint": hint}})

    def _follow(self, number: Any, request: Header) -> None:
        def work(asked: Header) -> Header:
            assert self._ops is not None
            answer, follower = self._ops.follow(asked, self._send_frame)
            # The answer goes first: the client must know the subscription before its first bytes.
            starting.append(follower)
            return answer

        starting: List[Any] = []
        self._answer(number, work, request)
        for follower in starting:
            follower.start()

    def _hello(self, request: Header) -> Header:
        if request.get("protocol") != protocol.PROTOCOL_VERSION:
            message = "the client speaks protocol {}, this pod side {}".format(
                request.get("protocol"), protocol.PROTOCOL_VERSION
            )
            raise OpError(protocol.E_PROTOCOL, message, "use the same version of podops on both ends")
        projects, told = hello_fields.projects(request.get("projects"))
        simulate = request.get("simulate_gpus")
        self._rate(request)
        first = self._ops is None
        simulated = simulate if isinstance(simulate, int) else 0
        self._gpus, self._simulated = None, simulated
        self._ops = LinkOps(projects, self._gpu_samples, self._send, simulated)
        if first:
            directories, roots = (
                [project.outputs_dir for project in projects],
                hello_fields.machine_roots(request, projects, simulated),
            )
            self._to_begin = [
                lambda: self._push_runs(Scanner(projects)),
                lambda: self._sample(directories),
                lambda: self._keep_agent(roots, request.get("tmux")),
            ]
        return {
            "protocol": protocol.PROTOCOL_VERSION,
            "version": __version__,
            "host": host_info(),
            "projects": told,
        }

    def _begin(self) -> None:
        """Start what goes on as long as the link: only now, so that it keeps no answer to hello waiting."""
        for work in self._to_begin:
            self._start(work)
        self._to_begin = []

    def _rate(self, request: Header) -> Header:
        """Sample and look at the runs as often as the client wants; at once when that is more often than before."""
        before = (self._interval, self._scan_s)
        self._interval = hello_fields.seconds(request.get("sample_interval_s"), self._interval, 0.1, 60.0)
        self._scan_s = hello_fields.seconds(request.get("runs_interval_s"), self._scan_s, _LEAST_SCAN_S, _MOST_SCAN_S)
        if self._interval < before[0]:
            self._resample.set()
        if self._scan_s < before[1]:
            self._rescan.set()
        return {"sample_interval_s": self._interval, "runs_interval_s": self._scan_s}

    def _gpu_samples(self) -> List[Header]:
        """Fresh GPU samples for a submit: the pushed ones may be a second old."""
        gpus: List[Header] = self._gpu_report()["gpus"]
        return gpus

    def _gpu_report(self) -> Header:
        from podops_runners.gpu import GpuSource

        with self._opening:
            if self._gpus is None:
                self._gpus = GpuSource(self._simulated)
            source = self._gpus
        return source.report(lambda: _claims(bool(self._simulated)))

    def _sample(self, directories: List[str]) -> None:
        self._listed.wait(_FIRST_LIST_S)
        from podops_runners.host import HostSampler

        sampler, first_done = HostSampler(directories), False
        while True:
            gpus = self._gpu_report()
            self._send({"push": "sample", "host": sampler.sample(), "gpus": gpus})
            # The first sample has no CPU share yet; the second follows soon, so that nobody waits a second for it.
            self._resample.wait(self._interval if first_done else min(0.2, self._interval))
            self._resample.clear()
            first_done = True

    def _keep_agent(self, roots: List[machine.Root], settings: Any) -> None:
        """Let the agent of this machine know the roots, and see to it that there is one for as long as we live."""
        self._listed.wait(_FIRST_LIST_S)
        from podops_runners import agent_process

        try:
            for root in roots:
                machine.register_root(root)
            agent_process.replace_older()
        except OSError:
            return  # no place for the machine's own files: submits say so, a link that only looks need not fail
        while True:
            agent_process.ensure_running(settings)
            time.sleep(_AGENT_LOOK_S)

    def _push_runs(self, scanner: Scanner) -> None:
        sent: Optional[Dict[Tuple[str, str], Header]] = None
        told = ""
        while True:
            found = scanner.scan()
            problem = "; ".join(problem for _, problem in sorted(scanner.problems.items()))
            if problem != told:
                self._send({"push": "problem", "message": problem, "about": "runs"})
                told = problem
            self._push_changes(sent, found)
            self._listed.set()
            sent = found
            self._rescan.wait(self._scan_s)
            self._rescan.clear()

    def _push_changes(
        self, sent: Optional[Dict[Tuple[str, str], Header]], found: Dict[Tuple[str, str], Header]
    ) -> None:
        before = sent or {}
        changed = [run for key, run in found.items() if not _same(run, before.get(key))]
        gone = [list(key) for key in before if key not in found]
        if not (sent is None or gone or changed):
            return
        # In pieces: a frame has a limit, the number of runs has none.
        for start in range(0, max(1, len(changed)), _BATCH):
            push = {"push": "runs", "full": sent is None and start == 0, "changed": changed[start : start + _BATCH]}
            push["gone"] = [] if start else gone
            if start + _BATCH < len(changed):
                push["more"] = True
            self._send(push)

    def _send(self, header: Header, payload: bytes = b"") -> None:
        self._send_frame(encode_frame(header, payload))

    def _send_frame(self, frame: bytes) -> None:
        data = memoryview(frame)
        try:
            with self._write_lock:
                while data:
                    data = data[os.write(1, data) :]
        except OSError:
            self._end()

    def _watch_silence(self) -> None:
        while True:
            left = self._heard + self._dead_man_s - time.monotonic()
            if left <= 0:
                self._end()
            time.sleep(left)

    def _start(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as error:
                # Without its samples or its run list a link would look healthy and be blind.
                self._send({"push": "problem", "message": "{}: {}".format(error.__class__.__name__, error)})
                self._end()

        threading.Thread(target=guarded, daemon=True).start()

    def _end(self) -> None:
        with self._completed:
            self._completed.wait_for(lambda: not self._changing, _COMPLETE_S)
        if self._gpus is not None:
            self._gpus.close()
        os._exit(0)


def _same(run: Header, before: Optional[Header]) -> bool:
    """Whether nothing has changed but the ages, which grow by themselves."""
    if run is before or before is None:
        return run is before
    now, then = dict(run), dict(before)
    for age in ("heartbeat_age_s", "log_age_s", "elapsed_s", "waits_s", "retry_in_s", "left_s"):
        now.pop(age, None)
        then.pop(age, None)
    return now == then


def _claims(simulated: bool) -> Dict[int, str]:
    from podops_runners import gpu_claims

    try:
        return gpu_claims.claims(simulated)
    except OSError:
        return {}
