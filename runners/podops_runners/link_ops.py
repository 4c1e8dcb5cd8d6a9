"""What a client can ask a pod to do, one method per request of docs/protocol.md.

What only some requests need is imported by them: a link that is asked for nothing starts sooner and stays smaller.
"""

import itertools
import os
import threading

from podops_runners import answers, at_work, protocol, records, states
from podops_runners.frames import Frame
from podops_runners.log_marks import LogMarks
from podops_runners.rundir import RunDir
from podops_runners.runid import is_valid_run_id
from podops_runners.scan import Project, Scanner
from podops_runners.typed import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

if TYPE_CHECKING:
    from podops_runners.connections import Connections
    from podops_runners.logstream import LogFollower

_MAX_READ = 4 * 1024 * 1024
_MAX_WINDOW = 16 * 1024 * 1024

#: Requests that change something: asked twice under one `request_id`, they are done once.
CHANGING = ("submit", "kill", "queue")

Header = Dict[str, Any]


class OpError(Exception):
    """A request that cannot be done; becomes the answer's `error`."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class LinkOps:
    """The requests that concern runs. Each takes the request and returns the answer, or an answer and a payload."""

    def __init__(
        self,
        projects: List[Project],
        gpus: Callable[[], List[Header]],
        send: Callable[[Header, bytes], None],
        simulated: int = 0,
    ) -> None:
        self._projects = projects
        self._send = send
        self._connections: Optional["Connections"] = None
        self._opening = threading.Lock()
        self._gpus = gpus
        self._simulated = simulated
        self._subs = itertools.count(1)
        self._followers: "Dict[int, LogFollower]" = {}
        self._submitting = threading.Lock()
        # One process for each thread that searches.
        self._searching = threading.local()

    def find(self, op: Any) -> Optional[Callable[[Header], Any]]:
        ops = {
            "check": _check,
            "fix": _fix,
            "submit": self.submit,
            "kill": self.kill,
            "queue": self.queue,
            "open": self.open,
            "run": self.run,
            "read": self.read,
            "search": self.search,
            "unfollow": self.unfollow,
        }  # type: Dict[Any, Callable[[Header], Any]]
        work = ops.get(op) if isinstance(op, str) else None
        if work is None or op not in CHANGING:
            return work
        return lambda request: answers.once(request.get("request_id"), lambda: work(request))

    def submit(self, request: Header) -> Header:
        from podops_runners.submit import submit_run
        from podops_runners.submit_error import SubmitError

        spec = request.get("spec")
        spec = dict(spec if isinstance(spec, dict) else {}, request_id=answers.valid_id(request.get("request_id")))
        with self._submitting:
            try:
                return submit_run(spec, force=request.get("force") is True, gpus=self._gpus, simulated=self._simulated)
            except SubmitError as error:
                raise OpError(error.code, error.message, error.hint)

    def kill(self, request: Header) -> Header:
        from podops_runners.kill import request_kill

        grace_s, by = records.number(request.get("grace_s")), str(request.get("by") or "a user")[:200]
        for _, path in self._places(request):
            if at_work.is_lost(path):
                return at_work.end(path, grace_s, by)
        project, run = self._locate(request)
        wire = Scanner([project]).one(project, run.run_id)
        if not wire.get("owned", True):
            raise OpError(
                protocol.E_REFUSED,
                "run {} belongs to another pod".format(run.run_id),
                "kill it through the pod that started it",
            )
        known = wire["state"] in states.ENDED or os.path.exists(run.claim) or os.path.exists(run.ticket)
        if wire["state"] not in states.ACTIVE and not known:
            raise OpError(
                protocol.E_REFUSED,
                "run {} was never started by podops".format(run.run_id),
                "what works in {} was started by hand; end it where you started it".format(run.path),
            )
        try:
            return request_kill(run, grace_s, by)
        except OSError as error:
            raise OpError(
                protocol.E_UNWRITABLE,
                "the kill request of run {} cannot be stored: {}".format(run.run_id, error.strerror or error),
                "free space on the volume, or `tmux kill-session` by hand",
            )

    def queue(self, request: Header) -> Header:
        from podops_runners import queue_ops
        from podops_runners.submit_error import SubmitError

        _, run = self._locate(request)
        by = str(request.get("by") or "a user")[:200]
        try:
            return queue_ops.change(run, str(request.get("action")), by, request.get("value"))
        except SubmitError as error:
            raise OpError(error.code, error.message, error.hint)
        except OSError as error:
            raise OpError(protocol.E_UNWRITABLE, "{}: {}".format(run.path, error.strerror or error))

    def open(self, request: Header) -> Header:
        """Connect to the port of a run's service, and to no other port of the pod."""
        project, run = self._locate(request)
        claim, _ = records.read_record(run.claim)
        port = (claim or {}).get("port")
        wire = Scanner([project]).one(project, run.run_id)
        if not isinstance(port, int) or wire["state"] not in states.ACTIVE or not wire.get("owned", True):
            told = "run {} has no service here that could be connected to".format(run.run_id)
            raise OpError(protocol.E_REFUSED, told, "see `ops run status {}`".format(run.run_id))
        number, room = _whole(request, "conn", -1), _whole(request, "room", 0)
        try:
            return {"room": self._carrier().open(number, port, max(0, room)), "port": port}
        except OSError as error:
            told = "port {} of run {} takes no connection: {}".format(port, run.run_id, error.strerror or error)
            raise OpError(protocol.E_FAILED, told, "see `ops run tail {}`".format(run.run_id))
        except ValueError as error:
            raise OpError(protocol.E_REFUSED, str(error), "close some")

    def _carrier(self) -> "Connections":
        from podops_runners.connections import Connections

        with self._opening:
            if self._connections is None:
                self._connections = Connections(self._send)
            return self._connections

    def carry(self, frame: Frame) -> None:
        """A frame of a connection that was opened before."""
        if self._connections is not None:
            self._connections.take(frame)

    def run(self, request: Header) -> Header:
        for _, path in self._places(request):
            if at_work.is_lost(path):
                return {"run": at_work.told(path), "summary": None, "metadata": None, "spec": None}
        project, run = self._locate(request)
        told = Scanner([project]).one(project, run.run_id)
        return {
            "run": dict(told, log_freed=sum(end - start for start, end in LogMarks(run).gaps())),
            "summary": records.read_record(run.summary)[0],
            "metadata": records.read_record(run.metadata)[0],
            "spec": records.read_record(run.spec)[0],
        }

    def read(self, request: Header) -> Tuple[Header, bytes]:
        from podops_runners.log_piece import read_piece

        _, run = self._locate(request)
        path = _file_of(run, request)
        offset, length = _whole(request, "offset", 0), max(0, min(_whole(request, "length", 65536), _MAX_READ))
        try:
            if path == run.stdout_log:
                before = request.get("before")
                return read_piece(run, offset, length, before if isinstance(before, int) else None)
            with open(path, "rb", opener=records.regular_file) as stream:
                size = os.fstat(stream.fileno()).st_size
                offset = max(0, size + offset) if offset < 0 else offset
                stream.seek(offset)
                return {"offset": offset, "size": size}, stream.read(length)
        except FileNotFoundError:
            name = os.path.basename(path)
            raise OpError(protocol.E_NOT_FOUND, "run {} has no {} yet".format(run.run_id, name))
        except OSError as error:
            raise _unreadable(path, error)

    def search(self, request: Header) -> Tuple[Header, bytes]:
        """One step of a search. A thread that comes here again finds its search process still there."""
        from podops_runners.search_process import SearchFailure, SearchProcess

        _, run = self._locate(request)
        if not hasattr(self._searching, "process"):
            self._searching.process = SearchProcess()
        try:
            answer: Tuple[Header, bytes] = self._searching.process.ask(dict(request, run_dir=run.path))
        except SearchFailure as error:
            told = error.message if error.code == protocol.E_USAGE else "run {}: {}".format(run.run_id, error.message)
            raise OpError(error.code, told, error.hint)
        return answer

    def follow(self, request: Header, send: Callable[[bytes], None]) -> "Tuple[Header, LogFollower]":
        """The answer, and what is to be started once it is sent: it gives the log to `send`, a frame at a time."""
        from podops_runners.followed_run import FollowedRun
        from podops_runners.logstream import LogFollower, start_offset

        project, run = self._locate_log(request)
        path = _file_of(run, request)
        _check_readable(path)
        place, owner, known = request.get("from"), _whose(run), request.get("log")
        # Bytes of a log in whose place there is another one now are no bytes of this one.
        anew = bool(owner and known) and owner != known
        marks = LogMarks(run) if path == run.stdout_log else None
        chosen = {"offset": 0} if anew else place if isinstance(place, dict) else {}
        offset, size = start_offset(path, chosen, marks.gaps() if marks else ())
        if not os.path.isdir(run.path):
            offset = max(0, _whole(chosen, "offset", 0))
        scanner = Scanner([project])
        followed = FollowedRun(run, lambda: scanner.one(project, run.run_id))
        sub = next(self._subs)
        follower = LogFollower(
            sub,
            path,
            offset,
            min(_whole(request, "window", 262144), _MAX_WINDOW),
            request.get("lossless") is True,
            send,
            followed.is_over,
            marks,
            lambda: _whose(run),
            known if isinstance(known, str) else "",
            followed.trouble,
        )
        self._followers[sub] = follower
        return {"sub": sub, "offset": offset, "size": size, "log": owner, "anew": anew}, follower

    def unfollow(self, request: Header) -> Header:
        follower = self._followers.pop(_whole(request, "sub", -1), None)
        if follower is not None:
            follower.stop()
        return {}

    def ack(self, request: Header) -> None:
        follower = self._followers.get(_whole(request, "sub", -1))
        if follower is not None:
            follower.ack(_whole(request, "offset", 0))

    def _locate(self, request: Header) -> Tuple[Project, RunDir]:
        for project, path in self._places(request):
            if os.path.isdir(path):
                return project, RunDir(path, project.layout)
        if any(at_work.is_lost(path) for _, path in self._places(request)):
            told = "run {}: {}".format(request.get("run_id"), at_work.GONE)
            raise OpError(protocol.E_FAILED, told, "end it with `ops run kill`")
        told = "there is no run {} here".format(request.get("run_id"))
        raise OpError(protocol.E_NOT_FOUND, told, "see `ops run list`")

    def _locate_log(self, request: Header) -> Tuple[Project, RunDir]:
        """The same; whoever goes on with a log may wait for its directory to come back."""
        place = request.get("from")
        if isinstance(place, dict) and isinstance(place.get("offset"), int):
            for project, path in self._places(request):
                if not os.path.isdir(path) and at_work.lives_on(path):
                    return project, RunDir(path, project.layout)
        return self._locate(request)

    def _places(self, request: Header) -> List[Tuple[Project, str]]:
        """Where the run would be, in each project it may belong to."""
        run_id, wanted = request.get("run_id"), request.get("project")
        if not isinstance(run_id, str) or not is_valid_run_id(run_id):
            raise OpError(protocol.E_USAGE, "{!r} cannot be a run id".format(run_id))
        mine = [project for project in self._projects if not wanted or wanted == project.name]
        return [(project, os.path.join(project.outputs_dir, run_id)) for project in mine]


def _check(request: Header) -> Header:
    from podops_runners import pod_check

    return pod_check.check(request)


def _fix(request: Header) -> Header:
    from podops_runners import pod_check

    return pod_check.fix(request)


def _whose(run: RunDir) -> str:
    """Names the submit that the files of a run directory are of; empty for one made by hand, or just being replaced."""
    spec, _ = records.read_record(run.spec)
    return str((spec or {}).get("request_id") or (spec or {}).get("created_at") or "")


def _file_of(run: RunDir, request: Header) -> str:
    name = request.get("name")
    try:
        return run.readable(name if isinstance(name, str) else "stdout.log")
    except KeyError:
        raise OpError(protocol.E_USAGE, "{!r} is not a file of a run".format(name))


def _check_readable(path: str) -> None:
    """Raise `OpError` for what is there and cannot be read; a file that is not there yet may still come."""
    try:
        os.close(records.regular_file(path, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error)


def _unreadable(path: str, error: OSError) -> OpError:
    return OpError(protocol.E_FAILED, *records.unreadable(path, error))


def _whole(request: Header, name: str, default: int) -> int:
    value = request.get(name, default)
    return value if isinstance(value, int) and not isinstance(value, bool) else default
