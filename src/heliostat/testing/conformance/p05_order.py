"""P5: messages are handled in the order sent, within priority; serial ones one at a time."""

from __future__ import annotations

import pytest

from heliostat.graph import Arity, Edge, Graph, Node
from heliostat.outcome import Failed, Released, Skipped, Snoozed
from heliostat.store import Ask, Command, Pause, SetNode, SetQueue
from heliostat.testing.conformance.hand import Hand, gives, sends

TALK = Graph(
    "talk",
    (
        Node("hear", Arity.handler),
        Node("urgent", Arity.handler, priority=10),
        Node("count", Arity.handler, serial=True),
        Node("tile", Arity.handler, serial="name"),
        Node("slow", Arity.handler, queue="slow"),
    ),
    stays_open=True,
)
LIMITED = Graph("limited", (Node("list"), Node("tile", Arity.each, edges=(Edge("list", "x", each=True),), limit=2)))


def _policy(queue: str = "default", limit: int | None = None) -> Graph:
    """One structure, with what its code says of a node's queue and limit."""
    nodes = (Node("hear", Arity.handler, queue=queue, limit=limit), Node("other", Arity.handler))
    return Graph("policy", nodes, "1", stays_open=True)


def messages(hand: Hand, n: int = 100) -> list[str | None]:
    """What would be handled next, in order."""
    return [attempt.message for attempt in hand.lease(n)]


def test_p05_messages_of_a_run_are_handled_in_the_order_sent(hand: Hand) -> None:
    """Those from outside, those of one attempt, and those of another, as they were committed."""
    run = hand.start(TALK)
    hand.send(run, "hear", 0)
    [attempt] = hand.lease()
    hand.send(run, "hear", 1)
    hand.settle(attempt, gives(None, sends("hear", 2), sends("hear", 3)))
    hand.send(run, "hear", 4)
    assert messages(hand) == ["1", "2", "3", "4"]


def test_p05_runs_are_served_in_the_order_accepted(hand: Hand, other: Hand) -> None:
    """Whoever accepted them."""
    runs = [hand.start(TALK), other.start(TALK), hand.start(TALK)]
    for place in (1, 0, 2):
        other.send(runs[place], "hear", place)
    assert messages(hand) == ["1", "0", "2"]


def test_p05_higher_priority_goes_first(hand: Hand) -> None:
    """Of the message, else of its node, on top of its run's; within one priority the order stays."""
    low, high = hand.start(TALK), hand.start(TALK, priority=20)
    hand.send(low, "hear", 1)
    hand.send(low, "urgent", 2)
    hand.send(low, "hear", 3, priority=15)
    hand.send(high, "hear", 4)
    hand.send(low, "urgent", 5)
    assert messages(hand) == ["4", "3", "2", "5", "1"]


def test_p05_a_serial_handler_handles_one_at_a_time_per_run(hand: Hand) -> None:
    """Only the head is there to be taken, whoever asks; settling it brings the next."""
    runs = [hand.start(TALK), hand.start(TALK)]
    for number in range(3):
        for run in runs:
            hand.send(run, "count", [run, number])
    for number in range(3):
        attempts = hand.lease(10)
        assert [attempt.message for attempt in attempts] == [f"[{run},{number}]" for run in runs]
        hand.settle_all([(attempt, gives()) for attempt in attempts])


def test_p05_a_serial_key_is_the_value_of_a_field(hand: Hand) -> None:
    """Messages of different values pass one another, those of one value do not."""
    run = hand.start(TALK)
    for number, word in enumerate("aab"):
        hand.send(run, "tile", {"name": word, "number": number})
    assert messages(hand) == ['{"name":"a","number":0}', '{"name":"b","number":2}']


def test_p05_within_a_serial_key_priority_goes_first(hand: Hand) -> None:
    """Of those that wait; who has been made the head stays it."""
    run = hand.start(TALK)
    hand.send(run, "count", 0)
    hand.send(run, "count", 1)
    hand.send(run, "count", 2, priority=5)
    assert hand.work({}) == ["count"] * 3
    order = sorted(hand.store.tasks(run), key=lambda task: task.started_at or 0)
    assert order[0].message == "0"


def test_p05_the_key_is_held_through_a_retry_a_rescue_and_a_handing_back(hand: Hand) -> None:
    """The next message must not overtake one that is not done."""
    run = hand.start(TALK)
    hand.send(run, "count", 0)
    hand.send(run, "count", 1)
    [attempt] = hand.lease()
    hand.settle(attempt, Failed("no", retry_at=hand.now + 10))
    assert hand.lease() == []
    hand.wait(10)
    [attempt] = hand.lease(worker="doomed")
    assert attempt.message == "0"
    hand.lose("doomed")
    [attempt] = hand.lease(5)
    assert attempt.message == "0"
    hand.settle(attempt, Released())
    [attempt] = hand.lease(5)
    assert attempt.message == "0"
    hand.settle(attempt, Released("no space left", until=hand.now + 10))
    assert hand.lease(5) == []
    hand.wait(10)
    [attempt] = hand.lease(5)
    assert attempt.message == "0"


def test_p05_the_key_is_given_back_on_a_snooze(hand: Hand) -> None:
    """The others go on; when it is due it waits for its turn, and is the first of those that wait."""
    run = hand.start(TALK)
    for number in range(3):
        hand.send(run, "count", number)
    [zero] = hand.lease()
    hand.settle(zero, Snoozed(hand.now + 10))
    [one] = hand.lease(5)
    assert one.message == "1"
    hand.wait(10)
    assert hand.lease() == []
    hand.settle(one)
    [again] = hand.lease(5)
    assert again.message == "0"


def test_p05_a_skipped_or_cancelled_head_gives_the_key_on(hand: Hand) -> None:
    """Every way to be done is a way to let the next one go."""
    run = hand.start(TALK)
    for number in range(3):
        hand.send(run, "count", number)
    hand.settle(hand.lease()[0], Skipped("no"))
    assert messages(hand) == ["1"]


def test_p05_a_delayed_serial_message_takes_its_place_when_it_is_due(hand: Hand) -> None:
    """Until then it holds up nobody."""
    run = hand.start(TALK)
    hand.send(run, "count", 0, due_at=hand.now + 10)
    hand.send(run, "count", 1)
    hand.send(run, "count", 2)
    [one] = hand.lease(5)
    assert one.message == "1"
    hand.wait(10)
    hand.settle(one)
    assert messages(hand) == ["0"]


def test_p05_a_delayed_message_is_not_there_before_its_time(hand: Hand) -> None:
    """And the store says when the next one comes."""
    run = hand.start(TALK)
    hand.send(run, "hear", 1, due_at=hand.now + 10)
    hand.send(run, "hear", 2, due_at=hand.now + 5)
    assert hand.wait(4) == hand.now + 1
    assert hand.lease() == []
    hand.wait(1)
    assert messages(hand) == ["2"]
    assert hand.wait(10) is None
    assert messages(hand) == ["1"]


def test_p05_queues_take_turns(hand: Hand) -> None:
    """A full queue starves no other: who asks for two gets one of each."""
    run = hand.start(TALK)
    for number in range(5):
        hand.send(run, "hear", number)
    hand.send(run, "slow", 9)
    assert messages(hand, 2) == ["0", "9"]


def test_p05_a_queue_gives_what_the_others_leave(hand: Hand) -> None:
    """Whichever has its turn first: who asks for five does not go with three while there is more."""
    run = hand.start(TALK)
    for number in range(12):
        hand.send(run, "slow", number)
    hand.send(run, "hear", 99)
    ask = Ask("w", frozenset(hand.offers), 5)
    for turn in (0, 1):
        assert len(hand.store.lease(ask._replace(turn=turn), hand.now)) == 5


def test_p05_a_queue_that_is_full_or_paused_gives_nothing(hand: Hand) -> None:
    """Its limit counts what is running, whichever worker has it."""
    run = hand.start(TALK)
    hand.do(SetQueue("slow", limit=2))
    for number in range(4):
        hand.send(run, "slow", number)
    first, second = hand.lease(10)
    assert hand.lease(10, worker="v") == []
    hand.settle(first)
    assert messages(hand) == ["2"]
    hand.do(SetQueue("slow", limit=None, paused=True))
    hand.settle(second)
    assert hand.lease(10) == []
    hand.do(SetQueue("slow", paused=False))
    assert messages(hand) == ["3"]


def test_p05_a_queue_with_a_rate_lets_no_more_begin_whoever_asks(hand: Hand) -> None:
    """Evenly spaced; what a pause has saved up is worth a second."""
    run = hand.start(TALK)
    hand.do(SetQueue("slow", rate="4/s"))
    for number in range(20):
        hand.send(run, "slow", number)
    assert messages(hand, 10) == ["0", "1", "2", "3"]
    assert hand.lease(10, worker="v") == []
    hand.now += 0.25
    assert [len(hand.lease(10, worker=worker)) for worker in ("v", "w")] == [1, 0]
    hand.now += 0.5
    assert [len(hand.lease(1, worker=worker)) for worker in ("v", "w", "u")] == [1, 1, 0]
    hand.now += 3600.0
    assert len(hand.lease(10)) == 4


def test_p05_a_slow_rate_spaces_what_begins(hand: Hand) -> None:
    """Ten in a minute are one in six seconds; another try begins like any other; the rate is changed live."""
    run = hand.start(TALK)
    hand.do(SetQueue("slow", rate="10/m"))
    for number in range(5):
        hand.send(run, "slow", number)
    [first] = hand.lease(10)
    hand.settle(first, Released())
    hand.now += 5.9
    assert hand.lease(10) == []
    assert "queue slow lets 10/m begin, the next one in 0.1 s" in hand.explain(run, first.number)
    hand.now += 0.1
    assert messages(hand, 10) == ["0"]
    hand.do(SetQueue("slow", rate=None))
    assert messages(hand, 10) == ["1", "2", "3", "4"]


def test_p05_a_clock_that_was_put_back_stops_no_queue(hand: Hand) -> None:
    """What a rate remembers is no later than the next begin."""
    run = hand.start(TALK)
    hand.do(SetQueue("slow", rate="10/m"))
    for number in range(3):
        hand.send(run, "slow", number)
    assert messages(hand, 10) == ["0"]
    hand.now -= 3600.0
    assert messages(hand, 10) == ["1"]
    assert messages(hand, 10) == []


def test_p05_a_node_with_a_limit_runs_so_many_over_all_runs(hand: Hand) -> None:
    """And an operator changes it while they run."""
    for _ in range(2):
        hand.start(LIMITED)
    hand.settle_all([(attempt, gives([1, 2, 3])) for attempt in hand.lease(2)])
    attempts = hand.lease(10)
    assert len(attempts) == 2
    hand.do(SetNode(LIMITED.id, "tile", limit=3))
    assert len(hand.lease(10)) == 1
    hand.settle(attempts[0])
    assert len(hand.lease(10)) == 1
    assert hand.lease(10, worker="v") == []


def test_p05_a_worker_takes_from_the_queues_that_it_serves(hand: Hand) -> None:
    """And of the definitions that it offers."""
    run = hand.start(TALK)
    hand.send(run, "hear", 1)
    hand.send(run, "slow", 2)
    assert hand.lease(5, queues=frozenset({"elsewhere"})) == []
    assert [attempt.node for attempt in hand.lease(5, queues=frozenset({"slow"}))] == ["slow"]
    hand.offers = {LIMITED.id}
    assert hand.lease(5) == []


def test_p05_what_is_sent_in_the_commit_that_pauses_is_held_too(hand: Hand) -> None:
    """In whatever order the commands come, and until the run is resumed."""
    run = hand.start(TALK)
    hand.work()
    hand.store.accept([Command(sends("hear"), run), Command(Pause(True), run), Command(sends("hear"), run)], hand.now)
    assert hand.lease(5) == []
    hand.store.accept([Command(sends("hear"), run), Command(Pause(False), run)], hand.now)
    assert len(hand.lease(5)) == 3


def test_p05_a_paused_run_is_passed_over_and_keeps_its_place(hand: Hand) -> None:
    """What is running goes on; what is born meanwhile is held too."""
    first, second = hand.start(TALK), hand.start(TALK)
    hand.send(first, "hear", 1)
    hand.send(second, "hear", 2)
    [attempt] = hand.lease()
    hand.pause(first)
    hand.settle(attempt, gives(None, sends("hear", 3)))
    hand.send(first, "hear", 4)
    assert messages(hand) == ["2"]
    hand.pause(first, on=False)
    assert messages(hand) == ["3", "4"]


def test_p05_what_is_set_of_a_node_holds_for_the_messages_of_others(hand: Hand, other: Hand) -> None:
    """A process that has sent before, and never leases, hears of no limit and no pause; who leases keeps them."""
    run = hand.start(TALK)
    other.send(run, "hear")
    hand.do(SetNode(TALK.id, "hear", limit=1))
    for _ in range(5):
        other.send(run, "hear", priority=1)
    leased = hand.lease(20)
    assert [attempt.node for attempt in leased].count("hear") == 1
    hand.do(SetNode(TALK.id, "hear", paused=True))
    hand.settle_all([(attempt, gives()) for attempt in leased])
    number = other.send(run, "hear").number
    assert hand.explain(run, number or 0) == "node hear is paused, by caller 0.0 s ago"
    assert hand.lease(20) == []
    hand.do(SetNode(TALK.id, "hear", limit=None, paused=False))
    assert len(hand.lease(20)) == 6


def test_p05_a_limit_that_the_code_changes_arrives(hand: Hand, other: Hand) -> None:
    """Registering anew sets the node's limit, for what is open and for what is sent by processes of before."""
    run = hand.start(_policy(limit=2), to="hear")
    for limit, running in ((5, 5), (None, 9), (3, 3)):
        hand.add(_policy(limit=limit))
        for number in range(8):
            (hand, other)[number % 2].send(run, "hear")
        leased = hand.lease(9)
        assert len(leased) == running
        hand.settle_all([(attempt, gives()) for attempt in leased])


@pytest.mark.parametrize("limit", [None, 4])
def test_p05_a_queue_that_the_code_changes_arrives(hand: Hand, other: Hand, limit: int | None) -> None:
    """What is open goes to the new queue, and so does what is sent by processes that know the old one."""
    run = hand.start(_policy(limit=limit), to="hear")
    hand.send(run, "other")
    hand.add(_policy("cluster", limit))
    other.send(run, "hear")
    hand.send(run, "hear")
    assert [attempt.node for attempt in hand.lease(9, queues=frozenset({"default"}))] == ["other"]
    assert [attempt.node for attempt in hand.lease(9, queues=frozenset({"cluster"}))] == ["hear"] * 3


def test_p05_what_an_operator_set_stays_when_the_same_is_registered_again(hand: Hand, other: Hand) -> None:
    """Starting a process changes nothing that the code did not change."""
    run = hand.start(_policy(limit=2), to="hear")
    hand.do(SetNode(_policy().id, "hear", limit=1))
    other.add(_policy(limit=2))
    hand.send(run, "hear")
    assert len(hand.lease(9)) == 1
    other.add(_policy("cluster", 2))
    assert hand.lease(9) == []
