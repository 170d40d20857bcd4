"""How a run goes, while it is waited for: a line per node on a terminal, a line per change elsewhere."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from heliostat.cli import output
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from heliostat.engine import Engine
    from heliostat.graph import Node
    from heliostat.handle import RunHandle

PAUSE = 0.1  #: seconds between looks at the database, at least
SHARE = 0.05  #: of the time, at most, goes into looking
BAR = 24  #: columns
QUIET = 1.5  #: seconds without anything running before it says what is waited for
_SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_BEGUN = (TaskState.running, TaskState.waiting, TaskState.succeeded, TaskState.failed)
_DONE_FIRST = (TaskState.succeeded, TaskState.skipped, TaskState.failed, TaskState.cancelled, TaskState.running)


@dataclass(slots=True)
class _Seen:
    """What is known of a node."""

    counts: Mapping[TaskState, int] = field(default_factory=dict)
    word: str = ""
    began: float | None = None
    ended: float | None = None
    note: str = ""
    done: tuple[float, float] | None = None  # what its function said of its progress: so much of so much

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class Progress:
    """Shows a run on standard error. Call ``tick`` as often as you like; it looks when it is time."""

    def __init__(self, engine: Engine, run: RunHandle) -> None:
        self._engine, self._run = engine, run
        self._seen = {node.name: _Seen() for node in run.graph}
        self._console = output.console(talk=True)
        self._start = self._moved = time.monotonic()
        self._next = 0.0
        self._waits_for: str | None = None
        self._read: dict[Path, int] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=10, transient=False)
            self._live.start()
        else:
            self._console.print(output.text(f"run {self._run.id} of {self._run.graph.label}"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._look(time.monotonic())
        if self._live is not None:
            self._live.stop()

    def tick(self) -> None:
        """Look at the run if that was not done just before."""
        now = time.monotonic()
        if now >= self._next:
            self._look(now)
            spent = time.monotonic() - now
            self._next = now + max(PAUSE, spent / SHARE)

    def _look(self, now: float) -> None:
        from heliostat.exporters.picture import headline

        states = self._engine.store.states(self._run.key)
        self._read_log()
        for name, counts in states.items():
            seen = self._seen[name]
            if counts == seen.counts:
                continue
            seen.counts, self._moved, self._waits_for = counts, now, None
            word = str(headline(counts, may_fail=self._run.graph[name].may_fail))
            if seen.began is None and any(counts.get(state) for state in _BEGUN):
                seen.began = now
            over = all(state.final for state, count in counts.items() if count)
            seen.ended = (now if seen.ended is None else seen.ended) if over else None
            if self._live is None and word != seen.word and over:
                self._print(name, seen, word)
            seen.word = word
        if self._waits_for is None and now - self._moved > QUIET:
            self._explain(states)

    def _explain(self, states: Mapping[str, Mapping[TaskState, int]]) -> None:
        """Where nothing runs any more, what is waited for."""
        if any(counts.get(TaskState.running) for counts in states.values()):
            self._waits_for = ""
            return
        self._waits_for = self._run.explain(limit=1).partition("\n")[0]
        if self._live is None and self._waits_for:
            self._console.print(output.text(self._waits_for))

    def _read_log(self) -> None:
        """The newest line of each node, as far as its functions say anything."""
        for file in self._engine.around.log_files(self._run.key):
            with suppress(FileNotFoundError), file.open("rb") as log:
                log.seek(self._read.get(file, 0))
                self._hear(file, log.read())

    def _hear(self, file: Path, new: bytes) -> None:
        whole = new.rfind(b"\n") + 1
        self._read[file] = self._read.get(file, 0) + whole
        for line in new[:whole].splitlines()[-1000:]:
            try:
                said = json.loads(line)
                seen = self._seen[said["node"]]
            except (ValueError, KeyError, TypeError):
                continue
            if said.get("traceback"):  # the reason says it shorter
                continue
            seen.note = str(said.get("message") or "")
            if said.get("progress"):
                seen.done = _share(said.get("done"), said.get("total"))

    # drawing

    def _print(self, name: str, seen: _Seen, word: str) -> None:
        count = f" {seen.counts.get(TaskState.succeeded, 0):,}/{seen.total:,}" if seen.total > 1 else ""
        self._console.print(output.text(f"{name}: ") + output.state(word) + output.text(count))

    def _draw(self) -> Group:
        from rich.console import Group
        from rich.table import Table

        now = time.monotonic()
        head = output.text(self._run.graph.label, "bold")
        head += output.text(f"  run {self._run.id}  {_clock(now - self._start)}", "bright_black")
        made = Table.grid(padding=(0, 2))
        made.add_column(width=1)
        made.add_column(no_wrap=True, max_width=32, overflow="ellipsis")
        made.add_column(no_wrap=True, min_width=BAR)
        made.add_column(justify="right", no_wrap=True, min_width=7, style="bright_black")
        made.add_column(no_wrap=True, style="bright_black", overflow="ellipsis")
        nodes = self._worth_a_line()
        for node in nodes:
            made.add_row(*self._line(node, self._seen[node.name], now))
        feet = []
        if len(nodes) < len(self._seen):
            feet.append(output.text(f"   and {len(self._seen) - len(nodes)} more nodes", "bright_black"))
        if self._waits_for:
            feet.append(output.text(f"   {self._waits_for}", "yellow"))
        return Group(head, made, *feet)

    def _worth_a_line(self) -> list[Node]:
        """All nodes, or where the terminal is too low for them those where something happens."""
        nodes = list(self._run.graph)
        room = max(5, self._console.height - 5)
        if len(nodes) <= room:
            return nodes
        rank = {"failed": 0, "running": 1, "waiting": 2, "ready": 3, "succeeded": 4}
        first = sorted(nodes, key=lambda node: rank.get(self._seen[node.name].word, 5))[:room]
        chosen = {node.name for node in first}
        return [node for node in nodes if node.name in chosen]

    def _line(self, node: Node, seen: _Seen, now: float) -> tuple[Text, Text, Text, str, Text]:
        word = seen.word
        style = output.COLOURS.get(word, "bright_black")
        glyph = _SPIN[int(now * 10) % len(_SPIN)] if word == "running" else output.MARKS.get(word, "·")
        took = "" if seen.began is None else _clock((seen.ended or now) - seen.began)
        name = output.text(node.name, "bold" if word == "running" else style if word in ("failed", "") else "")
        return output.text(glyph, style), name, self._bar(seen), took, output.text(seen.note)

    def _bar(self, seen: _Seen) -> Text:
        """What is done of a node's tasks, or of what its function says there is."""
        if seen.total <= 1:
            if seen.word == "running" and seen.done is not None:
                done, total = seen.done
                full = round(BAR * done / total)
                return output.text("━" * full, "blue") + output.text("━" * (BAR - full), "bright_black")
            return output.text(seen.word, output.COLOURS.get(seen.word, ""))
        drawn, used = output.text(""), 0
        for state in _DONE_FIRST:
            if count := seen.counts.get(state, 0):
                part = min(BAR - used, max(1, BAR * count // seen.total))
                drawn, used = drawn + output.text("━" * part, output.COLOURS[state]), used + part
        done = seen.counts.get(TaskState.succeeded, 0)
        return drawn + output.text("━" * (BAR - used), "bright_black") + output.text(f" {done:,}/{seen.total:,}")


def _share(done: object, total: object) -> tuple[float, float] | None:
    if isinstance(done, int | float) and isinstance(total, int | float) and total > 0:
        return min(max(0.0, done), total), total
    return None


def _clock(seconds: float) -> str:
    """An elapsed time that does not jump in width."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
