"""The runs of a pod as one link tells them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from podops.fleet import wire
from podops.fleet.snapshot import RunSnapshot


class RunList:
    """A list that comes in pieces is shown once it is whole: a run of a later piece is not missing till then."""

    def __init__(self, pod: str) -> None:
        self._pod = pod
        self._begun = False
        self._pieces: dict[str, RunSnapshot] | None = None
        #: Whether this link has told every run.
        self.complete = False

    def lose(self) -> None:
        """The link is lost; the next one begins anew."""
        self._begun = self.complete = False
        self._pieces = None

    def take(self, push: Mapping[str, Any], shown: Mapping[str, RunSnapshot]) -> dict[str, RunSnapshot] | None:
        """The runs after `push`, where `shown` were known before; `None` while there is more to come."""
        begins = push.get("full") is True
        self._begun = self._begun or begins
        runs = {} if begins else dict(shown) if self._pieces is None else self._pieces
        received = time.monotonic()
        for item in wire.items(push.get("changed"), wire.MANY_RUNS):
            if (run := wire.run(item, self._pod, received)) is not None:
                runs[run.run_id] = run
        for run_id in wire.gone_run_ids(push.get("gone")):
            runs.pop(run_id, None)
        if push.get("more") is True:
            self._pieces = runs
            return None
        self._pieces = None
        self.complete = self._begun
        return runs
