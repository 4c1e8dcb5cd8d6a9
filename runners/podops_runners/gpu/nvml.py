"""NVML, with NVIDIA's own `pynvml`: opened once, asked query by query, closed and forgotten when the driver goes."""

import os

from podops_runners.typed import Any, Dict, Optional, Tuple

NO_DRIVER = "no NVIDIA driver on this pod"

_LIBRARY = "libnvidia-ml.so.1"

#: What the kernel shows of a driver: Linux, WSL.
_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/proc/driver/nvidia")


class NvmlUnavailable(Exception):
    """NVML cannot be used here and now; the text says why, for a person."""


class QueryFailed(Exception):
    """One query failed. `stale_handle`: the device has to be looked up again."""

    def __init__(self, text: str, stale_handle: bool) -> None:
        super().__init__(text)
        self.stale_handle = stale_handle


class _NoSuchQuery(Exception):
    """This driver or this pynvml does not have it."""


class Nvml:
    """An open NVML library."""

    def __init__(self) -> None:
        """Raises `NvmlUnavailable`."""
        if not _driver_installed():
            raise NvmlUnavailable(NO_DRIVER)
        pynvml = self._nvml = _pynvml()
        self._forms: Dict[Tuple[str, ...], Tuple[str, ...]] = {}
        self._tells_reserved: Optional[bool] = None
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            _unload(pynvml)
            raise NvmlUnavailable(_why(pynvml, error))
        n = pynvml
        self._driver_gone = (
            n.NVML_ERROR_UNINITIALIZED,
            n.NVML_ERROR_DRIVER_NOT_LOADED,
            n.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
        )
        self._no_answer = (n.NVML_ERROR_NOT_SUPPORTED, n.NVML_ERROR_NO_PERMISSION, n.NVML_ERROR_NOT_FOUND)
        self._stale_handle = (n.NVML_ERROR_GPU_IS_LOST, n.NVML_ERROR_INVALID_ARGUMENT, n.NVML_ERROR_UNKNOWN)

    def constant(self, name: str) -> Any:
        return getattr(self._nvml, name)

    def ask(self, names: Tuple[str, ...], *arguments: Any) -> Any:
        """The answer to one query, or `None` for what this card or driver does not tell.

        `names` are the forms of the query: the first that this driver has is used from then on. Raises `QueryFailed`,
        and `NvmlUnavailable` when the driver itself went away.
        """
        known = self._forms.get(names)
        for name in names if known is None else known:
            try:
                answer = self._call(name, *arguments)
            except _NoSuchQuery:
                continue
            self._forms[names] = (name,)
            return answer
        self._forms[names] = ()
        return None

    def memory(self, handle: Any) -> Optional[Tuple[int, int]]:
        """`(used, total)` of a GPU or a MIG instance, bytes. Raises as `ask` does."""
        if self._tells_reserved is not False:
            # Since driver 510 the older form counts what the driver keeps for itself as used: up to 900 MB, idle.
            try:
                found = self._call("nvmlDeviceGetMemoryInfo", handle, self._nvml.nvmlMemory_v2)
                if found is not None:
                    self._tells_reserved = True
                    return int(found.used), int(found.total)
            except (_NoSuchQuery, AttributeError):
                self._tells_reserved = False
            except QueryFailed:
                if self._tells_reserved:
                    raise
                # It never worked here: under WSL this form exists and fails.
        found = self.ask(("nvmlDeviceGetMemoryInfo",), handle)
        return None if found is None else (int(found.used), int(found.total))

    def close(self) -> None:
        """Give the driver back, and forget the library: after a driver update the next one must be loaded anew."""
        try:
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError:
            pass
        _unload(self._nvml)

    def _call(self, name: str, *arguments: Any) -> Any:
        nvml = self._nvml
        query = getattr(nvml, name, None)
        if query is None:
            raise _NoSuchQuery
        try:
            return query(*arguments)
        except nvml.NVMLError as error:
            code = error.value
            if code == nvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                raise _NoSuchQuery
            if code in self._driver_gone:
                raise NvmlUnavailable(_why(nvml, error))
            if code in self._no_answer:
                return None
            raise QueryFailed(str(error), code in self._stale_handle)
        except nvml.NVMLLibraryMismatchError:  # outside pynvml's own error tree
            raise _NoSuchQuery


def may_be_there() -> bool:
    """Whether a driver may be there, seen without `ctypes`: where one has left no trace, none need be tried."""
    if any(os.path.exists(path) for path in _DEVICES):
        return True
    directories = [path for path in os.environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":") if path]
    if any(os.path.exists(os.path.join(path, _LIBRARY)) for path in directories):
        return True
    try:
        with open("/etc/ld.so.cache", "rb") as stream:
            return _LIBRARY.encode() in stream.read()
    except OSError:
        return True  # another C library, which keeps no such list: it must be asked


def _pynvml() -> Any:
    """The part of it that is used, else the whole, which takes 5 MB and ten times as long."""
    try:
        import pynvml_part

        return pynvml_part
    except Exception:  # it was cut out of the whole by a program
        pass
    try:
        import pynvml
    except ImportError:
        raise NvmlUnavailable("pynvml is missing from the pod side")
    return pynvml


def _driver_installed() -> bool:
    # A pod without a driver need not load pynvml.
    import _ctypes
    import ctypes

    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    _ctypes.dlclose(library._handle)
    return True


def _unload(nvml: Any) -> None:
    # pynvml keeps the library and its functions for ever; after a driver update those would never work again.
    library = getattr(nvml, "nvmlLib", None)
    cache = getattr(nvml, "_nvmlGetFunctionPointer_cache", None)
    if library is None or cache is None:
        return
    import _ctypes

    nvml.nvmlLib = None
    cache.clear()
    _ctypes.dlclose(library._handle)


def _why(nvml: Any, error: Any) -> str:
    known = {
        nvml.NVML_ERROR_LIBRARY_NOT_FOUND: NO_DRIVER,
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA driver is installed but not loaded",
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the NVIDIA driver was updated while loaded: reload it or reboot",
        nvml.NVML_ERROR_UNINITIALIZED: "the NVIDIA driver is being reloaded",
    }
    return known.get(error.value, "NVML: {}".format(error))
