"""What holds for every test, however it was started and however busy the machine is."""

from __future__ import annotations

import signal

from hypothesis import settings

# A shell ignores SIGINT in what it starts in the background, and every process of ours would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
