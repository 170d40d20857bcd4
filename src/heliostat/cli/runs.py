"""A run for people: how it came out, its nodes, its result and its files."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from heliostat.cli import output, shapes
from heliostat.run import RunState, parse_id, split_task_id

if TYPE_CHECKING:
    from heliostat.engine import Engine
    from heliostat.handle import RunHandle
    from heliostat.store import Store

RESULT_LINES = 40
ONE_LINE = 76  #: letters of a value that stands on one line


def show_end(engine: Engine, run: RunHandle) -> None:
    """How a run that was waited for came out."""
    from heliostat.cli.log import trace
    from heliostat.story import cause

    details, info = shapes.run_details(engine.store, run), run.info
    words = output.state(str(info.state))
    took = output.span(info.created_at, info.ended_at)
    output.show(output.text(f"run {run.id} ") + words + output.text(f" in {took}" if took else ""))
    if info.reason:
        output.show(output.text(info.reason, "red" if info.state is RunState.failed else ""))
    if (raised := cause(engine.store, info, engine.around.log_files)) is not None:
        output.show(*trace(raised))
    if details["result"] is not None:
        output.show(*value_lines(details["result"]))
    if details["artifacts"]:
        output.show("", artifact_table(engine.store, details["artifacts"]))


def paused_words(engine: Engine, details: shapes.RunDetails) -> str | None:
    """Who has paused a run, when and why."""
    from heliostat.checks import paused_by
    from heliostat.run import parse_id

    hold = shapes.hold_of(engine.store.holds(parse_id(details["id"])), "run", "")
    return None if hold is None else paused_by(hold, engine.around.clock.now())


def node_table(run: RunHandle, nodes: list[shapes.NodeState]) -> object:
    """How each node stands."""
    from heliostat.exporters.picture import duration, headline
    from heliostat.task import TaskState

    found = output.table("node", "state", "tasks", "ran", right=["tasks", "ran"])
    for node in nodes:
        counts = {TaskState(state): count for state, count in node["tasks"].items()}
        word = str(headline(counts, may_fail=run.graph[node["name"]].may_fail))
        total, done = sum(counts.values()), counts.get(TaskState.succeeded, 0)
        tasks = f"{done:,}/{total:,}" if total > 1 else str(total or "")
        state = output.state(word) if word else output.text("· no task", "bright_black")
        output.row(found, node["name"], state, tasks, duration(node["seconds"]) if node["seconds"] else "")
    return found


def failure_table(failures: list[shapes.FailureShape]) -> object:
    """What failed for good; those of a node that say the same but for numbers and values are one line."""
    from heliostat.reasons import alike

    groups: dict[tuple[str, str], list[shapes.FailureShape]] = {}
    for failure in failures:
        groups.setdefault((failure["node"], alike(failure["reason"] or "")), []).append(failure)
    found = output.table("failed task", "node", "why")
    for first, *others in groups.values():
        more = f" ({output.count(len(others), 'other')} alike)" if others else ""
        output.row(found, first["task"], first["node"], (first["reason"] or "") + more)
    return found


def artifact_table(store: Store, artifacts: list[shapes.ArtifactShape]) -> object:
    """The files that a run keeps; those of the same name can be told by their nodes and digests."""
    named = Counter(kept["name"] for kept in artifacts)
    also = ["node", "digest"] if any(count > 1 for count in named.values()) else []
    found = output.table("file", "size", "media type", "tags", "task", *also, right=["size"], whole=also)
    for kept in artifacts:
        run, number = split_task_id(kept["task"])
        told = [_title(store, parse_id(run), number), short_digest(kept["digest"])] if named[kept["name"]] > 1 else []
        tags = ", ".join(kept["tags"])
        output.row(found, kept["name"], output.size(kept["size"]), kept["media_type"], tags, number, *told)
    return found


def short_digest(digest: str) -> str:
    """As much of a digest as commands take and people tell apart."""
    return digest.removeprefix("sha256:")[:12]


def keeper(store: Store, run: int, number: int) -> str:
    """Which task keeps a file, or that nobody's does."""
    title = _title(store, run, number)
    return f"task {number} {title}" if title else "put by hand"


def _title(store: Store, run: int, number: int) -> str:
    task = store.task(run, number)
    return "" if task is None else task.title


def value_lines(value: object) -> list[object]:
    """A value for people: JSON, or the string that it is."""
    import json

    value = output.readable(value)
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str) and len(words) > ONE_LINE:
        words = json.dumps(value, indent=2, ensure_ascii=False)
    lines = words.splitlines()
    rest = [output.text(f"… {len(lines) - RESULT_LINES} lines more; --json has all", "bright_black")]
    return [output.text("\n".join(lines[:RESULT_LINES])), *(rest if len(lines) > RESULT_LINES else [])]
