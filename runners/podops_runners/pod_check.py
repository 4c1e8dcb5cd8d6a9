"""What `ops doctor` asks of a pod: does everything its project file counts on exist here, and work?

Each finding has a level (`ok`, `warn`, `fail`), a subject, a message, and the cure. Nothing is changed, but for a probe
file in the outputs root that is removed at once.
"""

import os
import subprocess
import tempfile
import time

from podops_runners import agent_process, creds, creds_script, environment, netrc_file, outputs_root, tmux
from podops_runners.typed import Any, Dict, List, Optional, Tuple

#: Less free space than this is a fault, less than the second worth a warning, bytes.
_LEAST_FREE, _LITTLE_FREE = 100 * 2**20, 2**30

#: File systems that are gone when the container or the machine restarts.
_PASSING = {"overlay": "the container's own layer", "aufs": "the container's own layer", "tmpfs": "memory"}

_COMMAND_S = 15.0

#: What a tmux needs that works, seconds; it takes milliseconds.
_TMUX_S = 3.0

Finding = Dict[str, str]


def check(request: Dict[str, Any]) -> Dict[str, Any]:
    """The answer to `check` (docs/protocol.md): `findings` and this pod's clock, `time`."""
    findings = [
        _tmux(request.get("tmux") is True),
        *_agent(),
        *_outputs(outputs_root.resolve(_text(request, "outputs_dir") or "~")),
        *_repo(_text(request, "repo_dir")),
        _python(_text(request, "venv_python")),
        *_directory("datasets_root", _text(request, "datasets_root"), "fail", "mount the volume, or correct the path"),
        *_directory(
            "hf_home", _text(request, "hf_home"), "warn", "the first download makes it; is its volume mounted?"
        ),
        *_environment_files(request.get("env_files")),
        *_wandb(request.get("wandb")),
    ]
    return {"findings": findings, "time": time.time()}


def _finding(level: str, subject: str, message: str, hint: str = "") -> Finding:
    return {"level": level, "subject": subject, "message": message, "hint": hint}


def _text(request: Dict[str, Any], name: str) -> Optional[str]:
    value = request.get(name)
    return value if isinstance(value, str) and value else None


def _tmux(needed: bool) -> Finding:
    if not needed:
        return _finding("ok", "tmux", "not used: tmux.enabled is false")
    if tmux.available() is None:
        return _finding("fail", "tmux", "not installed", "apt-get install tmux there, or set tmux.enabled: false")
    done = _run(["tmux", "-V"], _TMUX_S)
    if done[0] != 0:
        hint = "reinstall tmux there, or set tmux.enabled: false"
        return _finding("fail", "tmux", "does not run: {}".format(_last_line(done[1])), hint)
    return _finding("ok", "tmux", done[1].replace("tmux", "").strip())


def _agent() -> List[Finding]:
    """The agent of this pod, and the outputs roots, of whichever project, that do not answer it."""
    record = agent_process.status()
    if record is None:
        return [_finding("ok", "agent", "none at this moment: whatever has something to do starts one")]
    hanging = record.get("hanging")
    if not hanging or not isinstance(hanging, list):
        return [_finding("ok", "agent", "process {}".format(record["agent"]["pid"]))]
    return [
        _finding(
            "warn",
            "agent",
            "the volume of {} has not answered for {:.0f} s: the runs of project {} wait, others go on".format(
                one["outputs_dir"], max(0.0, time.time() - one["since"]), one["project"]
            ),
            "see to its mount or its server; nothing of those runs is lost",
        )
        for one in hanging
    ]


def _outputs(root: str) -> List[Finding]:
    subject = "remote_outputs_dir"
    problem = outputs_root.problem(root)
    if problem:
        if outputs_root.missing(root):
            return [dict(_finding("fail", subject, problem, outputs_root.cure_for_missing(root)), fix="outputs_root")]
        return [_finding("fail", subject, problem, outputs_root.CURE_FOR_UNUSABLE)]
    findings = [_written(root) if os.path.isdir(root) else _unmade(root)]
    place = outputs_root.existing_part(root)
    return findings + [_space(place)] + _persistence(root, mount_of(os.path.realpath(place), _mounts()))


def _unmade(root: str) -> Finding:
    return _finding("ok", "remote_outputs_dir", "{} does not exist yet; the first submit makes it".format(root))


def _written(root: str) -> Finding:
    try:
        descriptor, probe = tempfile.mkstemp(prefix=".probe-", dir=root)
        os.close(descriptor)
        os.unlink(probe)
    except OSError as error:
        message = "{} cannot be written to: {}".format(root, error.strerror or error)
        return _finding("fail", "remote_outputs_dir", message, "make it writable for this user, or free space there")
    return _finding("ok", "remote_outputs_dir", "{} is writable".format(root))


def _space(place: str) -> Finding:
    try:
        info = os.statvfs(place)
    except OSError as error:
        return _finding("warn", "free space", "cannot be told: {}".format(error.strerror or error))
    free = info.f_bavail * info.f_frsize
    level = "fail" if free < _LEAST_FREE else "warn" if free < _LITTLE_FREE else "ok"
    message = "{:.1f} GiB".format(free / 2**30)
    return _finding(level, "free space", message, "" if level == "ok" else "delete old runs or checkpoints there")


def _persistence(root: str, mount: Optional[Tuple[str, str]]) -> List[Finding]:
    """A warning when the root is on something that does not outlive the container, else what it is on."""
    if mount is None:
        return []
    point, kind = mount
    if kind not in _PASSING:
        return [_finding("ok", "volume", "{} ({})".format(point, kind))]
    message = "{} is in {} ({}, mounted at {}): runs are lost with it".format(root, _PASSING[kind], kind, point)
    return [_finding("warn", "volume", message, "mount a volume there, or set remote_outputs_dir to one")]


def _mounts() -> str:
    try:
        with open("/proc/self/mountinfo", errors="surrogateescape") as stream:
            return stream.read()
    except OSError:
        return ""


def mount_of(path: str, mountinfo: str) -> Optional[Tuple[str, str]]:
    """`(mount point, file system)` of an absolute real path, by the text of `/proc/self/mountinfo`."""
    found = None
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) < 9 or "-" not in fields[6:]:
            continue
        point = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = point == "/" or path == point or path.startswith(point + "/")
        # The last of equals counts: it was mounted over the others.
        if inside and (found is None or len(point) >= len(found[0])):
            found = (point, fields[fields.index("-", 6) + 1])
    return found


def _repo(text: Optional[str]) -> List[Finding]:
    if text is None:
        return []
    path = os.path.abspath(os.path.expanduser(text))
    if not os.path.isdir(path):
        return [_finding("fail", "remote_repo_dir", "{} does not exist".format(path), "clone the repository there")]
    status, said = _run(["git", "-C", path, "rev-parse", "--is-inside-work-tree"])
    if status is None:
        message = "{}: no run records its commit, git does not start: {}".format(path, said)
        return [_finding("warn", "remote_repo_dir", message, "apt-get install git there")]
    if status == 0 and said == "true":
        return [_finding("ok", "remote_repo_dir", "{} is a git work tree".format(path))]
    if "dubious ownership" in said:
        message = "{} belongs to another user, so git does not read it".format(path)
        cure = "git config --global --add safe.directory {} there".format(path)
    else:
        message = "{} is not a git work tree: runs record no commit".format(path)
        cure = "clone the repository there"
    return [_finding("warn", "remote_repo_dir", message, cure)]


def _python(text: Optional[str]) -> Finding:
    """The Python that `{python}` stands for."""
    program = text or "python3"
    status, said = _run([program, "-c", "import sys; print(sys.version.split()[0])"])
    if status == 0:
        return _finding("ok", "venv_python", "{} is Python {}".format(program, said))
    message = "{} does not run: {}".format(program, _last_line(said) or "exit status {}".format(status))
    return _finding("fail", "venv_python", message, "make the environment there, or correct venv_python")


def _directory(subject: str, text: Optional[str], level: str, cure: str) -> List[Finding]:
    if text is None:
        return []
    path = os.path.expanduser(text)
    if os.path.isdir(path):
        return [_finding("ok", subject, path)]
    return [_finding(level, subject, "{} does not exist".format(path), cure)]


def _environment_files(paths: Any) -> List[Finding]:
    """Whether every environment file can be used. What stands in it is never told."""
    findings = []
    for path in paths if isinstance(paths, list) else ():
        try:
            names = environment.read_environment_file(str(path))
        except environment.EnvironmentFileError as error:
            cure = "make it there: NAME=value lines; without it, runs that name it fail as setup_failed"
            findings.append(_finding("fail", "env_files", str(error), cure))
            continue
        findings.append(_finding("ok", "env_files", "{}: {} variables".format(path, len(names))))
    return findings


def _wandb(settings: Any) -> List[Finding]:
    """Whether W&B finds credentials where the mode needs them. Only yes or no is ever told."""
    wandb = settings if isinstance(settings, dict) else {}
    mode, script = wandb.get("mode"), _text(wandb, "ensure_creds_script")
    if mode not in ("online", "auto"):
        return []
    path = os.path.expanduser(script) if script else ""
    there = os.path.isfile(path)
    failed = creds.last_problem(os.path.abspath(path)) if there else ""
    findings = _wandb_script(path) if there else []
    if failed:
        cure = "run it by hand there and look what it says: bash {}".format(path)
        level = "fail" if mode == "online" and not creds.has_wandb_credentials() else "warn"
        findings.append(_finding(level, "wandb", "{} when it was run last".format(failed), cure))
    if creds.has_wandb_credentials():
        return [_finding("ok", "wandb", "credentials: yes")] + findings
    if netrc_file.is_broken(netrc_file.standard_path()):
        cure = "mend it by hand, or move it away: nothing of ours changes a file it cannot read"
        return [_finding("fail" if mode == "online" else "warn", "wandb", "~/.netrc cannot be parsed", cure)] + findings
    if there:
        return [_finding("ok", "wandb", "credentials: no; {} is run before a submit".format(script))] + findings
    cure = "run `wandb login` there, or name an ensure_creds_script"
    if script:
        cure = "{} does not exist there: correct storage.wandb.ensure_creds_script".format(script)
    if mode == "online":
        return [_finding("fail", "wandb", "credentials: no, and storage.wandb.mode is online", cure)]
    meant = bool(script or wandb.get("project"))
    return [_finding("warn" if meant else "ok", "wandb", "credentials: no; runs log offline", cure if meant else "")]


def _wandb_script(path: str) -> List[Finding]:
    try:
        if not creds_script.only_exports(path):
            return []
    except OSError as error:
        return [_finding("fail", "wandb", "{} cannot be read: {}".format(path, error.strerror or error))]
    message = "{} only exports WANDB_API_KEY: every shell that reads it keeps the key".format(path)
    cure = "`ops doctor --fix` lets it fill ~/.netrc instead"
    return [dict(_finding("warn", "wandb", message, cure), fix="wandb_script")]


def fix(request: Dict[str, Any]) -> Dict[str, Any]:
    """The answer to `fix` (docs/protocol.md): what a finding with `fix` offers, done. Raises `OSError`."""
    if request.get("fix") == "outputs_root":
        root = outputs_root.resolve(_text(request, "outputs_dir") or "~")
        os.makedirs(root, exist_ok=True)
        return {"message": "{} is made".format(root)}
    if request.get("fix") != "wandb_script":
        raise ValueError("there is no cure named {!r}".format(request.get("fix")))
    path = os.path.expanduser(_text(request, "script") or "")
    kept = creds_script.upgrade(path)
    if kept is None:
        return {"message": "{} needs no change".format(path)}
    return {"message": "{} fills ~/.netrc now; the old one is {}".format(path, kept)}


def _run(command: List[str], within: float = _COMMAND_S) -> Tuple[Optional[int], str]:
    """Exit status and what was said; no status when it could not be started or did not end."""
    basics = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    try:
        done = subprocess.run(
            command,
            env=dict(basics, LC_ALL="C"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=within,
        )
    except OSError as error:
        return None, error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return None, "no answer within {:g} s".format(within)
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()


def _last_line(text: str) -> str:
    return text.splitlines()[-1][:300] if text else ""
