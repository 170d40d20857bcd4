"""Jobs that a worker watches: one question per system and look, nobody waits for ever, and nothing is held up."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from heliostat.batch import (
    SEEN,
    Accepted,
    Collected,
    Deferred,
    JobRequest,
    JobState,
    Observation,
    Rejected,
    Reply,
    Systems,
    unasked,
)
from heliostat.errors import OperatorError
from heliostat.executor import Submitted, Work
from heliostat.graph import Graph, Kind, Node
from heliostat.job import JobSpec
from heliostat.look import GRACE_SECONDS
from heliostat.task import Attempt
from heliostat.watch import AGAIN_SECONDS, AT_ONCE, LONGEST_SECONDS, LOOKED_AT, LOOKED_AT_BESIDES, Came, Watch

GRAPH = Graph("line", (Node("j", kind=Kind.job, job=JobSpec("true")),))


class System:
    """A batch system that says of every job what a test wants."""

    system, place, pauses = "toy", "here", (0.02, 0.5)

    def __init__(self, gathering: float = 0.0) -> None:
        self.says: JobState | None = JobState.running  # None: it cannot be reached
        self.reply: Reply = Accepted("1")
        self.gathered = gathering
        self.submitted: list[list[str]] = []
        self.cancelled = self.observed = self.looked_at = 0
        self.collected: list[Path] = []
        self.tells, self.said = False, dict[Path, Observation]()  # whether jobs tell of their end, and which have

    def gathering(self, queue: str) -> float:
        """As the test says, for one queue."""
        return self.gathered if queue == "default" else 0.0

    def submit(self, requests: Sequence[JobRequest]) -> list[Reply]:
        """Answer the same to all."""
        self.submitted.append([request.key for request in requests])
        return [self.reply] * len(requests)

    def observe(self, directories: Sequence[Path]) -> list[Observation]:
        """How the jobs stand."""
        if self.says is None:
            raise OperatorError("nobody answers")
        self.observed += 1
        self.looked_at += len(directories)
        return [Observation(self.says)] * len(directories)

    def told(self) -> dict[Path, Observation]:
        """What a test says that jobs told."""
        return self.said

    def cancel(self, directories: Sequence[Path], grace: float) -> None:
        """Count."""
        if self.says is None:
            raise OperatorError("nobody answers")
        self.cancelled += 1

    def collect(self, directory: Path, spec: JobSpec) -> Collected:
        """Nothing is left."""
        self.collected.append(directory)
        return Collected(None)


def job(number: int = 1, queue: str = "default", directory: Path | None = None) -> tuple[Work, Submitted]:
    """A work and its prepared job."""
    directory = directory or Path(f"/jobs/{number}")
    attempt = Attempt(1, number, 1, 1, "j", queue)
    request = JobRequest(f"1/{number}", str(directory), "true", queue=queue)
    return Work(attempt, GRAPH, GRAPH["j"]), Submitted(directory, request)


def watched() -> tuple[System, Watch, Work]:
    """A system, a watch and the one job that it watches since time 0."""
    system = System()
    watch, (work, submitted) = Watch(Systems(system)), job()
    watch.begin(work, submitted, 0.0)
    return system, watch, work


def test_a_job_that_nobody_knows_is_given_up_when_the_grace_of_its_stop_is_over() -> None:
    """Its run is over, and its task would hold a place in its queue for ever."""
    system, watch, work = watched()
    system.says = JobState.unknown
    assert watch.tick(1000.0) == []
    work.stop = "its run is over"
    assert watch.tick(1001.0) == []
    assert watch.tick(1001.0 + GRACE_SECONDS) == [Came(work, over=True)]
    assert (watch.jobs, system.cancelled) == ({}, 2)


def test_a_job_that_still_runs_is_not_given_up() -> None:
    """Whoever is told to stop may take longer."""
    system, watch, work = watched()
    work.stop = "its run is over"
    assert [watch.tick(at) for at in (1.0, 1000.0)] == [[], []]
    system.says = JobState.lost
    assert watch.tick(1001.0) == [Came(work, over=True)]


def test_while_a_batch_system_cannot_be_reached_nothing_is_given_up() -> None:
    """What it should stop it is told when it is back."""
    system, watch, work = watched()
    work.stop, system.says = "its run is over", None
    assert [watch.tick(at) for at in (1.0, 1000.0)] == [[], []]
    system.says = JobState.running
    assert watch.tick(1001.0) == []
    assert system.cancelled == 1


def test_a_job_of_which_nobody_answers_is_not_given_up() -> None:
    """Its scheduler is away, though its files can be read: it may run on."""
    system, watch, work = watched()
    watch.tick(0.0)
    work.stop = "its run is over"
    system.observe = lambda directories: [unasked("nobody answers")] * len(directories)  # type: ignore[method-assign]
    for second in range(1, 60):
        assert watch.tick(float(second)) == []
    assert list(watch.jobs) == [work.task]


def test_what_is_deferred_is_submitted_again_after_growing_pauses() -> None:
    """A scheduler that is away fails no attempt, and is not besieged."""
    system, watch, work = watched()
    system.reply = Deferred("the scheduler does not answer")
    tries = []
    for second in range(200):
        assert watch.tick(float(second)) == []
        tries += [second] * (len(system.submitted) - len(tries))
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == AGAIN_SECONDS
    system.reply, system.says = Accepted("1"), JobState.ended
    assert watch.tick(1000.0) == [Came(work)]


def test_what_is_rejected_is_no_job() -> None:
    """The attempt is over, with the words of the batch system."""
    system, watch, work = watched()
    system.reply = Rejected("invalid partition")
    assert watch.tick(0.0) == [Came(work, rejected="invalid partition")]
    assert watch.jobs == {}


def test_each_system_is_asked_one_question_for_all_of_its_jobs() -> None:
    """However many there are, and whichever queues they came by."""
    local, cluster = System(), System()
    watch = Watch(Systems(local, {"fast": cluster, "long": cluster}))
    for number, queue in enumerate(["fast", "long", "default", "fast"]):
        watch.begin(*job(number, queue), 0.0)
    watch.tick(0.0)
    assert (cluster.submitted, cluster.observed) == ([["1/0", "1/1", "1/3"]], 1)
    assert (local.submitted, local.observed) == ([["1/2"]], 1)


def test_a_look_that_takes_its_time_holds_up_nothing() -> None:
    """The cycle goes on, the other systems are looked at, and no second look at the slow one begins."""
    slow, quick = System(), System()
    looks: list[Callable[[], None]] = []
    watch = Watch(Systems(quick, {"slow": slow}), aside=looks.append)
    slow_work, quick_work = job(1, "slow"), job(2)
    watch.begin(*slow_work, 0.0)
    assert watch.tick(0.0) == []
    watch.begin(*quick_work, 1.0)
    assert watch.tick(1.0) == []
    quick.says = JobState.ended
    looks[1]()
    assert watch.due == 0.0
    assert watch.tick(2.0) == [Came(quick_work[0])]
    assert (len(looks), watch.due) == (2, float("inf"))
    slow.says = JobState.ended
    looks[0]()
    assert watch.tick(3.0) == [Came(slow_work[0])]


def test_what_a_stopped_job_has_printed_is_looked_through_aside() -> None:
    """However much it is, the worker shows life meanwhile; the job is told of when nothing in it can be seen."""
    system, veiled = System(), list[Work]()
    acts: list[Callable[[], None]] = []
    watch, (work, submitted) = Watch(Systems(system), veiled.append, acts.append), job()
    watch.begin(work, submitted, 0.0)
    watch.tick(0.0)
    work.stop, system.says = "its run is over", JobState.ended
    acts.pop()()
    assert (watch.tick(1.0), veiled, list(watch.jobs)) == ([], [], [work.task])
    acts.pop()()
    assert (veiled, watch.due) == ([work], 0.0)
    assert watch.tick(1.0) == [Came(work, over=True)]
    assert (watch.jobs, watch.due) == ({}, float("inf"))


def test_a_job_whose_words_cannot_be_looked_through_comes_to_its_end() -> None:
    """Else its task would hold its place for ever."""

    def broken(_: Work) -> None:
        raise RuntimeError("no light")

    system = System()
    watch, (work, submitted) = Watch(Systems(system), broken), job()
    watch.begin(work, submitted, 0.0)
    work.stop, system.says = "its run is over", JobState.ended
    assert watch.tick(0.0) == [Came(work, over=True)]


def test_a_look_that_began_before_a_job_says_nothing_of_it() -> None:
    """The lease was lost meanwhile, and what is watched now is the next try at the same task."""
    system = System()
    looks: list[Callable[[], None]] = []
    watch = Watch(Systems(system), aside=looks.append)
    watch.begin(*job(directory=Path("/first")), 0.0)
    assert watch.tick(0.0) == []
    watch.clear()
    second, submitted = job(directory=Path("/second"))
    watch.begin(second, submitted, 0.0)
    system.says = JobState.ended
    looks[0]()
    assert watch.tick(0.0) == []
    assert list(watch.jobs) == [second.task]
    looks[1]()  # submits it
    assert watch.tick(9.0) == []
    looks[2]()
    assert watch.tick(9.0) == [Came(second)]


def test_jobs_are_gathered_where_many_are_cheaper_together() -> None:
    """Until no more come for a while; a stream that does not end is cut."""
    system = System(gathering=1.0)
    watch = Watch(Systems(system))
    for number in range(5):
        watch.begin(*job(number), now := number * 0.5)
        assert watch.tick(now) == []
    assert (system.submitted, watch.due) == ([], 3.0)
    watch.tick(3.0)
    assert system.submitted == [[f"1/{number}" for number in range(5)]]
    for number in range(5, 100):
        watch.begin(*job(number), now := number * 0.5)
        watch.tick(now)
    assert len(system.submitted) > 2


def test_a_job_that_could_not_be_with_others_is_not_gathered() -> None:
    """Whatever other queues of its batch system do."""
    system = System(gathering=1.0)
    watch = Watch(Systems(system))
    watch.begin(*job(1), 0.0)
    watch.begin(*job(2, "lone"), 0.0)
    watch.tick(0.0)
    assert system.submitted == [["1/2"]]
    watch.tick(watch.due)
    watch.tick(1.0)
    assert system.submitted == [["1/2"], ["1/1"]]


def test_the_more_jobs_there_are_the_more_rarely_each_is_looked_at() -> None:
    """Looking costs a share of a processor, however many they are."""
    system = System(gathering=0.1)
    watch = Watch(Systems(system))
    for number in range(4 * LOOKED_AT):
        watch.begin(*job(number), 0.0)
    for tick in range(3_000):
        watch.tick(tick / 100)
    assert len(watch.jobs) == 4 * LOOKED_AT
    assert 20 * LOOKED_AT < system.looked_at <= 34 * LOOKED_AT


def telling(count: int) -> tuple[System, Watch, list[Work]]:
    """A system whose jobs tell of their end, and a watch that has submitted some."""
    system = System()
    system.tells = True
    watch, works = Watch(Systems(system)), list[Work]()
    for number in range(count):
        work, submitted = job(number)
        works.append(work)
        watch.begin(work, submitted, 0.0)
    now = 0.0
    while sum(map(len, system.submitted)) < count or watch.due <= now + 0.3:  # until nothing is to be done soon
        watch.tick(now := now + 0.01)
    return system, watch, works


def test_a_job_that_tells_of_its_end_is_heard_without_a_look_at_the_others() -> None:
    """However many there are; what others' jobs tell is nobody's affair here."""
    system, watch, works = telling(int(LONGEST_SECONDS) * LOOKED_AT_BESIDES)
    looked_at, now = system.looked_at, watch.due
    ended = Observation(JobState.ended, 0)
    system.said = {Path("/jobs/7"): ended, Path("/jobs/7777"): ended}
    assert watch.tick(now) == [Came(works[7])]
    assert system.looked_at == looked_at
    assert works[7].task not in watch.jobs
    assert watch.due - now < 1  # one that has ended is seldom alone
    assert watch.tick(watch.due) == []


def test_jobs_that_tell_nothing_are_looked_at_all_the_same() -> None:
    """Who was killed says nothing, and a word may be lost."""
    system, watch, _ = telling(4 * int(LONGEST_SECONDS) * LOOKED_AT_BESIDES)
    system.says = JobState.lost
    begun = now = watch.due
    came: list[Came] = []
    while not came:
        came += watch.tick(now := max(now + 0.001, watch.due))
    assert now - begun <= LONGEST_SECONDS
    assert len(came) == 4 * LONGEST_SECONDS * LOOKED_AT_BESIDES


def test_a_job_is_asked_to_stop_at_once_however_seldom_all_are_looked_at() -> None:
    """And while it stops it is looked at as often as where no job tells."""
    system, watch, works = telling(int(LONGEST_SECONDS) * LOOKED_AT_BESIDES)
    works[7].stop = "its run is over"
    watch.tick(now := watch.due)
    assert system.cancelled == 0
    watch.stop([works[7].task], now)
    while not system.cancelled:
        assert now - watch.due < 2
        watch.tick(now := max(now, watch.due))
    for _ in range(100):
        watch.tick(now := max(now, watch.due))
    assert system.cancelled > 1
    assert now < 100 * LONGEST_SECONDS * LOOKED_AT_BESIDES / LOOKED_AT


def test_a_job_that_is_to_stop_and_is_heard_leaves_nothing_behind() -> None:
    """Nobody will collect it; one that was asked to stop when it had been heard is collected as usual."""
    system, watch, works = telling(LOOKED_AT_BESIDES)
    works[7].stop = "its run is over"
    ended = Observation(JobState.ended, 0)
    system.said = {Path("/jobs/8"): ended, Path("/jobs/7"): ended}
    collect = system.collect

    def late(directory: Path, spec: JobSpec) -> Collected:
        works[8].stop = "its run is over"  # while the look is under way, and it was passed
        return collect(directory, spec)

    system.collect = late  # type: ignore[method-assign]
    assert watch.tick(watch.due) == [Came(works[8]), Came(works[7], over=True)]
    assert system.collected == [Path("/jobs/7")]


def test_what_the_job_of_a_lost_lease_left_is_for_others() -> None:
    """Though a look at it is under way: who has it now collects it."""
    system, looks = System(), list[Callable[[], None]]()
    watch, (work, submitted) = Watch(Systems(system), aside=looks.append), job()
    watch.begin(work, submitted, 0.0)
    system.says = JobState.ended
    assert watch.tick(0.0) == []
    watch.clear()
    work.stop = "its lease was lost"
    looks.pop()()
    assert watch.tick(1.0) == []
    assert system.collected == []


def test_what_was_deferred_is_tried_again_on_time_with_however_many_others() -> None:
    """Though all of them are looked at seldom."""
    system, watch, _ = telling(int(LONGEST_SECONDS) * LOOKED_AT_BESIDES)
    system.reply = Deferred("not now")
    late, submitted = job(1 << 20)
    now = watch.due
    watch.begin(late, submitted, now)
    watch.tick(now)
    tries = len(system.submitted)
    begun = now
    while len(system.submitted) == tries:
        watch.tick(now := max(now, watch.due))
    assert now - begun <= 2 * AGAIN_SECONDS[0]


def test_many_that_are_submitted_one_by_one_hide_no_end() -> None:
    """What has ended meanwhile is seen before the last of them is there."""
    system = System()
    watch = Watch(Systems(system))
    for number in range(20 * AT_ONCE):
        watch.begin(*job(number), 0.0)
    watch.tick(0.0)
    assert [len(some) for some in system.submitted] == [AT_ONCE]
    system.says = JobState.ended
    came, now = [], 0.0
    while not came:
        now += 0.1
        assert watch.due <= now
        came = watch.tick(now)
    assert len(system.submitted) < 20
    while watch.jobs:
        came += watch.tick(now := now + 0.1)
    assert sorted(key for some in system.submitted for key in some) == sorted(f"1/{n}" for n in range(20 * AT_ONCE))
    assert len(came) == 20 * AT_ONCE


def test_a_defect_in_a_batch_system_is_unknown_and_stops_nobody() -> None:
    """Whatever it raises, the job stays, and is asked for again."""
    system, watch, _ = watched()

    def broken(directories: Sequence[Path]) -> list[Observation]:
        raise KeyError("oops")

    right, system.observe = system.observe, broken  # type: ignore[method-assign]
    assert watch.tick(0.0) == []
    assert len(watch.jobs) == 1
    system.observe, system.says = right, JobState.ended  # type: ignore[method-assign]
    assert len(watch.tick(1000.0)) == 1


def test_what_was_seen_last_lies_in_the_jobs_directory(tmp_path: Path) -> None:
    """For whoever asks why a task does not run; it is written when it changes."""
    system = System()
    watch, (work, submitted) = Watch(Systems(system)), job(directory=tmp_path)
    system.reply = Deferred("no answer")
    watch.begin(work, submitted, 0.0)

    def seen(at: float) -> dict[str, object]:
        watch.tick(at)
        told: dict[str, object] = json.loads((tmp_path / SEEN).read_text())
        return told

    place = {"system": "toy", "place": "here"}
    reason = "not submitted: no answer"
    assert seen(0.0) == {**place, "handle": "", "state": "unknown", "reason": reason, "at": 0.0}
    system.reply = Accepted("1")
    assert seen(10.0) == {**place, "handle": "1", "state": "running", "reason": "", "at": 10.0}
    assert seen(20.0)["at"] == 10.0
    system.tells, other = True, tmp_path / "other"
    other.mkdir()
    watch.tick(watch.due)
    system.reply = Deferred("no answer")
    watch.begin(*job(2, directory=other), now := watch.due)
    watch.tick(now)
    system.reply = Accepted("2")
    watch.tick(now + 1.0)  # no look is due
    assert json.loads((other / SEEN).read_text())["state"] in ("submitted", "running")
    system.says = None
    assert seen(30.0) == {**place, "handle": "1", "state": "running", "reason": "nobody answers", "at": 30.0}
