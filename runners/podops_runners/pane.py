"""Showing a run's output in its tmux pane, without ever waiting for the pane."""

import os


class Pane:
    """A terminal that may be blocked (ctrl-s, copy mode) or gone: what it does not take at once is dropped.

    Nothing is lost, because the log is the file; this is only a view of it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._open = os.isatty(descriptor)
        if self._open:
            os.set_blocking(descriptor, False)

    def show(self, data: bytes) -> None:
        if not self._open:
            return
        try:
            while data:
                # The pane has a terminal of its own, which turns newlines into carriage return and newline.
                data = data[os.write(self._descriptor, data[:4096]) :]
        except BlockingIOError:
            pass
        except OSError:
            self._open = False
