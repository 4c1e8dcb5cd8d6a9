"""Who starts next: over random workloads on random machines."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from podops_runners.order import Decision, Gpus, Want, decide

LONGEST = 9


@dataclass(frozen=True)
class Job:
    """A run of a made-up workload; times are whole ticks."""

    want: Want
    arrives: int
    lasts: int
    priority: int = 0

    @property
    def place(self) -> tuple[int, int, str]:
        return (-self.priority, self.arrives, self.want.key)


@dataclass
class Machine:
    """GPUs over time, scheduled by `decide` after every arrival and every end, as the agent does."""

    size: int
    foreign: frozenset[int] = frozenset()
    started: dict[str, int] = field(default_factory=dict)
    passes: list[tuple[list[Job], Gpus, dict[str, Decision]]] = field(default_factory=list)

    def run(self, jobs: list[Job]) -> None:
        busy: dict[int, int] = {}
        waiting: list[Job] = []
        for now in range(LONGEST * (len(jobs) + 2)):
            waiting += [job for job in jobs if job.arrives == now]
            waiting.sort(key=lambda job: job.place)
            busy = {gpu: until for gpu, until in busy.items() if until > now}
            gpus = Gpus(frozenset(range(self.size)), frozenset(busy), self.foreign)
            decisions = {one.key: one for one in decide([job.want for job in waiting], gpus)}
            self.passes.append((list(waiting), gpus, decisions))
            for job in list(waiting):
                chosen = decisions[job.want.key].gpus
                if chosen is not None:
                    busy.update(dict.fromkeys(chosen, now + job.lasts))
                    self.started[job.want.key] = now
                    waiting.remove(job)

    def needs(self, want: Want) -> tuple[int, frozenset[int]]:
        every = frozenset(range(self.size))
        if want.every:
            return self.size, every
        return (len(want.indices), frozenset(want.indices)) if want.indices else (want.number, every)

    def can_ever(self, want: Want) -> bool:
        count, allowed = self.needs(want)
        return len(allowed & frozenset(range(self.size)) - self.foreign) >= count


def wants(size: int) -> st.SearchStrategy[Want]:
    index = st.integers(0, size)  # one of them is not there
    return st.one_of(
        st.integers(0, size + 1).map(lambda number: Want("", number)),
        st.just(Want("", every=True)),
        st.sets(index, min_size=1, max_size=3).map(lambda chosen: Want("", indices=tuple(sorted(chosen)))),
    )


@st.composite
def workloads(draw: st.DrawFn) -> tuple[Machine, list[Job]]:
    size = draw(st.integers(1, 8))
    foreign = draw(st.frozensets(st.integers(0, size - 1), max_size=size // 2))
    drawn = draw(
        st.lists(
            st.tuples(wants(size), st.integers(0, 20), st.integers(1, LONGEST), st.integers(-1, 1)),
            min_size=1,
            max_size=25,
        )
    )
    jobs = [
        Job(want._replace(key=f"run{number}"), arrives, lasts, priority)
        for number, (want, arrives, lasts, priority) in enumerate(drawn)
    ]
    return Machine(size, foreign), jobs


#: One run that needs everything, in a stream of narrow ones that always finds a GPU or two free.
FLOOD = [Job(Want(f"narrow{number:02}", 1), number // 2, 3) for number in range(60)]
FLOODED = (Machine(4), [*FLOOD, Job(Want("wide", 4), 2, 2)])

many = settings(max_examples=300)


@many
@given(workloads())
def test_no_gpu_is_given_twice_nor_one_that_others_use_nor_one_that_was_not_asked_for(
    world: tuple[Machine, list[Job]],
) -> None:
    machine, jobs = world
    machine.run(jobs)
    for waiting, gpus, decisions in machine.passes:
        given_now = [gpu for decision in decisions.values() for gpu in decision.gpus or ()]
        assert len(given_now) == len(set(given_now))
        assert set(given_now) <= gpus.every - gpus.ours - gpus.foreign
        for job in waiting:
            chosen = decisions[job.want.key].gpus
            count, allowed = machine.needs(job.want)
            assert chosen is None or (len(chosen) == count and set(chosen) <= allowed)


@many
@given(workloads())
@example(FLOODED)
def test_every_run_starts_after_at_most_one_longest_run_for_each_that_goes_before_it(
    world: tuple[Machine, list[Job]],
) -> None:
    machine, jobs = world
    machine.run(jobs)
    for job in jobs:
        if not machine.can_ever(job.want):
            assert job.want.key not in machine.started
            continue
        before = {
            other.want.key
            for waiting, _, decisions in machine.passes
            if job in waiting
            for other in waiting
            if other.place < job.place and machine.can_ever(other.want)
        }
        assert machine.started.get(job.want.key, math.inf) - job.arrives <= LONGEST * (len(before) + 1)


@many
@given(workloads())
@example(FLOODED)
def test_nobody_is_overtaken_by_a_run_that_takes_what_it_waits_for(world: tuple[Machine, list[Job]]) -> None:
    machine, jobs = world
    machine.run(jobs)
    for waiting, _, decisions in machine.passes:
        kept: set[int] = set()
        for job in waiting:
            chosen = decisions[job.want.key].gpus
            assert not kept & set(chosen or ())
            if chosen is None and machine.can_ever(job.want):
                kept |= machine.needs(job.want)[1]


@many
@given(workloads())
def test_a_gpu_stands_idle_only_for_a_run_that_will_use_it(world: tuple[Machine, list[Job]]) -> None:
    machine, jobs = world
    machine.run(jobs)
    for waiting, gpus, decisions in machine.passes:
        given_now = {gpu for decision in decisions.values() for gpu in decision.gpus or ()}
        idle = gpus.every - gpus.ours - gpus.foreign - given_now
        kept = 0
        for job in waiting:
            if decisions[job.want.key].gpus is not None:
                continue
            count, allowed = machine.needs(job.want)
            assert len(idle & allowed) < count + kept
            if machine.can_ever(job.want):
                kept += count


def test_a_run_that_waits_is_told_for_what() -> None:
    gpus = Gpus(frozenset(range(4)), ours=frozenset({0, 1}), foreign=frozenset({2}))
    asked = [Want("/runs/two", 2), Want("nine", 9), Want("picked", indices=(0, 7)), Want("first", indices=(0,))]
    told = {decision.key: decision.why for decision in decide(asked, gpus)}
    assert told == {
        "/runs/two": "waits for 2 GPUs: 1 of 4 free, 1 in use by others",
        "nine": "needs 9 GPUs, the pod has 4",
        "picked": "GPU 7 is not there",
        "first": "waits for 1 GPU (0): 0 of 4 free, 1 kept for two, 1 in use by others",
    }


def test_a_pod_that_shows_no_gpu_keeps_its_runs_waiting_and_says_so() -> None:
    assert decide([Want("any", 1)], Gpus()) == [Decision("any", None, "no GPU can be seen on this pod")]
