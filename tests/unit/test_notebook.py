"""What a notebook shows of workflows and runs: pictures and tables in which nothing can run, and progress."""

# ruff: noqa: D103 - nodes are read together, and their names say what they do

from __future__ import annotations

import base64
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from heliostat import Context, Workflow, testing
from heliostat.clock import SystemClock
from heliostat.compose import engine_on
from heliostat.engine import Engine
from heliostat.errors import NotEnded
from heliostat.exporters import live
from heliostat.exporters.svg import svg
from heliostat.handle import RunHandle
from heliostat.stores.memory import MemoryStore, Tables

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x1b[31m"
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

night = Workflow("night")


@night.node
def frames(message: str) -> list[int]:
    return [1, 2]


@night.node(map={"frame": frames})
def calibrate(frame: int) -> int:
    return frame * 10


@night.node
def mosaic(ctx: Context, message: str, calibrate: list[int]) -> dict[str, Any]:
    (ctx.dir / "sky.png").write_bytes(DOT)
    (ctx.dir / "sky.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "utf-8")
    ctx.artifact(ctx.dir / "sky.svg", tags=(message,))
    return {"sum": sum(calibrate), "said": message, "sky": ctx.dir / "sky.png"}


broken = Workflow("broken")


@broken.node
def fail(message: str) -> None:
    raise ValueError(message)


listening = Workflow("listening", stays_open=True)


@listening.handler
def hear(message: str) -> None:
    """Listen."""


class Read(HTMLParser):
    """What stands in a page: its tags, what could run, and what can be read."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.risks, self.text, self.sources = set[str](), list[str](), "", list[str]()
        self._style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._style = tag == "style"
        self.risks += [name for name, _ in attrs if name.startswith("on") or name == "href"]
        self.sources += [value or "" for name, value in attrs if name == "src"]

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._style else f" {data}"


@pytest.fixture
def engine() -> Iterator[testing.VirtualEngine]:
    """Give an engine in memory."""
    with testing.engine() as made:
        yield made


def shown(thing: Any) -> Read:
    """What a notebook shows of a thing, in which nothing may run."""
    read = Read(thing._repr_html_())
    assert not read.tags & {"script", "iframe", "object", "embed", "form", "link", "a"}
    assert read.risks == []
    assert all(source.startswith("data:image/") for source in read.sources)
    return read


def test_a_workflow_is_its_picture() -> None:
    """The one that the command line draws, and in a frame for light and dark notebooks."""
    assert night._repr_svg_() == svg(night.graph)
    page = night._repr_html_()
    assert svg(night.graph) in page
    assert page.count("prefers-color-scheme:dark") >= 2
    assert ':is([data-jp-theme-light="false"],.vscode-dark' in page
    assert {"frames", "calibrate", "mosaic"} <= set(shown(night).text.split())


def test_a_run_is_its_picture_its_result_its_files_and_its_nodes(engine: testing.VirtualEngine) -> None:
    """Pictures among the files are seen, each inside its own image."""
    run = engine.run(night, "clear", name="M 31")
    read = shown(run)
    for words in (f"run {run.id} · M 31 · succeeded", '"said": "clear"', "sky.png (", "image/svg+xml", "2/2", "nodes"):
        assert words in read.text
    assert [source.partition(";")[0] for source in read.sources] == ["data:image/svg+xml", "data:image/png"]
    picture = run._repr_svg_()
    assert picture is not None
    assert f"run {run.id} · M 31 · succeeded" in picture


def test_whatever_text_comes_in_nothing_of_it_runs(engine: testing.VirtualEngine) -> None:
    """Messages, names, reasons, tags: all of it is text."""
    runs = [engine.run(night, EVIL, name=EVIL), engine.run(broken, EVIL, name=EVIL), engine.start(listening, name=EVIL)]
    for thing in (*runs, engine.runs()):
        assert "<script>alert(1)</script>" in shown(thing).text
        assert "\x1b" not in thing._repr_html_()


def test_a_run_that_failed_or_goes_on_says_why(engine: testing.VirtualEngine) -> None:
    """What failed, or what it waits for."""
    failed, waiting = engine.run(broken, "no light"), engine.start(listening)
    assert "ValueError: no light (test_notebook.py:" in shown(failed).text
    assert "waits for a message, or to be completed" in shown(waiting).text
    waiting.send(hear, "x", delay="1h")
    engine.advance(0)
    assert "hear: a delayed message, due in 60 min" in shown(waiting).text
    waiting.pause()
    assert "active, paused" in shown(waiting).text


def test_runs_are_a_table(engine: testing.VirtualEngine) -> None:
    """Still a list; the first fifty are shown."""
    assert "none was found" in shown(engine.runs()).text
    engine.run(night, "clear", name="M 31")
    assert "M 31" in shown(engine.runs()).text
    assert engine.runs()._repr_svg_() is None
    engine.start_many(listening, range(60))
    read = shown(engine.runs())
    assert "61 runs" in read.text
    assert "and 11 more" in read.text
    assert isinstance(engine.runs(), list)


def test_a_file_that_lies_elsewhere_is_only_named(engine: testing.VirtualEngine) -> None:
    """A notebook far from the files shows the rest."""
    run = engine.run(night, "clear")
    for file in (engine.around.directory / "artifacts").rglob("*"):
        if file.is_file():
            file.unlink()
    assert "sky.png" in shown(run).text
    assert shown(run).sources == []


def test_long_results_are_cut(engine: testing.VirtualEngine) -> None:
    """In lines and in letters."""
    flow = Workflow("long")
    flow.node(lambda message: message, name="echo")
    for message in (list(range(1000)), "x" * 10_000, "\n" * 1000):
        page = shown(engine.run(flow, message)).text
        assert "…" in page
        assert len(page) < 8000
    assert "result" not in shown(engine.run(flow, None)).text


def test_nothing_that_draws_is_loaded_until_somebody_looks() -> None:
    """A program that shows nothing pays nothing."""
    ask = (
        "import sys, heliostat; from heliostat import testing; e = testing.engine(); "
        "e.runs(); heliostat.Workflow('w'); e.close(); "
        "print(*(name for name in sys.modules if name.startswith('heliostat.exporters')))"
    )
    ran = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""


# watching


class Kernel:
    """IPython, as far as a cell knows it."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.kernel = self

    def get_ipython(self) -> Kernel:
        return self

    def display(self, thing: Any, *, display_id: bool) -> Kernel:
        self.shown.append(str(thing.state))
        return self

    def update(self, thing: Any) -> None:
        assert thing._repr_html_()
        self.shown.append(str(thing.state))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Give a notebook."""
    made = Kernel()
    for name in ("IPython", "IPython.display"):
        module = types.ModuleType(name)
        vars(module).update(get_ipython=made.get_ipython, display=made.display)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(live, "PAUSE", 0.0)
    return made


def test_a_cell_shows_a_run_until_it_is_over(engine: testing.VirtualEngine, kernel: Kernel) -> None:
    """One picture that changes; nothing is left to the cell to show again."""
    run = engine.start(night, "clear")
    assert run.watch() is None  # type: ignore[func-returns-value]
    assert (kernel.shown[0], kernel.shown[-1]) == ("active", "succeeded")
    assert len(kernel.shown) > 2


def test_on_a_terminal_there_are_lines(engine: testing.VirtualEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, as of ``run start --wait``."""
    engine.start(night, "clear").watch()
    said = capsys.readouterr()
    assert "mosaic: ✓ succeeded" in said.err
    assert said.out == ""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Give what opens an engine of a further process on the same tables."""
    tables, engines = Tables(), list[Engine]()

    def open_one() -> Engine:
        store = MemoryStore()
        store.tables = tables
        engines.append(engine_on(store, SystemClock(), tmp_path, seed=len(engines)))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.close()


def test_whoever_watches_works_where_nobody_else_does(opened: Callable[[], Engine], kernel: Kernel) -> None:
    """If it has the functions; else it is said, and the picture stays."""
    mine, yours = opened(), opened()
    run = mine.start(night, "clear")
    with pytest.raises(NotEnded, match="no worker offers"):
        yours.find(run.id).watch()
    run.watch()
    assert run.result(calibrate) == [10, 20]
    assert kernel.shown[-1] == "succeeded"


def test_whoever_watches_leaves_the_work_to_workers(opened: Callable[[], Engine], kernel: Kernel) -> None:
    """Where there are any."""
    mine, yours, over = opened(), opened(), threading.Event()
    yours.add(night)
    thread = threading.Thread(target=lambda: yours.work(until=over.is_set))
    thread.start()
    while not yours.store.workers():
        assert thread.is_alive()
    run: RunHandle = mine.start(night, "clear")
    run.watch()
    over.set()
    thread.join()
    assert {task.worker for task in run.tasks()} == {worker.id for worker in yours.store.workers()}
