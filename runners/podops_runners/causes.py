"""What the known ways to fail look like in a log: the wording of the libraries themselves, most specific cause first.

A pattern for an error is matched against `Error: message` of a traceback's exception, from its beginning. A pattern for
a line is searched in a line outside tracebacks and is kept so narrow that text which merely speaks of such a failure
does not match.
"""

import re

from podops_runners.typed import NamedTuple, Optional, Pattern

#: Below this much room a failed write is taken for a full disk, bytes.
NO_ROOM_BYTES = 64 * 1024 * 1024


class Cause(NamedTuple):
    reason: str
    explanation: str
    error: Optional[Pattern[str]] = None
    line: Optional[Pattern[str]] = None
    #: How many ordinary lines may follow the line; afterwards the program had got over it.
    reach: int = 20
    #: Errors that programs handle as a matter of course: only the one nobody handled counts.
    handled_often: bool = False
    #: What other processes suffer when one has failed for a reason of its own.
    consequence: bool = False
    #: `oom_kills`: the kernel must have counted kills for memory; `no_room`: the disk must be full; `not_started`:
    #: bash must have said so by exit status 126 or 127.
    needs: str = ""


def _error(*alternatives: str) -> Pattern[str]:
    return re.compile(r"(?:[A-Za-z_]\w*\.)*(?:" + "|".join(alternatives) + ")")


def _line(*alternatives: str) -> Pattern[str]:
    return re.compile("|".join(alternatives))


#: Xid numbers that tell of hardware (13, 31, 43, 45, 69 are mostly the program's own doing).
_XID = r"(?:48|6[234]|74|79|9[245]|110|119|12[0-4]|13[67]|14[0359]|15[01456])"
_GPU = r"(?:CUDA|HIP|XPU|MPS backend)"
_GPU_OOM = _GPU + r"(?: driver)?(?: error:)? out of memory"
_TRIED = r" out of memory\. Tried to allocate [\d.]+ ?[KMGT]i?B"
_NO_ROOM = r"(?:No space left on device|Disk quota exceeded)(?: \((?:os error )?\d+\))?\W*$"
_IN_USE = r"[Aa]ddress already in use"
_NAN = r"\b(?:nans?|inf|infinite)\b"
_LOSS_IS_NAN = (
    r"(?i:loss\W{{1,3}}(?:\w{{1,20}}\W{{1,3}}){{0,3}}{0}|{0}\W{{1,3}}(?:\w{{1,20}}\W{{1,3}}){{0,3}}loss)".format(_NAN)
)
_KILLED = (
    r"is killed by signal: Killed",
    r"exitcode\s*: -9\b",
    r"\(exitcode: -9\)",
    r"return code = -9\b",
    r"<Signals\.SIGKILL: 9>",
    r"terminated with signal SIGKILL",
    r"terminated abruptly while the future",
    r"DataLoader worker \(pid\(s\) [\d, ]+\) exited",
    r"^\S*: line \d+: +\d+ Killed\b",
    r"^Killed$",
)

_GPU_FAULT = Cause(
    "gpu_fault",
    "a GPU reported a hardware fault",
    _error(
        r"\w+: .{0,300}?uncorrectable (?:ECC|NVLink) error",
        r"\w+: .{0,300}?CUDA_ERROR_(?:ECC|NVLINK)_UNCORRECTABLE",
        r"\w+: .{0,300}?GPU (?:is lost|has fallen off the bus)",
        r"\w+: CUDA error: .{0,100}over nvlink or a hardware error",
    ),
    _line(
        r"NVRM: Xid \([^)]*\): " + _XID + r"\b",
        r"GPU has fallen off the bus",
        r"GPU is lost\. +Reboot",
        r"Unable to determine the device handle for (?:gpu|GPU)",
        r"\bCUDA_ERROR_ECC_UNCORRECTABLE\b",
        r"^CUDA error: uncorrectable",
        r"what\(\): .{0,200}uncorrectable (?:ECC|NVLink) error",
        r"Cuda failure (?:\d+ )?'uncorrectable",
    ),
    reach=60,
)

_OOM_GPU = Cause(
    "oom_gpu",
    "the GPU ran out of memory",
    _error(
        r"OutOfMemoryError: (?:" + _GPU + r"|Out of memory|Allocation on device)",
        r"\w+: " + _GPU_OOM,
        r"RuntimeError: cuda runtime error \(2\) ?: out of memory",
        r"RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED",
        r"RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        r"RuntimeError: Not enough memory\. Please try to increase --mem-fraction-static",
        r"\w+: (?:INTERNAL: )?RESOURCE_EXHAUSTED: .{0,200}[Oo]ut of memory",
        r"ResourceExhaustedError: .{0,300}OOM when allocating tensor",
        r"ValueError: No available memory for the cache blocks",
        r"ValueError: Free memory on device .{0,200} is less than desired GPU memory utilization",
        r"ValueError: To serve at least one request with .{0,300}KV cache",
        r"ValueError: The model's max seq len .{0,200} in KV cache",
    ),
    _line(
        r"^(?:[\w.]*Error: )?" + _GPU + _TRIED,
        r"^(?:[\w.]*Error: )?CUDA error: out of memory\b",
        r"what\(\): +" + _GPU_OOM,
        r"cudaMalloc failed: out of memory",
        r"Cuda failure (?:\d+ )?'out of memory'",
        r"^(?:\S*Error: )?RESOURCE_EXHAUSTED: Out of memory (?:while trying to allocate|allocating) \d+",
    ),
)

_OOM_KILLED = Cause(
    "oom_host",
    "the kernel killed a process of the run for memory",
    _error(r"\w+: .{0,300}?(?:" + "|".join(_KILLED[:8]) + ")"),
    _line(*_KILLED),
    reach=60,
    needs="oom_kills",
)

_OOM_HOST = Cause(
    "oom_host",
    "the machine's memory ran out",
    _error(
        r"_?(?:Array)?MemoryError(?::|$)",
        r"OSError: \[Errno 12\]",
        r"RuntimeError: .{0,200}DefaultCPUAllocator: ",
        r"OutOfMemoryError: Task was killed due to the node running low on memory",
    ),
    _line(
        r"^terminate called after throwing an instance of 'std::bad_alloc'",
        r"what\(\): +std::bad_alloc",
        r"(?:Out of memory|Memory cgroup out of memory): Killed process \d+",
        r"Detected \d+ oom[-_]kill event",
    ),
)

_DISK_FULL = Cause(
    "disk_full",
    "a disk or its quota is full",
    _error(
        r"(?:OS|IO)Error: \[Errno (?:28|122)\]",
        r"OSError: .{0,300}errno = 28\b",
        r"\w+: .{0,400}?" + _NO_ROOM,
    ),
    _line(r"^\S+: .{0,300}" + _NO_ROOM, r"what\(\): .{0,300}" + _NO_ROOM),
    reach=10,
)

_WRITE_FAILED = Cause(
    "disk_full",
    "a write failed and the run's disk has no room",
    _error(r"\w+: .{0,300}(?:PytorchStreamWriter failed writing|unexpected pos \d+ vs \d+|write failed)"),
    _line(r"PytorchStreamWriter failed writing", r"unexpected pos \d+ vs \d+"),
    reach=10,
    needs="no_room",
)

_NAN_LOSS = Cause(
    "nan_loss",
    "the program stopped because its loss was no longer a number",
    _error(
        r"FloatingPointError: (?:Loss became infinite or NaN|Minimum loss scale reached)",
        r"RuntimeError: Function '\w+' returned nan values in its",
        r"ValueError: The loss returned in `\w+` is nan or inf",
        r"(?:Runtime|Value|FloatingPoint|Arithmetic|Assertion)Error: .{0,200}" + _LOSS_IS_NAN,
        r"\w*(?:Exception|NaN\w*|Nan\w*): .{0,200}" + _LOSS_IS_NAN,
        r"\w+: (?:Rank \d+: )?found NaN in ",
        r"\w+: Current loss scale already at minimum",
    ),
    _line(
        r"^(?i:\W*(?:error: )?(?:the )?(?:train(?:ing)? |total )?loss (?:is|became|=) \W*(?:nan|-?inf)\w*\b"
        r".{0,60}\b(?:stop|abort|exit|terminat|quit))",
        r"^(?i:nan (?:or inf(?:inite)? )?loss\b.{0,60}\b(?:stop|abort|exit|terminat))",
    ),
    reach=10,
)

_ADDRESS_IN_USE = Cause(
    "address_in_use",
    "an address the run wanted to listen on is taken",
    _error(
        r"(?:OS|IO)Error: (?:\[Errno (?:98|48)\]|Cannot find empty port in range)",
        r"(?:RuntimeError|OSError|\w*BindError|\w*SocketError|Dist\w+Error): .{0,400}?(?:EADDRINUSE|" + _IN_USE + ")",
    ),
    _line(
        r"\[Errno (?:98|48)\] .{0,120}" + _IN_USE,
        r"^(?:Uncaught )?Error: listen EADDRINUSE\b",
        r"^(?:[Ee]rror|RuntimeError|fatal|panic)\b.{0,200}" + _IN_USE,
        r"\bbind(?:ing)?\b.{0,120}" + _IN_USE,
    ),
    reach=10,
)

_AUTH = Cause(
    "auth",
    "credentials were refused or are missing",
    _error(
        r"GatedRepoError\b",
        r"\w+: You are trying to access a gated repo",
        r"\w+: Dataset '[^']*' is a gated dataset",
        r"\w+: (?:api_key not configured|No API key configured)",
        r"\w+: (?:The )?API key (?:you provided|is not|is invalid|must be|verification failed)",
        r"\w+: .{0,100}(?:returned error 40[13]\b|user is not logged in)",
        r"\w*Authentication(?:Error|Failed|Exception)\b(?!: An error occurred while verifying)",
        r"(?:NoCredentials|DefaultCredentials)Error\b",
        r"ClientError: An error occurred \((?:40[13]|AccessDenied|Forbidden|InvalidAccessKeyId|ExpiredToken)\)",
        r"ClientError: An error occurred \(SignatureDoesNotMatch\)",
    ),
    _line(
        r"^\S+: Permission denied \([\w,-]*publickey[\w,-]*\)\.?$",
        r"^fatal: (?:Authentication failed|could not read (?:Username|Password))",
        r"^remote: (?:Invalid username or|HTTP Basic: Access denied|Permission to \S+ denied to )",
        r"^wandb: ERROR .{0,80}(?:api_key not configured|API key|not logged in|permission denied)",
        r"^curl: \(22\) The requested URL returned error: 40[13]",
        r"ERROR 40[13]: (?:Forbidden|Unauthorized)",
        r"^(?:fatal error: )?Unable to locate credentials",
    ),
)

_HUB_MISSING = Cause(
    "data_missing",
    "a data set or model is not where it was looked for (or not for this account)",
    _error(
        r"(?:Dataset|Repository|Revision|RemoteEntry|Entry|DataFiles)NotFoundError\b",
        r"OSError: .{0,300}is not a local folder and is not a valid model identifier",
        r"OSError: .{0,300}does not appear to have a file named",
        r"ClientError: An error occurred \((?:404|NoSuchKey|NoSuchBucket)\)",
    ),
)

_REFUSED = Cause(
    "auth",
    "a server refused the credentials",
    _error(
        r"\w+: 40[13] Client Error\b",
        r"\w+: HTTP Error 40[13]\b",
        r"\w+: Error code: 40[13]\b",
        r"\w+: Client error '40[13] ",
        r"\w+: 40[13], message=",
        r"\w+: .{0,100}\b(?:401 Unauthorized|403 Forbidden)\b",
    ),
    handled_often=True,
)

_IMPORT = Cause(
    "import_error",
    "a module or shared library is missing or does not fit",
    _error(
        r"(?:ModuleNotFound|Import)Error\b",
        r"RuntimeError: Failed to import \S+ because of the following error",
        r"OSError: \S+: cannot open shared object file",
    ),
    _line(
        r"^\S*python[\d.]*: (?:No module named |Error while finding module specification)",
        r"error while loading shared libraries: ",
    ),
    reach=10,
    handled_often=True,
)

_FILE_MISSING = Cause(
    "data_missing",
    "a file is missing",
    _error(r"FileNotFoundError\b", r"(?:OS|IO)Error: \[Errno 2\]"),
    _line(
        r"^\S*python[\d.]*: can't open file .{1,400}\[Errno 2\]",
        r"^(?:cat|cp|mv|ls|tar|head|tail|wc|unzip|gzip|zcat|rsync|ln): .{1,400}No such file or directory",
    ),
    reach=3,
    handled_often=True,
)

_NOT_STARTED = Cause(
    "spawn_failed",
    "the command could not be started",
    None,
    _line(
        r": command not found$",
        r": (?:Permission denied|No such file or directory|not found|Is a directory|Exec format error)$",
        r"failed to run command ",
    ),
    reach=5,
    needs="not_started",
)

_NO_WORKDIR = Cause(
    "spawn_failed",
    "the run's working directory cannot be entered",
    None,
    _line(r"command\.sh: line \d+: cd: .{1,400}: (?:No such file or directory|Permission denied|Not a directory)$"),
    reach=3,
)

_NCCL = Cause(
    "nccl",
    "communication between the GPUs failed",
    _error(
        r"DistBackendError\b",
        r"\w+: (?:\[[^\]]{0,60}\] ?){0,4}(?:NCCL [Ee]rror|NCCL communicator was aborted)",
        r"\w+: (?:\[[^\]]{0,60}\] ?){0,4}Watchdog caught collective operation timeout",
        r"\w+: nccl(?:System|Remote|Internal|UnhandledCuda)Error",
    ),
    _line(
        r"Watchdog caught collective operation timeout",
        r"watchdog thread terminated with exception",
        r"Some NCCL operations have failed or timed out",
        r"^nccl(?:System|Remote|Internal|UnhandledCuda)Error: ",
        r"NCCL error in: ",
        r"remote process exited or there was a network error",
    ),
    reach=60,
    consequence=True,
)

CAUSES = (
    _GPU_FAULT,
    _OOM_GPU,
    _OOM_KILLED,
    _OOM_HOST,
    _DISK_FULL,
    _WRITE_FAILED,
    _NAN_LOSS,
    _ADDRESS_IN_USE,
    _AUTH,
    _HUB_MISSING,
    _REFUSED,
    _IMPORT,
    _FILE_MISSING,
    _NO_WORKDIR,
    _NOT_STARTED,
    _NCCL,
)

#: Errors that only report that something else failed, in another process or before.
MESSENGER = _error(
    r"(?:ChildFailed|CalledProcess|ConnectionReset|ConnectionRefused|ConnectionAborted|BrokenPipe|EOF)Error\b",
    r"Process(?:Raised|Exited)Exception\b",
    r"(?:EngineDead|AsyncEngineDead|WorkerCrashed|ActorDied|RayTask|RayActor|DistStore|DistNetwork)Error\b",
    r"(?:SignalException|BrokenProcessPool|KeyboardInterrupt|SystemExit|_?RemoteTraceback|JobException)\b",
    r"(?:Base)?ExceptionGroup\b",
    r"\w+: CUDA error: ",
    r"RuntimeError: (?:DataLoader worker |Background loop has errored|WorkerProc initialization failed)",
    r"RuntimeError: Engine (?:core|process) .{0,60}fail",
    r"RuntimeError: .{0,200}(?:Connection (?:closed|reset|refused) by peer|Broken pipe|Socket Timeout)",
    r"\w+: .{0,200}(?:Timed out (?:initializing|waiting)|wait timeout after)",
)
