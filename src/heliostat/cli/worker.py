"""Run workers, and see which there are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from heliostat.cli import output, shapes
from heliostat.cli.codes import EXHAUSTED
from heliostat.cli.output import AsJson
from heliostat.cli.session import Session, duration, session, whoever, workflows
from heliostat.errors import BadInput, NotFound, nearest
from heliostat.run import RunState, task_id
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heliostat.cli.signals import Stops
    from heliostat.config import Config
    from heliostat.engine import Engine
    from heliostat.graph import Graph
    from heliostat.worker import Worker

NAME = "worker"
app = typer.Typer(no_args_is_help=True)

SLOTS = 8  #: as in `compose`, which takes too long to import for a --help
SOON_SECONDS = 2.0  #: what an idle worker waits for no longer than this is not worth a word
LOOKED_AT = 100  #: runs, and tasks of each, among which is looked for what it is


@app.command()
def start(
    context: typer.Context,
    where: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WHERE",
            help="What to offer, beside what is data: file.py, file.py:flow, module; else the configured apps.",
        ),
    ] = None,
    queues: Annotated[str | None, typer.Option(metavar="A,B", help="Take from these queues only.")] = None,
    site: Annotated[str | None, typer.Option(help="Where it runs; else as configured.", show_default=False)] = None,
    slots: Annotated[int, typer.Option(min=1, help="How many functions run at once.")] = SLOTS,
    executor: Annotated[
        Literal["thread", "process"] | None,
        typer.Option(help="Where they run: in threads, or each in a process; else as configured.", show_default=False),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="So many workers, each a process.")] = 1,
    until: Annotated[
        Literal["idle"] | None,
        typer.Option(help="End when nothing can happen without a person or a message; what it waits for is said."),
    ] = None,
    grace: Annotated[str, typer.Option(help="How long what runs may go on after a signal to stop.")] = "30s",
    name: Annotated[str, typer.Option(help="What to call the worker.", show_default=False)] = "",
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Work: run what is ready, until a signal says stop.

    The first SIGTERM or SIGINT lets what runs finish within --grace and hands the rest back, a second hands all
    back at once. Batch jobs go on and are adopted by the next worker.
    """
    patience, place = duration(grace, "--grace"), _place(site)
    names = place.takes if queues is None else _names(queues)
    flows = workflows(where or [])
    if processes > 1:
        from heliostat.cli.supervisor import supervise

        options = ["--grace", f"{patience}s", *(["--until", until] if until else [])]
        options += ["--slots", str(slots), *(["--queues", queues] if queues else [])]
        options += ["--executor", executor] if executor else []
        options += ["--site", site] if site else []
        options += ["--name", name] if name else []
        raise typer.Exit(supervise(_command(session(context), [*options, *(where or [])]), processes, patience))
    with session(context).engine(new=True) as engine:
        for flow in flows:
            engine.add(flow)
        chosen = executor or place.executor
        worker = engine.worker(name=name, queues=names, slots=slots, site=place.site, executor=chosen)
        if parent is None:
            _warn(engine, names or ())
        labels = (
            ", ".join(sorted(flow.graph.label for flow in flows)) or "what is kept as data; for the rest name files"
        )
        output.say(f"worker {worker.id} offers {labels}" + (f" on {','.join(names)}" if names else ""))
        _tell_left(engine, {flow.name: flow.graph for flow in flows})
        code = _serve(engine, worker, patience, until, parent)
        if until is not None and names is not None:
            _tell_untaken(engine, {flow.graph.id for flow in flows}, names)
        raise typer.Exit(code)


def _place(site: str | None) -> Config:
    """The configuration of where it runs."""
    from heliostat import config

    found = config.read()
    return found if site is None else found.at(site)


def _names(queues: str) -> tuple[str, ...]:
    names = tuple(queue.strip() for queue in queues.split(",") if queue.strip())
    if not names:
        raise typer.BadParameter("it names no queue; leave it out to take from all", param_hint="--queues")
    return names


def _warn(engine: Engine, names: Sequence[str]) -> None:
    """Say which of the queues nobody uses: a worker would wait for them in silence."""
    known = {queue.name for queue, *_ in engine.store.queues()}
    for name in names:
        if name not in known:
            output.say(f"no workflow here uses a queue {name!r}{nearest(name, sorted(known))}")


def _tell_left(engine: Engine, offered: dict[str, Graph]) -> None:
    """Say what is ready of the same workflows in another structure: their file was edited since it was started."""
    from heliostat.fleet import offers, takers

    store = engine.store
    there = takers(store.workers(), engine.around.clock.now())
    for key in sorted({graph for _, graph in store.lively_lanes()}):
        left = store.graph(key)
        mine = offered.get(left.name)
        if mine is not None and mine.id != key and not any(offers(worker, left) for worker in there):
            again = f"`heliostat run rerun` begins it anew with {mine.label} once it is over"
            output.say(f"what is ready of {left.label} waits for a worker that offers that; {again}")


def _tell_untaken(engine: Engine, offered: set[int], names: Sequence[str]) -> None:
    """Say what is ready of the same workflows in queues from which it took nothing, where nobody else does."""
    from heliostat.fleet import takers

    there = takers(engine.store.workers(), engine.around.clock.now())
    taken = {queue for worker in there for queue in worker.queues.split(",")}
    left = {queue for queue, graph in engine.store.lively_lanes() if graph in offered} - {*names, *taken}
    for queue in sorted(left if "" not in taken else ()):  # "": somebody takes from all
        output.say(f"what is ready in queue {queue} waits for a worker that takes from that, too")


def _command(given: Session, options: list[str]) -> list[str]:
    """How a worker process is started that does the same."""
    import sys

    where = ["--database", given.database] if given.database else []
    where += ["--files", str(given.files)] if given.files else []
    return [sys.executable, "-m", "heliostat.cli", *where, "worker", "start", *options, "--parent", str(os.getpid())]


def _serve(engine: Engine, worker: Worker, grace: float, until: str | None, parent: int | None) -> int:
    from heliostat.cli.signals import Stops

    with Stops(worker.bell.set) as stops:
        worker.serve(_over(engine, worker, stops, until, parent))
        if stops.asked:
            output.say(f"worker {worker.id} stops: what runs has {grace:g} s; a second signal hands it back at once")
        worker.stop(grace, hurry=lambda: stops.asked > 1)
    if worker.exhausted:
        output.say(f"worker {worker.id} has too many threads that do not end; start it afresh")
        return EXHAUSTED
    return 0


def _over(engine: Engine, worker: Worker, stops: Stops, until: str | None, parent: int | None) -> Callable[[], bool]:
    heard, awaited = False, _Awaited(engine, worker)

    def over() -> bool:
        nonlocal heard
        if worker.draining and not heard:
            heard = True
            output.say(f"worker {worker.id} drains: it takes nothing more, and ends when what runs has ended")
        if stops.asked or worker.exhausted or worker.drained:
            return True
        if parent is not None and os.getppid() != parent:
            return True
        if until != "idle":
            return False
        awaited.look()
        return worker.idle and not any(running for *_, running in engine.store.queues())

    return over


class _Awaited:
    """Says for which time a worker waits that is to end when it is idle, once for each time."""

    def __init__(self, engine: Engine, worker: Worker) -> None:
        self._engine, self._worker, self._said = engine, worker, 0.0

    def look(self) -> None:
        """Say it, where nothing else is left and it is some time off."""
        due, now = self._worker.awaits, self._engine.around.clock.now()
        if due is None or due == self._said or due - now < SOON_SECONDS:
            return
        self._said = due
        output.say(f"worker {self._worker.id} is not idle yet: {self._what(due)}")

    def _what(self, due: float) -> str:
        """What waits for it, as far as the newest runs tell."""
        store = self._engine.store
        for run in store.runs(state=RunState.active, limit=LOOKED_AT):
            if run.deadline_at == due:
                return f"run {run.public} is to have ended at {output.when(due)}"
            for task in store.tasks(run.id, TaskState.waiting, limit=LOOKED_AT):
                if task.due_at == due:
                    why = self._engine.find(run.public).explain(task.number)
                    return f"{task_id(run.id, task.number)} {task.title}: {why}"
        return f"something waits until {output.when(due)}"


@app.command()
def drain(
    context: typer.Context,
    workers: Annotated[list[str], typer.Argument(metavar="WORKER", help="A worker's id, or how it begins.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the journal.")] = "",
) -> None:
    """Have workers take nothing more, finish what they have begun, and end."""
    from heliostat.store import Command, Drain

    with session(context).engine() as engine:
        there = [worker.id for worker in engine.store.workers() if worker.state != "stopped"]
        meant = [_meant(word, there) for word in workers]
        commands = [Command(Drain(worker), actor=whoever(), reason=reason) for worker in meant]
        for worker, answer in zip(meant, engine.store.accept(commands, engine.around.clock.now()), strict=True):
            output.say(answer.note or f"worker {worker} drains with its next heartbeat")


def _meant(word: str, there: list[str]) -> str:
    found = [worker for worker in there if worker == word] or [w for w in there if word and w.startswith(word)]
    if len(found) > 1:
        raise BadInput(f"{word} begins {len(found)} workers: {', '.join(found)}; say more of it")
    if not found:
        raise NotFound(f"there is no worker {word!r}{nearest(word, there)}")
    return found[0]


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the workers that are there."""
    from heliostat.exporters.picture import duration
    from heliostat.fleet import silent

    with session(context).engine() as engine:
        workers = [worker for worker in engine.store.workers() if worker.state != "stopped"]
        if as_json:
            output.document([shapes.worker_shape(worker) for worker in workers])
            return
        now = engine.around.clock.now()
        placed = any(worker.site for worker in workers)
        heads = ("worker", "state", "offers", "queues", *(["site"] if placed else []), "for", "seen")
        found = output.table(*heads, right=["for", "seen"], whole=["worker"])
        for worker in workers:
            seen = f"{duration(max(0.0, now - worker.beat_at))} ago"
            there = output.span(worker.started_at, now)
            state = output.state(worker.state, ", silent" if silent(worker, now) else "")
            site = [worker.site] if placed else []
            output.row(found, worker.id, state, worker.offers, worker.queues or "all", *site, there, seen)
        output.show(found if workers else "no workers; start one with: heliostat worker start WHERE")
