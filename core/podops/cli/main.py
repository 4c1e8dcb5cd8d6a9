"""The `ops` command as a process: what is done before its words are understood, and after its work is done."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading

#: Loading a few hundred modules makes nothing that could be collected, but is looked through many times.
_COLLECT_EVERY = (50_000, 10, 10)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command; with `arguments` within another program, and then it leaves through `sys.exit`."""
    words = sys.argv[1:] if arguments is None else arguments
    loud = arguments is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if loud:
        # Until there is anybody to say what ctrl-c has interrupted, it ends this process without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from podops.child_programs import watch_for_our_end
    from podops.cli.hasten import hasten_for
    from podops.cli.streams import bear_any_streams

    bear_any_streams()
    if arguments is None:
        gc.set_threshold(*_COLLECT_EVERY)
        watch_for_our_end()
        hasten_for(words, os.environ)
    from podops.cli.command_line import run

    if loud:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run(words)
    except SystemExit as end:
        if arguments is None and isinstance(end.code, int):
            _leave(end.code)
        raise


def _leave(code: int) -> None:
    """End this process without taking it apart, which the system does faster; returns where something still works."""
    if threading.active_count() > 1:
        return
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
