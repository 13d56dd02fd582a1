"""Members on workers that come and go: nothing lost, nothing twice, pairs on equal processors."""

import heapq
import random
from collections import Counter, defaultdict

import pytest

from dropout_zoo.training.engine.cluster.dispatch import Dispatcher, Finished, Joined, Lost
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.members import Job, Member


class FakeWorkers:
    """Workers on a clock that advances to the next event; their outcome is their name.

    `happenings` are functions by the time at which they are called. A worker trains its members in
    order, as many at a time as it has slots, each for a second. A member of `deadly` ends it
    instead, after a while. Outcomes are on the way for some seconds, and lost if the worker ends.
    """

    def __init__(self, happenings=(), deadly=(), *, ends_after=1.0, on_the_way=0.0):
        self.now, self.deadly, self.stopped = 0.0, set(deadly), False
        self.ends_after, self.on_the_way = ends_after, on_the_way
        self.workers, self.given, self.most = {}, defaultdict(list), Counter()
        self._heap, self._order = [], iter(range(10**9))
        self._due = []
        for at, happening in happenings:
            self.at(at, happening)

    def at(self, time, happening):
        heapq.heappush(self._heap, (time, next(self._order), happening))

    def clock(self):
        return self.now

    def join(self, name, slots=1, group="a"):
        self.workers[name] = {"slots": slots, "queue": [], "training": set()}
        self._due.append(Joined(name, slots, group))

    def lose(self, name, with_node=True):
        if self.workers.pop(name, None) is not None:
            self._due.append(Lost(name, f"{name} ended", with_node))

    def submit(self, name, job):
        if name not in self.workers:
            return
        worker = self.workers[name]
        worker["queue"].append(job)
        self.given[name].append(job.number)
        self.most[name] = max(self.most[name], len(worker["queue"]) + len(worker["training"]))
        self._begin(name)

    def _begin(self, name):
        worker = self.workers[name]
        while worker["queue"] and len(worker["training"]) < worker["slots"]:
            job = worker["queue"].pop(0)
            worker["training"].add(job.number)
            lasts = self.ends_after if job.number in self.deadly else 1.0
            self.at(self.now + lasts, lambda job=job: self._end(name, worker, job))

    def _end(self, name, worker, job):
        if self.workers.get(name) is not worker:
            return
        if job.number in self.deadly:
            self.lose(name, with_node=False)
            self.at(self.now + 1.0, lambda: self.join(f"{name}'", worker["slots"]))
            return
        worker["training"].remove(job.number)
        self.at(self.now + self.on_the_way, lambda: self._arrive(name, worker, job))
        self._begin(name)

    def _arrive(self, name, worker, job):
        if self.workers.get(name) is worker:
            self._due.append(Finished(name, job.number, name))

    def events(self, timeout):
        limit = self.now + timeout
        while not self._due and self._heap and self._heap[0][0] <= limit:
            self.now, _, happening = heapq.heappop(self._heap)
            happening()
        if not self._due:
            self.now = limit
        due, self._due = self._due, []
        return due

    def stop(self):
        self.stopped = True
        self.workers.clear()


def jobs_of(seeds):
    return [Job(number, Member({}, seed), {}) for number, seed in enumerate(seeds)]


def run(pool, jobs, *, known=True, **arguments):
    dispatcher = Dispatcher(pool, clock=pool.clock, **arguments)
    finished, failed = [], {}
    dispatcher.run(
        JobSource(iter(jobs), known=known),
        lambda job, outcome: finished.append((job.number, outcome)),
        lambda job, reason: failed.__setitem__(job.number, reason),
    )
    return finished, failed


def test_every_member_is_trained_once_and_workers_hold_one_more_than_they_train():
    pool = FakeWorkers([(0, lambda: pool.join("one")), (0, lambda: pool.join("eight", 8))])
    finished, failed = run(pool, jobs_of(range(90)))
    assert sorted(number for number, _ in finished) == list(range(90))
    assert not failed
    assert pool.most == {"one": 2, "eight": 10}
    assert pool.now == pytest.approx(10, abs=1)  # nine at a time, a second each


def test_few_members_go_to_free_slots_first():
    pool = FakeWorkers()
    pool.join("one")
    pool.join("eight", 8)
    run(pool, jobs_of(range(9)))
    assert {name: len(given) for name, given in pool.given.items()} == {"one": 1, "eight": 8}


def test_an_iterator_is_not_advanced_beyond_the_slots():
    taken, finished = [], []

    def jobs():
        for job in jobs_of(range(12)):
            taken.append(job.number)
            assert len(taken) - len(finished) <= 3
            yield job

    pool = FakeWorkers([(0, lambda: pool.join("a", 3))])
    dispatcher = Dispatcher(pool, clock=pool.clock)
    dispatcher.look(1.0)
    assert dispatcher.slots == 3
    dispatcher.run(JobSource(jobs()), lambda job, _: finished.append(job.number), print)
    assert len(finished) == 12


def test_what_a_lost_worker_had_is_trained_by_others_and_joining_ones_are_used():
    pool = FakeWorkers(
        [
            (0, lambda: pool.join("a", 2)),
            (2.5, lambda: pool.lose("a")),
            (7, lambda: pool.join("b", 4)),
        ]
    )
    finished, failed = run(pool, jobs_of(range(20)))
    assert sorted(number for number, _ in finished) == list(range(20))
    assert Counter(name for _, name in finished) == {"a": 4, "b": 16}
    # What was being trained comes first, in its order.
    assert pool.given["b"][:3] == pool.given["a"][4:]
    assert not failed


def test_a_member_that_ends_two_workers_alone_has_failed_and_those_beside_it_have_not():
    pool = FakeWorkers([(0, lambda: pool.join("a", 4)), (0, lambda: pool.join("b", 4))], deadly=[5])
    finished, failed = run(pool, jobs_of(range(40)))
    assert list(failed) == [5]
    assert "2 workers ended while training nothing else; the last one: " in failed[5]
    assert sorted(number for number, _ in finished) == [*range(5), *range(6, 40)]


def test_several_deadly_members_are_told_from_those_beside_them():
    deadly = {3, 4, 20}
    pool = FakeWorkers([(0, lambda: pool.join("a", 8)), (0, lambda: pool.join("b", 8))], deadly)
    finished, failed = run(pool, jobs_of(range(60)))
    assert set(failed) == deadly
    assert len(finished) == 57


@pytest.mark.parametrize("slots", [1, 4])
def test_a_member_whose_outcome_was_on_the_way_is_not_taken_for_a_deadly_one(slots):
    pool = FakeWorkers(
        [(0, lambda: pool.join("a", slots)), (0, lambda: pool.join("b", slots))],
        deadly=[1, 12],
        ends_after=0.1,
        on_the_way=0.3,
    )
    finished, failed = run(pool, jobs_of(range(30)))
    assert set(failed) == {1, 12}
    assert len(finished) == 28


def test_nodes_that_leave_are_not_held_against_a_member_unless_it_is_always_there():
    happenings = [
        event
        for number in range(4)
        for event in [
            (number, lambda n=number: pool.join(f"{n}")),
            (number + 0.5, lambda n=number: pool.lose(f"{n}")),
        ]
    ]
    pool = FakeWorkers([*happenings, (9, lambda: pool.join("stays"))])
    assert run(pool, jobs_of([0])) == ([(0, "stays")], {})
    pool = FakeWorkers(
        [*happenings, (9, lambda: pool.join("5")), (9.5, lambda: pool.lose("5"))],
    )
    finished, failed = run(pool, jobs_of([0]))
    assert not finished and "5 workers ended" in failed[0]


def test_the_first_outcome_counts_and_one_lost_on_the_way_is_asked_for_again():
    pool = FakeWorkers(
        [
            (0, lambda: pool.join("slow")),
            (0.5, lambda: pool.lose("slow")),
            (0.6, lambda: pool.join("a")),
            (0.7, lambda: pool._due.append(Finished("slow", 0, "late"))),
            (0.8, lambda: pool._due.append(Finished("a", 1, None))),
        ]
    )
    finished, failed = run(pool, jobs_of(range(3)))
    assert sorted(number for number, _ in finished) == [0, 1, 2]
    assert dict(finished)[0] == "late"
    assert not failed


def test_members_of_a_seed_are_trained_on_equal_processors():
    pool = FakeWorkers(
        [
            (0, lambda: pool.join("a", 2, "x")),
            (0, lambda: pool.join("b", 3, "y")),
            (3.5, lambda: pool.lose("b")),
            (5, lambda: pool.join("c", 3, "y")),
        ]
    )
    seeds = [seed for seed in range(20) for _ in range(5)]
    finished, _ = run(pool, jobs_of(seeds))
    assert len(finished) == 100
    groups = defaultdict(set)
    for number, name in finished:
        groups[seeds[number]].add("x" if name == "a" else "y")
    assert all(len(each) == 1 for each in groups.values())
    assert {*map(tuple, groups.values())} == {("x",), ("y",)}


def test_later_rounds_keep_to_the_processors_of_a_seed():
    pool = FakeWorkers([(0, lambda: pool.join("a", 1, "x"))])
    dispatcher = Dispatcher(pool, clock=pool.clock)
    finished = {}

    def train(jobs):
        source = JobSource(iter(jobs), known=True)
        dispatcher.run(source, lambda job, name: finished.__setitem__(job.number, name), print)

    train(jobs_of([0, 1]))
    pool.join("b", 50, "y")
    again = [Job(9, Member({}, 0), {}), Job(8, Member({}, 1), {})]
    train(jobs_of([0, 1, 2, 3, 4])[2:] + again)
    assert finished[9] == finished[8] == "a"
    assert finished[3] == "b"


@pytest.mark.parametrize("joins", [False, True])
def test_without_workers_for_what_is_left_it_waits_and_then_says_what_to_do(joins):
    pool = FakeWorkers(
        [(0, lambda: pool.join("a", 1, "x")), (1.5, lambda: pool.lose("a"))]
        + [(2, lambda: pool.join("b", 1, "y"))] * joins
    )
    expected = "computes the same bits as group x" if joins else "start nodes and resume"
    with pytest.raises(RuntimeError, match=expected):
        run(pool, jobs_of([0, 0, 0, 0]), patience=60)
    assert 61 <= pool.now <= 64
    assert pool.stopped


def test_an_error_ends_what_is_being_trained_and_the_next_run_begins_anew():
    pool = FakeWorkers([(0, lambda: pool.join("a", 2))])
    dispatcher = Dispatcher(pool, clock=pool.clock)

    def refuse(job, outcome):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        dispatcher.run(JobSource(iter(jobs_of(range(5))), known=True), refuse, print)
    assert pool.stopped and dispatcher.slots == 0
    pool.join("again", 2)
    finished = []
    later = [Job(number, Member({}, 0), {}) for number in range(10, 14)]
    dispatcher.run(
        JobSource(iter(later), known=True), lambda job, name: finished.append(name), print
    )
    assert finished == ["again"] * 4


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_every_member_has_one_outcome(seed):
    draw = random.Random(seed)
    names = iter(range(10**6))

    def comes_and_goes(pool, slots, group):
        name = str(next(names))
        pool.join(name, slots, group)

        def goes():
            pool.lose(name, with_node=draw.random() < 0.8)
            pool.at(pool.now + draw.random(), lambda: comes_and_goes(pool, slots, group))

        pool.at(pool.now + draw.expovariate(1 / 20), goes)

    pool = FakeWorkers(deadly=draw.sample(range(300), 3))
    for _ in range(6):
        slots, group = draw.choice([1, 4]), draw.choice("xy")
        pool.at(draw.random(), lambda s=slots, g=group: comes_and_goes(pool, s, g))
    finished, failed = run(pool, jobs_of([draw.randrange(40) for _ in range(300)]))
    outcomes = Counter([number for number, _ in finished] + list(failed))
    assert outcomes == dict.fromkeys(range(300), 1)
    assert pool.deadly <= set(failed)
