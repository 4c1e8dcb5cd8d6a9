"""Whether somebody wants a run to end while none of its processes is being watched."""

import os
import signal
import time

from podops_runners import end_facts
from podops_runners.rundir import RunDir
from podops_runners.signal_inbox import SignalInbox
from podops_runners.typed import List, Optional
from podops_runners.verdict import Verdict, cancelled

SENT_SIGTERM = "the supervisor was sent SIGTERM"
CTRL_C = "ctrl-c in its terminal"

#: A pod that shuts down tells every process within this, in any order, seconds.
_AT_ONCE_S = 1.0


def verdict(run: RunDir, inbox: SignalInbox) -> Optional[Verdict]:
    """How the run ends by what a user or the pod has asked for since the last look; `None` when nobody has."""
    signals = inbox.take()
    if os.path.exists(run.kill_request):
        return cancelled("user_kill", end_facts.asked_by(run))
    if signal.SIGTERM in signals:
        return cancelled("preempted", SENT_SIGTERM)
    if signal.SIGINT in signals:
        return cancelled("user_kill", CTRL_C)
    return None


def with_the_child(inbox: SignalInbox, number: Optional[int]) -> bool:
    """Whether the pod asked us to end, too, when its child ended, by signal `number` if by one."""
    signals: List[int] = inbox.take()
    deadline = time.monotonic() + (_AT_ONCE_S if number == signal.SIGTERM else 0.0)
    while signal.SIGTERM not in signals and time.monotonic() < deadline:
        inbox.wait(deadline - time.monotonic())
        signals += inbox.take()
    return signal.SIGTERM in signals
