"""One round of ``run start --watch``: a process of its own, so that each save is met by a fresh interpreter.

It is told what to run on standard input, and answers on a pipe: the run, what its nodes stand on, the files to watch.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat.cli import output
from heliostat.cli.codes import INTERRUPTED
from heliostat.cli.message import message
from heliostat.cli.runs import show_end
from heliostat.cli.session import Session, workflow
from heliostat.cli.working import work
from heliostat.errors import HeliostatError, Refused
from heliostat.graph import Arity
from heliostat.task import TaskState

if TYPE_CHECKING:
    from heliostat.engine import Engine
    from heliostat.graph import Graph
    from heliostat.handle import RunHandle
    from heliostat.workflow import Workflow

WHY = "run anew after its files were saved"


@dataclass(frozen=True)
class Round:
    """What a round is to do: the run before, and what its nodes stood on."""

    where: str
    words: list[str] = field(default_factory=list)
    given: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    database: str | None = None
    files: str | None = None
    last: str | None = None
    footprints: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Came:
    """What came of a round: the run, what its nodes stand on, and the files to watch."""

    run: str | None = None
    footprints: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def main() -> int:
    """Do one round; answers the exit code."""
    told = Round(**json.loads(sys.stdin.readline()))
    with os.fdopen(int(sys.argv[1]), "w") as answer:

        def tell(came: Came) -> None:
            answer.write(json.dumps(asdict(came)) + "\n")
            answer.flush()

        try:
            return _round(told, tell)
        except HeliostatError as error:
            output.say(f"heliostat: {error}")
            return error.exit_code


def _round(told: Round, tell: Any) -> int:
    from heliostat.footprint import files, footprints

    flow = workflow(told.where)
    prints, watched = footprints(flow), [str(file) for file in files(flow)]
    with Session(told.database, None if told.files is None else Path(told.files)).engine(new=True) as engine:
        run = _begin(engine, flow, told, prints)
        tell(Came(told.last if run is None else run.id, prints, watched))
        if run is None:
            output.say("nothing that a node stands on has changed")
            return 0
        if work(engine, run) and not run.info.state.final:
            return INTERRUPTED
        show_end(engine, run)
    return 0


def _begin(engine: Engine, flow: Workflow, told: Round, prints: dict[str, str]) -> RunHandle | None:
    """The run of this round: the first, or one that takes over what has not changed; None if there is nothing to do."""
    if told.last is None:
        return engine.start(flow, message(told.words, told.given), **told.options)
    before = engine.find(told.last)
    if not before.state.final:
        before.cancel(WHY)
    at = _changed(before.graph, flow.graph, told.footprints, prints)
    failed = [] if at or before.state == "succeeded" else _unsettled(engine, before, flow.graph)
    if not at and not failed:
        return None
    try:
        new = before.rerun(at or failed, workflow=flow, reason=WHY)
    except Refused as error:
        output.say(f"everything runs anew: {error}")
        return engine.start(flow, message(told.words, told.given), **told.options)
    output.say(f"changed: {', '.join(at)}" if at else f"nothing has changed; again: {', '.join(failed)}")
    return new


def _changed(was: Graph, graph: Graph, known: dict[str, str], prints: dict[str, str]) -> list[str]:
    """The nodes that stand on something else now, or are otherwise tied in; the last ones where only some have gone."""
    changed = [
        name for name in prints if known.get(name) != prints[name] or name not in was or not graph.alike(was, name)
    ]
    gone = [node.name for node in was if node.name not in graph]
    return changed or [node.name for node in graph.ends if gone]


def _unsettled(engine: Engine, run: RunHandle, graph: Graph) -> list[str]:
    """The nodes of a run that did not come to a good end."""
    states, good = engine.store.states(run.key), {TaskState.succeeded, TaskState.skipped}
    nodes = [node.name for node in graph if node.arity is not Arity.handler and not node.epilogue]
    return [name for name in nodes if not states.get(name) or set(states[name]) - good]


if __name__ == "__main__":
    sys.exit(main())
