"""Runs that fail again and again, at any moment, and go on: they come to where a run comes in which nothing fails."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress

import pytest

from heliostat.effects import End, Map, Start
from heliostat.errors import Refused
from heliostat.graph import Arity, Edge, Graph, Kind, Node, On, Part
from heliostat.outcome import Begun, Failed, Outcome, Released, Skipped, Snoozed
from heliostat.run import OVERDUE, Run, RunState
from heliostat.store import Cancel, Resolve, TryAgain
from heliostat.stores.memory import MemoryStore
from heliostat.task import Attempt, TaskState
from heliostat.testing.conformance.hand import BEGINNING, Hand, gives, name, sends
from heliostat.testing.invariants import possible

BAD = Failed("no light", final=True)
CHILD = Graph("child", (Node("c1", rescues=99), Node("c2", edges=(Edge("c1"),), rescues=99)))
MESSAGES = (
    *(sends(node, number) for node in ("hear", "serial", "gated", "mute") for number in (1, 2)),
    sends("hear", 3, due_at=BEGINNING + 40),
    sends("gated", 3, due_at=BEGINNING + 30),
    sends("mute", 3, due_at=BEGINNING + 30),
    Map("member", ("1", "2", "3"), "all"),
)
#: Whose failures are no accidents here, or are read from another run.
STEADY = ("caught", "muted", "c1", "c2", "alarm", "in", "inner")


def part(node: str, graph: Graph, *edges: Edge, arity: Arity = Arity.once) -> Node:
    """A node that is another run."""
    return Node(node, arity, Kind.workflow, edges, workflow=Part(graph.name, graph.fingerprint))


def graphs(outside: str, inside: str) -> tuple[Graph, Graph, Graph]:
    """A run in a run in a run, in which everything waits for everything; what each lets finish when it fails."""
    inner = Graph(f"inner-{inside}", (Node("i1"), Node("i2", edges=(Edge("i1"),)), Node("i3")), on_failure=inside)
    middle = Graph(
        f"middle-{inside}",
        (
            Node("x"),
            part("inner", inner),
            Node("list"),
            Node("tile", Arity.each, edges=(Edge("list", "x", each=True), Edge("x"))),
            Node("y", edges=(Edge("x"), Edge("inner"), Edge("tile"))),
        ),
        on_failure=inside,
    )
    outer = Graph(
        f"outer-{outside}-{inside}",
        (
            *(Node(node) for node in ("bad", "list", "slow", "muted", "caught")),
            Node("tile", Arity.each, edges=(Edge("list", "x", each=True), Edge("slow"))),
            part("in", middle),
            part("inner", inner, Edge("list", "message", each=True), arity=Arity.each),
            Node("catch", edges=(Edge("caught", on=On.failed),)),
            Node("skipped", edges=(Edge("muted"),)),
            Node("ask", Arity.handler, entry=True),
            Node("hear", Arity.handler, edges=(Edge("slow"),)),
            Node("serial", Arity.handler, serial=True),
            Node("gated", Arity.handler, serial=True, edges=(Edge("tile"),)),
            Node("mute", Arity.handler, edges=(Edge("muted"),)),
            Node("member", Arity.handler),
            Node("all", Arity.handler, edges=(Edge("slow"),)),
            Node("told", Arity.handler, edges=(Edge("bad"),)),
            Node("z", edges=(Edge("tile"), Edge("bad"), Edge("in"))),
            Node("zz", edges=(Edge("z"), Edge("inner"), Edge("hear"), Edge("skipped", optional=True))),
            Node("alarm", epilogue=On.failed),
        ),
        on_failure=outside,
    )
    return inner, middle, outer


class Story:
    """A run with workers and an operator, of whom each does something now and then; ``chance`` is of an accident."""

    def __init__(self, seed: int, chance: float) -> None:
        self.random, self.chance = random.Random(seed), chance
        self.store = MemoryStore()
        self.hand = Hand(self.store)
        self.inner, self.middle, outer = graphs(self.random.choice(ENDS), self.random.choice(ENDS))
        for graph in (CHILD, self.inner, self.middle):
            self.hand.add(graph)
        self.run = self.hand.start(outer)
        self.held: list[tuple[str, Attempt]] = []
        self.done = Counter[tuple[int, int]]()
        self.lost = 0

    @property
    def whole(self) -> Run:
        """The run."""
        return self.hand.run(self.run)

    def outcome(self, attempt: Attempt) -> Outcome:
        """What an attempt comes to, with its accidents."""
        if self.random.random() >= self.chance or attempt.epilogue:
            return self.answer(attempt)
        later = self.hand.now + self.random.choice((0, 1, 20))
        accidents: list[Outcome] = [Released("back")]
        if attempt.node not in ("in", "inner"):
            accidents += [Failed("once more", retry_at=later), Snoozed(later)]
        if attempt.node not in STEADY:
            accidents += [BAD, BAD]
        return self.random.choice(accidents)

    def answer(self, attempt: Attempt) -> Outcome:
        """What it gives where nothing happens to it."""
        match attempt.node:
            case "in":
                return self.part(attempt, self.middle)
            case "inner":
                return self.part(attempt, self.inner)
            case "list":
                return gives([1, 2])
            case "muted":
                return Skipped("clouds")
            case "caught":
                return BAD
            case "ask":
                return gives(None, *MESSAGES, Start(self.hand.start_id(), CHILD, "null", then="told"))
            case _:
                return gives(attempt.node)

    def part(self, attempt: Attempt, graph: Graph) -> Outcome:
        """As a node answers that is a run."""
        before = self.store.children(attempt.run, attempt.number)
        if before and (before[-1].state is RunState.succeeded or len(before) > attempt.failures):
            return gives() if before[-1].state is RunState.succeeded else Failed("it failed", final=True)
        start = max(self.hand.start_id(), before[-1].id + 1 if before else 0)
        return Begun((Start(start, graph, "null", attempt.node),), len(before))

    def step(self) -> None:
        """Somebody does something."""
        hand, chance = self.hand, self.random.random()
        worker = f"w{self.lost}"
        if self.whole.state is RunState.failed and self.random.random() < 0.2:
            self.mend()
        elif chance < 0.4:
            hand.beat(worker)
            self.held += [(worker, attempt) for attempt in hand.lease(self.random.choice((1, 2, 5)), worker=worker)]
        elif chance < 0.8 and self.held:
            self.settle(self.random.choice(self.held)[0])
        elif chance < 0.9:
            hand.wait(self.random.choice((0, 1, 5)))
        elif chance < 0.92 and self.chance and any(one == worker for one, _ in self.held):
            hand.lose(worker)
            self.held = [held for held in self.held if held[0] != worker]
            self.lost += 1
        elif chance < 0.94:
            self.store.sweep(hand.now)
        elif self.whole.state is RunState.active:
            self.operate()

    def settle(self, worker: str) -> None:
        """Some of what a worker has come to their ends, in one commit."""
        mine = [held for held in self.held if held[0] == worker]
        some = self.random.sample(mine, min(len(mine), self.random.choice((1, 1, 2, 4))))
        self.held = [held for held in self.held if held not in some]
        pairs = [(attempt, self.outcome(attempt)) for _, attempt in some]
        for (attempt, outcome), verdict in zip(pairs, self.hand.settle_all(pairs, worker), strict=True):
            assert verdict.word in ("committed", "ended", "lost"), verdict
            if verdict.word == "committed" and not isinstance(outcome, Failed | Snoozed | Released | Begun):
                self.done[attempt.task] += 1

    def operate(self) -> None:
        """Somebody pauses the run, lets it go on, calls a task off, or it comes to its deadline."""
        kind = self.random.choice(("pause", "resume", "cancel", "deadline") if self.chance else ("resume",))
        if kind in ("pause", "resume"):
            self.hand.pause(self.run, on=kind == "pause")
        elif kind == "deadline":
            self.hand.do(End(RunState.failed, reason=OVERDUE), self.run)
        else:
            runs = [run.id for run in self.store.runs() if run.graph != CHILD.id]
            tasks = [task for run in runs for task in self.store.tasks(run) if task.node not in STEADY]
            task = self.random.choice(tasks)
            with suppress(Refused):
                self.hand.do(Cancel(task.number), task.run)

    def mend(self) -> None:
        """Something that has failed is tried again, or said to have succeeded; or the run that was too late goes on."""
        runs = [run.id for run in self.store.runs() if run.graph != CHILD.id]
        failed = [task for run in runs for task in self.store.tasks(run, TaskState.failed)]
        for task in self.random.sample(failed, len(failed)):
            by_hand = task.node not in ("list", "ask", "mute", *STEADY) and self.random.random() < 0.15
            verb = Resolve(task.number, TaskState.succeeded, f'"{task.node}"') if by_hand else TryAgain(task.number)
            with suppress(Refused):
                self.hand.do(verb, task.run)
                return
        with suppress(Refused):
            self.hand.do(TryAgain(None), self.run)

    def ended(self, steps: int) -> object:
        """Have so much happen, then no more accidents; answers where the run has come."""
        for _ in range(steps):
            self.step()
            possible(self.store.tables, ())
        self.chance = 0
        for _ in range(4000):
            self.step()
            if not self.held and self.whole.state is RunState.succeeded:
                break
        return self.told(self.whole)

    def told(self, run: Run) -> object:
        """A run with what became of its tasks, and of the runs that they were in the end."""
        tasks = [
            (name(task), task.message, str(task.state), self.told(inside) if inside else None)
            for task in self.store.tasks(run.id)
            for inside in [self.store.child(run.id, task.number)]
            if task.node != "alarm"
        ]
        return str(run.state), run.open, sorted(tasks, key=str)


ENDS = ("stop", "finish")


@pytest.mark.parametrize("seed", range(60))
def test_p08_a_run_comes_to_its_end_however_often_it_has_failed(seed: int) -> None:
    """Every task is there that would have been there, ended as it would have, and was done once."""
    calm, story = Story(seed, 0), Story(seed, 0.25)
    assert story.ended(story.random.choice((50, 200, 400))) == calm.ended(0)
    assert calm.whole.state is RunState.succeeded
    assert not {task: times for task, times in story.done.items() if times > 1}
