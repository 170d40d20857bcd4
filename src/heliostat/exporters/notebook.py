"""Workflows, runs and lists of runs as a notebook shows them."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from heliostat.artifact import Artifact
from heliostat.errors import ArtifactError
from heliostat.exporters.lettering import escaped, shown
from heliostat.exporters.picture import duration, headline, size
from heliostat.exporters.sheet import folded, section, sheet, state, table
from heliostat.exporters.svg import svg
from heliostat.handle import RunHandle, Runs
from heliostat.inside import traffic
from heliostat.run import RunState
from heliostat.story import cause
from heliostat.task import TaskState
from heliostat.workflow import Workflow

if TYPE_CHECKING:
    from heliostat.run import Run

ROWS = 50  #: of a table
LINES, LETTERS = 40, 4000  #: of a result
SENTENCES = 3  #: about what a run waits for
PICTURES, PICTURE_BYTES = 3, 1 << 20  #: of a run, shown as they are
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"})


def drawing(thing: object) -> str | None:
    """A workflow, or what became of a run, as SVG; None of what has no graph."""
    match thing:
        case Workflow():
            return svg(thing.graph)
        case RunHandle():
            store = thing._engine.store  # noqa: SLF001 - a handle is its engine's, and shows what that knows
            sent = traffic(store, thing.graph, thing.key)
            return svg(thing.graph, store.states(thing.key), sent, caption=_caption(thing))
        case _:
            return None


def html(thing: object) -> str:
    """The whole of it as HTML."""
    match thing:
        case Workflow():
            return sheet(drawing(thing) or "")
        case RunHandle():
            return sheet(drawing(thing) or "", *_parts(thing))
        case Runs():
            return sheet(section(f"{len(thing):,} run{'s' * (len(thing) != 1)}", _runs(thing) or "none was found"))
        case _:
            raise TypeError(thing)


def _caption(run: RunHandle) -> str:
    info = run.info
    mark = f"{info.state}{', paused' if info.paused else ''}"
    return " · ".join(filter(None, [f"run {run.id}", info.name, mark, _took(run, info), info.reason or ""]))


def _took(run: RunHandle, info: Run) -> str:
    now = run._engine.around.clock.now()  # noqa: SLF001 - as above
    return duration(max(0.0, (info.ended_at or now) - info.created_at))


# the parts of a run


def _parts(run: RunHandle) -> list[str]:
    info, parts = run.info, []
    if info.state is RunState.succeeded:
        result = run.result()
        parts.append(section("result", _value(result) if result is not None else ""))
    elif not info.state.final:
        waits = run.explain(limit=SENTENCES).splitlines()[:SENTENCES]
        parts.append(section("waits for", f"<pre>{escaped(chr(10).join(waits))}</pre>"))
    kept = run.artifacts()
    return [
        *parts,
        section("failed", _failures(run), _cause(run)),
        section("files", _pictures(run, kept), _files(kept)),
        _nodes(run),
    ]


def _value(value: Any) -> str:
    """A result: JSON, or the string that it is; a file by its name."""
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_named)
    if not isinstance(value, str) and len(words) > 76:
        words = json.dumps(value, indent=2, ensure_ascii=False, default=_named)
    lines = words[:LETTERS].splitlines()
    more = "\n…" if len(words) > LETTERS or len(lines) > LINES else ""
    return f"<pre>{escaped(chr(10).join(lines[:LINES]))}{more}</pre>"


def _named(file: Artifact) -> str:
    return f"{file.name} ({size(file.size)})"


def _failures(run: RunHandle) -> str:
    rows = [
        (_text(task.title), escaped(shown(task.reason or "", 600)))
        for task in run._engine.store.tasks(run.key, TaskState.failed, limit=ROWS)  # noqa: SLF001 - as above
    ]
    return table(("task", "why"), rows, long=1)


def _cause(run: RunHandle) -> str:
    """The traceback of what it has failed for."""
    engine = run._engine  # noqa: SLF001 - as above
    found = cause(engine.store, run.info, engine.around.log_files)
    return "" if found is None else f"<pre>{escaped(found.text)}</pre>"


def _pictures(run: RunHandle, kept: list[Artifact]) -> str:
    """The small pictures that a run keeps, each inside its own image: whatever they hold, it does nothing here."""
    found = [file for file in kept if file.media_type in _PICTURES and file.size <= PICTURE_BYTES]
    figures = []
    for file in found[:PICTURES]:
        with suppress(ArtifactError, OSError), run._engine.around.repository.open(file) as opened:  # noqa: SLF001
            data = f"data:{file.media_type};base64,{b64encode(opened.read()).decode()}"
            figures.append(f'<figure><img alt="{escaped(file.name)}" src="{data}"></figure>')
    return "\n".join(figures)


def _files(kept: list[Artifact]) -> str:
    rows = [(_text(file.name), size(file.size), _text(file.media_type), _text(", ".join(file.tags))) for file in kept]
    more = f"and {len(rows) - ROWS:,} more" if len(rows) > ROWS else ""
    return table(("file", "size", "media type", "tags"), rows[:ROWS], right=(1,)) + more


def _nodes(run: RunHandle) -> str:
    """How each node stands; folded, since the picture shows it."""
    store = run._engine.store  # noqa: SLF001 - as above
    states, seconds = store.states(run.key), dict[str, float]()
    for _, receiver, _, spent in traffic(store, run.graph, run.key):
        seconds[receiver] = seconds.get(receiver, 0.0) + spent
    rows = []
    for node in list(run.graph)[:ROWS]:
        counts = states.get(node.name, {})
        word, total = headline(counts, may_fail=node.may_fail), sum(counts.values())
        tasks = f"{counts.get(TaskState.succeeded, 0):,}/{total:,}" if total > 1 else str(total or "")
        ran = duration(seconds[node.name]) if seconds.get(node.name) else ""
        rows.append(
            (_text(node.name), state(word) if word else '<span class="hs-faint">not reached</span>', tasks, ran)
        )
    count = len(run.graph.nodes)
    more = f"and {count - ROWS:,} more" if count > ROWS else ""
    return folded("nodes", table(("node", "state", "tasks", "ran"), rows, right=(2, 3)) + more)


# a list


def _runs(runs: Runs) -> str:
    rows = []
    for run in runs[:ROWS]:
        info = run.info
        began = datetime.fromtimestamp(info.created_at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        where = state(info.state, ", paused" if info.paused else "")
        rows.append(
            (f"<code>{run.id}</code>", _text(run.graph.label), _text(info.name), where, began, _took(run, info))
        )
    more = f"and {len(runs) - ROWS:,} more" if len(runs) > ROWS else ""
    return table(("run", "workflow", "name", "state", "started", "took"), rows, right=(5,)) + more


def _text(words: str) -> str:
    return escaped(shown(words, 60))
