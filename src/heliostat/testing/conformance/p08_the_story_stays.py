"""P8: the whole story stays: payloads, causes, attempts that did not end well, transitions with actor and reason."""

from __future__ import annotations

import json

from heliostat.artifact import Artifact
from heliostat.effects import End, Keep, Map, Put, Start
from heliostat.graph import Arity, Edge, Graph, Kind, Node, On
from heliostat.outcome import Failed, Snoozed
from heliostat.queue import WorkerInfo
from heliostat.run import RunState
from heliostat.store import SEVERAL, Pause, SetQueue
from heliostat.task import AttemptState
from heliostat.testing.conformance.hand import Hand, gives, sends

TALK = Graph("talk", (Node("ask", Arity.handler, entry=True), Node("hear", Arity.handler), Node("all", Arity.handler)))
DIAMOND = Graph(
    "diamond",
    (
        Node("a"),
        Node("b", edges=(Edge("a"),)),
        Node("c"),
        Node("d", edges=(Edge("c"),)),
        Node("e", Arity.each, edges=(Edge("d", "x", each=True),)),
        Node("f", edges=(Edge("e", on=On.ended),)),
    ),
)
WEEK = 7 * 86_400.0
CHILD = Graph("child", (Node("only"),))


def events(hand: Hand, run: int) -> list[dict[str, object]]:
    """What a run's journal says, in order."""
    return [json.loads(entry.event) for entry in hand.store.journal(run)]


def causes(hand: Hand, run: int) -> dict[str, str | None]:
    """Who caused whom, by name."""
    tasks = {task.number: task for task in hand.store.tasks(run)}
    return {
        f"{task.node} {task.number}": None if task.cause is None else tasks[task.cause].node for task in tasks.values()
    }


def test_p08_the_journal_tells_a_run_from_its_start_to_its_end(hand: Hand) -> None:
    """In order, with time and actor."""
    run = hand.start(TALK)
    hand.now += 1
    hand.settle(hand.lease()[0], gives(None, sends("hear")))
    hand.now += 1
    hand.settle(hand.lease()[0], Failed("no light"))
    entries = hand.store.journal(run)
    assert [entry.at - entries[0].at for entry in entries] == [0, *[1] * (len(entries) - 2), 2]
    assert (entries[0].actor, json.loads(entries[0].event)) == ("caller", {"started": TALK.label})
    assert entries[-1].actor == "w"
    assert json.loads(entries[-1].event) == {"failed": [5], "ended": "failed", "reason": "hear: no light"}
    assert [entry.seq for entry in entries] == sorted({entry.seq for entry in entries})


def test_p08_the_operators_actions_are_told_with_who_and_why(hand: Hand) -> None:
    """A pause, an end, and who asked for them."""
    run = hand.start(Graph("still", (Node("ask", Arity.handler),), stays_open=True))
    hand.do(Pause(on=True), run, actor="ann", reason="storm")
    hand.do(End(RunState.cancelled), run, actor="bob", reason="too much wind")
    assert events(hand, run)[1:] == [
        {"paused": True, "reason": "storm"},
        {"by": "bob", "ended": "cancelled", "reason": "too much wind"},
    ]
    assert [entry.actor for entry in hand.store.journal(run)] == ["caller", "ann", "bob"]


def test_p08_each_attempt_that_did_not_simply_succeed_is_remembered(hand: Hand) -> None:
    """With its worker, its time and its reason."""
    run = hand.start(TALK)
    [attempt] = hand.lease()
    hand.now += 2
    hand.settle(attempt, Failed("OSError: cold", retry_at=hand.now))
    hand.wait(0)
    [attempt] = hand.lease(worker="v")
    hand.settle(attempt, Failed("too slow", retry_at=hand.now, how=AttemptState.timed_out), worker="v")
    hand.wait(0)
    [attempt] = hand.lease()
    hand.settle(attempt, Snoozed(hand.now))
    hand.wait(0)
    hand.lease(worker="doomed")
    hand.lose("doomed")
    hand.work()
    past = hand.store.attempts(run)
    assert [(a.count, a.state, a.worker, a.reason) for a in past] == [
        (1, "failed", "w", "OSError: cold"),
        (2, "timed_out", "v", "too slow"),
        (3, "snoozed", "w", None),
        (4, "rescued", "doomed", "its worker was lost"),
    ]
    assert (past[0].started_at, past[0].ended_at) == (hand.now - 2, hand.now)
    assert hand.store.attempts(run, 4) == past
    assert hand.store.attempts(run, 5) == []


def test_p08_a_job_that_was_adopted_tells_of_the_worker_that_was_lost(hand: Hand) -> None:
    """Its attempts are counted on, and none of them is without a story."""
    run = hand.start(Graph("job", (Node("only", kind=Kind.job),)))
    hand.beat("heir")
    hand.lease(worker="doomed")
    hand.now += 5
    hand.lose("doomed", "heir")
    [past] = hand.store.attempts(run)
    assert (past.number, past.count, past.state, past.worker) == (1, 1, "rescued", "doomed")
    assert past.ended_at - (past.started_at or 0) == 5
    assert past.reason == "its worker was lost; the job goes on with another"
    assert (hand.task(run, 1).count, hand.task(run, 1).worker) == (2, "heir")


def test_p08_every_task_names_what_caused_it(hand: Hand) -> None:
    """A message its sender, a node the input that gave birth to it, whatever else was in the same commit."""
    run = hand.start(DIAMOND)
    hand.settle_all([(attempt, gives()) for attempt in hand.lease(2)])
    hand.settle_all([(attempt, gives([1, 2])) for attempt in hand.lease(2)])
    hand.work()
    assert causes(hand, run) == {
        "a 1": None,
        "b 2": "a",
        "c 3": None,
        "d 4": "c",
        "e 5": "d",
        "f 6": "e",
        "e 7": "d",
    }


def test_p08_who_sent_to_whom_is_counted(hand: Hand) -> None:
    """For the picture of a run: sender, receiver, how often, and how long the receiver ran."""
    run = hand.start(TALK)
    [ask] = hand.lease()
    hand.now += 1
    hand.settle(ask, gives(None, sends("hear", 1), Map("hear", ("2", "3"), "all")))
    while leased := hand.lease():
        hand.now += 2
        hand.settle(leased[0])
    assert hand.store.traffic(run) == [(None, "ask", 1, 1.0), ("ask", "all", 1, 2.0), ("ask", "hear", 3, 6.0)]
    assert hand.store.states(run) == {"ask": {"succeeded": 1}, "hear": {"succeeded": 3}, "all": {"succeeded": 1}}


def test_p08_a_run_that_was_started_inside_another_says_so(hand: Hand) -> None:
    """In its journal, and as its parent if that waits for it."""
    run = hand.start(TALK)
    hand.settle(hand.lease()[0], gives(None, Start(7, CHILD, "1", then="hear"), Start(8, CHILD, "2")))
    assert [event["cause"] for event in (events(hand, 7)[0], events(hand, 8)[0])] == [run, run]
    assert (hand.run(7).parent, hand.run(8).parent) == (run, None)


def test_p08_records_stand_in_the_order_put_and_the_newest_of_a_key_stands_for_it(hand: Hand) -> None:
    """Of this node or of another; another run sees none of it."""
    run, elsewhere = hand.start(TALK), hand.start(TALK)
    [ask, _] = hand.lease(2)
    hand.settle(ask, gives(None, Put("1"), Put("2", "k"), Put("3"), Put("4", "k"), sends("hear")))
    hand.settle(hand.lease()[0], gives(None, Put("5", "k")))
    assert hand.values(run) == [1, 3, 4, 5]
    assert [record.value for record in hand.store.records(run, "ask", "k")] == ["4"]
    assert [record.value for record in hand.store.records(run, key="k")] == ["4", "5"]
    assert hand.values(elsewhere) == []


def test_p08_artifacts_stand_with_the_task_that_kept_them(hand: Hand) -> None:
    """In the order kept, with all that describes them."""
    run = hand.start(TALK)
    files = [
        Artifact(f"{name}.png", "sha256:" + str(place) * 64, place, "image/png", ("map", "ümlaut"))
        for place, name in enumerate("ba")
    ]
    hand.settle(hand.lease()[0], gives(None, *map(Keep, files)))
    assert [(kept.artifact, kept.number, kept.at) for kept in hand.store.artifacts(run)] == [
        (file, 4, hand.now) for file in files
    ]


def test_p08_the_story_over_all_runs_can_be_followed_without_a_gap(hand: Hand) -> None:
    """Page by page; a later page never holds what an earlier one should have."""
    for _ in range(5):
        hand.start(TALK)
    hand.work()
    whole = hand.store.journal(limit=1000)
    pages, last = [], 0
    while page := hand.store.journal(after=last, limit=3):
        pages += page
        last = page[-1].seq
    assert pages == whole


def test_p08_pages_of_runs_and_tasks_leave_nothing_out(hand: Hand) -> None:
    """Newest runs first, tasks by number."""
    runs = [hand.start(TALK, name=str(number)) for number in range(5)]
    found = hand.store.runs(limit=2)
    while page := hand.store.runs(before=found[-1].id, limit=2):
        found += page
    assert [run.id for run in found] == runs[::-1]
    for number in range(5):
        hand.send(runs[0], "hear", number)
    tasks = hand.store.tasks(runs[0], limit=2)
    while more := hand.store.tasks(runs[0], after=tasks[-1].number, limit=2):
        tasks += more
    assert [task.number for task in tasks] == list(range(4, 10))


def test_p08_what_is_pruned_is_gone_whole_and_nothing_else(hand: Hand) -> None:
    """Runs that ended before a time, oldest first, at most so many; what is open or newer stays."""
    old = [hand.start(TALK) for _ in range(3)]
    hand.work({"ask": gives(None, Put("1"))})
    hand.now += 100
    young, still = hand.start(TALK), hand.start(Graph("still", (Node("x", Arity.handler),), stays_open=True))
    hand.work()
    assert hand.store.prune(hand.now - 50, 2) == 2
    assert [hand.store.journal(run) for run in old[:2]] == [[], []]
    assert hand.store.prune(hand.now - 50, 2) == 1
    assert hand.store.prune(hand.now - 50, 2) == 0
    assert sorted(run.id for run in hand.store.runs()) == sorted([young, still])
    for run in old:
        assert hand.store.run(run) is None
        assert (hand.store.tasks(run), hand.store.records(run), hand.store.journal(run)) == ([], [], [])


def test_p08_a_number_of_the_journal_is_never_given_again(hand: Hand) -> None:
    """Not even when all is forgotten that it told of: who follows the journal would miss what comes next."""
    hand.start(TALK)
    hand.work()
    for _ in range(2):
        newest = hand.store.journal()[-1]
        hand.now += WEEK
        hand.store.prune(hand.now)
        [left] = hand.store.journal()
        assert (left.seq, left.run) == (newest.seq, SEVERAL)
        assert left.event == (newest.event if newest.run == SEVERAL else "{}")
        hand.do(SetQueue("default", limit=5))
        assert [entry.seq > newest.seq for entry in hand.store.journal(after=newest.seq)] == [True]


def test_p08_old_lines_about_several_runs_are_forgotten_wherever_they_stand(hand: Hand) -> None:
    """Between many lines of a run that goes on, too."""
    stays = hand.start(Graph("still", (Node("x", Arity.handler),), stays_open=True))
    for _ in range(600):
        hand.do(Pause(True), stays)
        hand.do(SetQueue("default", limit=5))
        hand.do(Pause(False), stays)
    hand.now += WEEK
    hand.do(SetQueue("default", limit=5))
    hand.store.prune(hand.now)
    left = hand.store.journal(limit=10_000)
    assert [entry.run for entry in left].count(SEVERAL) == 1
    assert len(left) == 1202


def test_p08_a_clock_that_was_wrong_for_a_while_keeps_no_old_lines(hand: Hand) -> None:
    """A line from the future stays until its time has come; those after it go with their own."""
    hand.add(TALK)
    for seconds in (10 * WEEK, -10 * WEEK, 0, WEEK):
        hand.now += seconds
        hand.do(SetQueue("default", limit=5))
    hand.store.prune(hand.now - 1)
    assert [entry.at - hand.now for entry in hand.store.journal()] == [9 * WEEK, 0]


def test_p08_a_worker_that_ended_long_ago_is_forgotten_if_it_holds_nothing(hand: Hand) -> None:
    """One that only keeps quiet is not known to have ended, and what one holds is still to be rescued."""
    hand.store.beat(WorkerInfo("ended", state="stopped"), hand.now)
    hand.now += WEEK
    hand.start(Graph("one", (Node("a"),)))
    hand.lease(worker="holds")
    for worker, state in (("holds", "stopped"), ("quiet", "active")):
        hand.store.beat(WorkerInfo(worker, state=state), hand.now)
    hand.now += WEEK
    hand.store.beat(WorkerInfo("late", state="stopped"), hand.now)
    hand.store.prune(hand.now - 50)
    assert sorted(info.id for info in hand.store.workers()) == ["holds", "late", "quiet"]


def test_p08_what_forgotten_runs_leave_among_the_files_is_noted(hand: Hand) -> None:
    """In the transaction that forgets: each run and each of its artifacts, and whether another run keeps that too."""
    shared, alone = (Artifact(f"{name}.png", "sha256:" + name * 64, 1) for name in "ab")
    old = hand.start(TALK)
    hand.settle(hand.lease()[0], gives(None, Keep(shared), Keep(alone), Keep(alone)))
    hand.now += 100
    young = hand.start(TALK)
    hand.settle(hand.lease()[0], gives(None, Keep(shared)))
    assert hand.store.discarded() == []
    hand.store.prune(hand.now - 50)
    noted = hand.store.discarded()
    assert {(each.run, each.digest, each.used) for each in noted} == {
        (old, None, False),
        (old, shared.digest, True),
        (old, alone.digest, False),
    }
    assert len(noted) == 3
    assert hand.store.discarded(noted[0].seq, 1) == noted[1:2]
    hand.store.done_with([noted[0].seq])
    hand.store.done_with([noted[0].seq])
    assert hand.store.discarded() == noted[1:]
    hand.store.done_with([each.seq for each in noted])
    hand.store.prune(hand.now + 50)
    later = hand.store.discarded()
    assert {(each.run, each.digest, each.used) for each in later} == {
        (young, None, False),
        (young, shared.digest, False),
    }
    assert min(each.seq for each in later) > noted[-1].seq  # a number means one thing for ever


def test_p08_a_file_in_a_result_from_outside_is_kept_by_the_run(hand: Hand) -> None:
    """As one in a message from outside is; so it stays as long as the run does."""
    run, file = hand.start(TALK), Artifact("map.png", "sha256:" + "a" * 64, 1)
    hand.complete(run, {"map": file.to_json()})
    assert [kept.artifact for kept in hand.store.artifacts(run)] == [file]


def test_p08_a_run_whose_end_was_told_is_forgotten_after_the_one_it_was_told_to(hand: Hand) -> None:
    """What it kept may have been handed on in the message that told its end."""
    hand.add(CHILD)
    parent = hand.start(TALK)
    child = 1 << 55
    hand.settle(hand.lease()[0], gives(None, Start(child, CHILD, "1", then="hear")))
    hand.settle(next(attempt for attempt in hand.lease(2) if attempt.run == child))
    hand.now += 100
    hand.work()
    assert hand.run(parent).state is RunState.succeeded
    assert hand.store.prune(hand.now - 50) == 0
    assert hand.store.prune(hand.now + 50, 1) == 1
    assert [run.id for run in hand.store.runs()] == [child]
    assert hand.store.prune(hand.now + 50, 1) == 1


def test_p08_the_begin_of_what_runs_longest_is_known(hand: Hand) -> None:
    """A file that was kept since then may be about to be referred to."""
    assert hand.store.running_since() is None
    hand.start(TALK)
    [first], began = hand.lease(), hand.now
    hand.now += 100
    hand.start(TALK)
    [second] = hand.lease()
    assert hand.store.running_since() == began
    hand.settle(first)
    assert hand.store.running_since() == hand.now
    hand.settle(second)
    assert hand.store.running_since() is None


def test_p08_a_worker_is_known_as_long_as_an_attempt_may_lead_to_it(hand: Hand) -> None:
    """It tells which code ran, whatever has become of it; it is forgotten when no run is left from before its end."""
    run = hand.start(CHILD)
    hand.store.beat(WorkerInfo("w1", code='[[1, "sha256:a", 5.0]]'), hand.now)
    hand.settle(hand.lease(worker="w1")[0], worker="w1")
    hand.store.beat(WorkerInfo("w1", code='[[1, "sha256:a", 5.0], [1, "sha256:b", 6.0]]'), hand.now)
    hand.lose("w1")
    ended = hand.now
    hand.now += WEEK
    young = hand.start(CHILD)
    hand.work()
    hand.store.prune(ended)
    found = hand.store.worker("w1")
    assert found is not None
    assert (found.state, found.code) == ("lost", '[[1, "sha256:a", 5.0], [1, "sha256:b", 6.0]]')
    assert hand.task(run, 1).worker == "w1"
    hand.store.prune(hand.now)
    assert [each.id for each in hand.store.runs()] == [young]
    assert hand.store.worker("w1") is None
