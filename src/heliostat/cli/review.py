"""See what waits for people, and decide it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from heliostat.cli import output, shapes
from heliostat.cli.completion import runs
from heliostat.cli.output import AsJson
from heliostat.cli.run import Reason, tell
from heliostat.cli.session import find_run, find_task, session
from heliostat.errors import BadInput, NotFound
from heliostat.run import split_task_id, task_id

if TYPE_CHECKING:
    from heliostat.engine import Engine
    from heliostat.handle import RunHandle
    from heliostat.review import Review

NAME = "review"
app = typer.Typer(no_args_is_help=True)

HELP = "A run's id, if it asks for one thing; else with a slash and a task's number or a node's name."
Id = Annotated[str, typer.Argument(metavar="REVIEW", help=HELP, autocompletion=runs)]


@app.command("list")
def list_(
    context: typer.Context,
    run: Annotated[str | None, typer.Option(help="Of this run only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, oldest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the reviews that are open, oldest first."""
    from heliostat import codec
    from heliostat.handle import MOST

    with session(context).engine() as engine:
        most = codec.whole(limit, "limit", 1, MOST)
        reviews = engine.store.reviews(None if run is None else find_run(engine, run).key, most + 1)
        found = [_shape(engine, review) for review in reviews[:limit]]
        if as_json:
            output.document(found)
            return
        whole = ["review", "since", "until"]
        made = output.table(
            "review", "workflow", "node", "choices", "role", "since", "until", "claimed by", whole=whole
        )
        now = engine.around.clock.now()
        for review, shape in zip(reviews, found, strict=False):
            until = "" if review.due_at is None else output.lately(review.due_at, now)
            cells = (shape["id"], shape["workflow"], _title(review), ", ".join(shape["choices"]), shape["role"])
            output.row(made, *cells, output.lately(review.asked_at, now), until, review.claimed_by)
        output.show(made if found else "nobody is asked for anything")
        if len(reviews) > limit:
            output.say(f"there are more than {limit}; see --limit and --run")


@app.command()
def show(context: typer.Context, review: Id, as_json: AsJson = False) -> None:
    """Show a review that is open, and what is to be decided on: the results of what it waits for."""
    with session(context).engine() as engine:
        run, number = find_review(engine, review)
        found = engine.store.review(run.key, number)
        if found is None:
            raise NotFound(f"review {task_id(run.key, number)} is not open: {run.explain(number)}")
        details: shapes.ReviewDetails = {**_shape(engine, found), "inputs": _inputs(engine, run, found)}
        if as_json:
            output.document(details)
            return
        until = output.when(found.due_at)
        then = f", then {details['otherwise']}" if details["otherwise"] else ", then it fails"
        output.show(
            output.facts(
                {
                    "review": f"{_title(found)} ({details['id']})",
                    "workflow": run.graph.label,
                    "run": details["name"] or run.id,
                    "choices": ", ".join(details["choices"]),
                    "role": details["role"],
                    "since": output.when(found.asked_at),
                    "until": until and until + then,
                    "claimed by": found.claimed_by,
                }
            )
        )
        if details["inputs"]:
            made = output.table("to decide on", "")
            for name, value in details["inputs"].items():
                output.row(made, name, output.short(value, 2000))
            output.show("", made)


@app.command()
def claim(context: typer.Context, review: Id, reason: Reason = "") -> None:
    """Take a review, so that nobody else decides it."""
    with session(context).engine() as engine:
        run, number = find_review(engine, review)
        tell(run.claim(number, reason), f"{task_id(run.key, number)} is yours to decide")


@app.command()
def release(context: typer.Context, review: Id, reason: Reason = "") -> None:
    """Give a review back, whoever has claimed it."""
    with session(context).engine() as engine:
        run, number = find_review(engine, review)
        tell(run.release(number, reason), f"{task_id(run.key, number)} is anybody's to decide")


@app.command()
def decide(
    context: typer.Context,
    review: Id,
    choice: Annotated[str, typer.Argument(metavar="CHOICE", help="One of the review's choices.")],
    reason: Reason = "",
) -> None:
    """Decide a review; the run goes on with what was chosen."""
    with session(context).engine() as engine:
        run, number = find_review(engine, review)
        tell(run.decide(number, choice, reason), f"decided: {choice}")


@app.command()
def withdraw(context: typer.Context, review: Id, reason: Reason = "") -> None:
    """Have nobody decide a review any more; what waits for it is skipped."""
    with session(context).engine() as engine:
        run, number = find_review(engine, review)
        tell(run.withdraw(number, reason), "withdrawn")


def find_review(engine: Engine, text: str) -> tuple[RunHandle, int]:
    """The run and the task that a review's id stands for; raises NotFound, or BadInput if it may be several."""
    word, slash, which = text.partition("/")
    run = find_run(engine, word)
    if which.isdecimal():
        return run, split_task_id(f"{run.id}/{which}")[1]
    named = [review for review in run.reviews() if not slash or which in (review.node, _title(review))]
    if len(named) == 1:
        return run, named[0].number
    if named:
        ids = ", ".join(task_id(review.run, review.number) for review in named[:5])
        raise BadInput(f"{text} is short for {ids}{' and more' if len(named) > 5 else ''}; which one?")
    if slash:
        return find_task(engine, text)
    if len(run.graph.reviews) == 1 and (known := _lone(run)) is not None:
        return run, known
    raise NotFound(f"run {run.id} asks nobody for anything: {run.explain(limit=1).partition(chr(10))[0]}")


def _lone(run: RunHandle) -> int | None:
    """The task of the one review that a run has, if it has been asked: what was decided is said of that."""
    [name] = run.graph.reviews
    tasks = run.tasks(node=name)
    return tasks[0].number if len(tasks) == 1 and tasks[0].state.final else None


def _title(review: Review) -> str:
    return review.node if review.item is None else f"{review.node}[{review.item}]"


def _shape(engine: Engine, review: Review) -> shapes.ReviewShape:
    run = engine.store.run(review.run)
    assert run is not None
    return shapes.review_shape(run, engine.registry.graph(run.graph), review)


def _inputs(engine: Engine, run: RunHandle, review: Review) -> dict[str, Any]:
    """What the nodes before a review have given; of a list, the item that it is about."""
    from heliostat.inputs import node_result

    found = {}
    for edge in run.graph[review.node].edges:
        value = shapes.decoded(node_result(engine.store, run.key, run.graph, run.graph[edge.source]))
        mine = edge.each and isinstance(value, list) and review.item is not None and review.item < len(value)
        found[edge.source] = value[review.item] if mine else value
    return found
