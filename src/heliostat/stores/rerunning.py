"""A run that is over, run anew from some nodes on: the new run takes over what lies before; a part of the ledger.

All that is taken over is copied in the database, by one statement per table, in the transaction that begins the new
run; files are referred to by both. What it brings to the nodes that run anew is planned as if it had settled just now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat import codec, planner
from heliostat.errors import Conflict
from heliostat.graph import Arity
from heliostat.planner import Arrive, Create
from heliostat.rerun import taken_over
from heliostat.run import public_id
from heliostat.store import Answer
from heliostat.stores.rows import Carried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliostat.graph import Node
    from heliostat.planner import Change
    from heliostat.rerun import Count
    from heliostat.store import Command, Rerun
    from heliostat.stores.commit import Commit, OpenRun
    from heliostat.task import Task


def rerun(commit: Commit, before: OpenRun, verb: Rerun, command: Command) -> Answer:
    """Begin a run that takes over what lies before some nodes of another one; that one is locked."""
    key, run = commit.open(verb.start)
    if run is None:
        return Answer(key, done=False, note="this run was started before")
    if not before.state.final:
        raise Conflict(
            f"run {public_id(before.id)} is {before.state}; a rerun takes over what is settled for good, "
            "so wait for its end, or cancel it"
        )
    counts = commit.rows.task_counts(before.id) if verb.at else []
    over = taken_over(before.graph, run.graph, verb.at, counts) if verb.at else ()
    begun = planner.begun(run.graph, verb.start.message, verb.start.to)
    commit.apply(run, _anew(begun, over))
    if run.graph.polled:
        commit.apply(run, planner.polls(run.graph, commit.now))
    if over:
        _carry(commit, before, run, over)
        bring = _Bring(commit, before, run, over, counts)
        for name in over:
            bring.all_of(run.graph[name])
    told = {"at": list(verb.at), "by": command.actor, "reason": command.reason}
    run.facts["rerun_of"] = {"run": before.id, "over": list(over), **told}
    before.facts["rerun"] = {"run": run.id, **told}
    return Answer(run.id)


def _anew(changes: Sequence[Change], over: Sequence[str]) -> list[Change]:
    """Changes at nodes that are not taken over; the others have happened."""
    return [change for change in changes if not (isinstance(change, Create | Arrive) and change.node.name in over)]


def _carry(commit: Commit, before: OpenRun, run: OpenRun, over: Sequence[str]) -> None:
    """Copy tasks, records, artifacts and gates. Tasks keep their distance from the last number of their graph."""
    was, number, known = before.graph.number, run.graph.number, commit.known
    carried = [Carried(name, was(name), number(name), known.lane(commit.rows, run.graph, name)) for name in over]
    run.last = before.last + _shift(before, run)
    commit.rows.run_carry(before.id, run.id, carried, len(before.graph.nodes), _shift(before, run))


def _shift(before: OpenRun, run: OpenRun) -> int:
    return len(run.graph.nodes) - len(before.graph.nodes)


class _Bring:
    """What is taken over arrives at the nodes that are not."""

    def __init__(
        self, commit: Commit, before: OpenRun, run: OpenRun, over: Sequence[str], counts: Sequence[Count]
    ) -> None:
        self.commit, self.before, self.run, self.over, self.counts = commit, before, run, frozenset(over), counts
        self.firsts = commit.rows.gate_firsts(before.id)

    def all_of(self, node: Node) -> None:
        """Have a node's settled tasks arrive, if somebody waits for them."""
        graph = self.run.graph
        if all(target.name in self.over for target, _ in graph.downstream(node.name)):
            return
        handler = node.arity is Arity.handler
        number = self.firsts.get(node.name) if handler else self.before.graph.number(node.name)
        first = None if number is None else self.commit.rows.task_get(self.before.id, number)
        if first is None or number is None:
            return  # a handler without a message
        here = number + _shift(self.before, self.run) if handler else graph.number(node.name)
        if handler:
            self.commit.firsts[self.run.id, node.name] = here
        self._apply(self._each(node, first) if first.item is not None else self._one(node, first), here)

    def _one(self, node: Node, task: Task) -> Sequence[Change]:
        value = None if task.result is None else codec.decode(task.result)
        if node.review is not None and isinstance(value, dict):
            value = value["choice"]
        width = len(value) if isinstance(value, list) else task.width
        return planner.after(self.run.graph, node, task.state, None, value if isinstance(value, str) else None, width)

    def _each(self, node: Node, first: Task) -> Sequence[Change]:
        """All items at once: as many arrivals as there are, without looking at each."""
        graph = self.run.graph
        found = list(planner.expanded(graph, node, first.width or 0))
        for name, _, state, n in self.counts:
            if name == node.name:
                arrived = planner.after(graph, node, state, 0)
                found += [one._replace(by=one.by * n, unmet=one.unmet * n) for one in arrived if type(one) is Arrive]
        return found

    def _apply(self, changes: Sequence[Change], cause: int) -> None:
        self.commit.apply(self.run, _anew(changes, tuple(self.over)), cause)
