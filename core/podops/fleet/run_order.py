"""All runs of a fleet in their order, from snapshot to snapshot."""

from __future__ import annotations

from collections.abc import Mapping

from podops.fleet.snapshot import FleetSnapshot, PodSnapshot, RunSnapshot


class RunOrder:
    """What `FleetSnapshot.runs` gives, by looking only at what has changed since it was asked last.

    Most changes are of runs that stay where they are: a new step, another state. They are not sorted again.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Mapping[str, RunSnapshot]] = {}
        self._runs: dict[tuple[str, str], RunSnapshot] = {}

    def runs(self, fleet: FleetSnapshot) -> list[RunSnapshot]:
        """Every run once, newest first."""
        changed = [pod for name, pod in fleet.pods.items() if self._seen.get(name) is not pod.runs]
        if list(fleet.pods) != list(self._seen) or not all(self._follow(pod) for pod in changed):
            self._seen = {name: pod.runs for name, pod in fleet.pods.items()}
            self._runs = {(run.project, run.run_id): run for run in fleet.runs()}
        return list(self._runs.values())

    def _follow(self, pod: PodSnapshot) -> bool:
        """Take what a pod tells of its runs now; `False` when one may have another place in the order."""
        before = self._seen[pod.name]
        if before.keys() != pod.runs.keys():
            return False
        for run_id, run in pod.runs.items():
            was = before[run_id]
            if run is was:
                continue
            if (run.created_at, run.project, run.owned) != (was.created_at, was.project, was.owned):
                return False
            key = (run.project, run_id)
            # A run on a shared volume is shown as the pod tells it that owns it.
            if self._runs[key] is was:
                self._runs[key] = run
        self._seen[pod.name] = pod.runs
        return True
