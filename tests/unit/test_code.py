"""Which code ran: a digest that changes with the code of a workflow, and with nothing else."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heliostat.clock import SystemClock
from heliostat.code import digest, ran
from heliostat.compose import engine_on
from heliostat.engine import Engine
from heliostat.loading import load
from heliostat.queue import WorkerInfo
from heliostat.stores.memory import MemoryStore
from heliostat.workflow import Workflow

FLOW = """
from heliostat import Workflow
from optics import focus

sky = Workflow("sky", version="1")

@sky.node
def expose() -> int:
    return focus(1)
"""


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Workflow]]:
    """Write a workflow and a module beside it, and load them as a new process would."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two versions in one second are one to the cache

    def load_anew(flow: str = FLOW, optics: str = "def focus(x): return x", place: str = "here") -> Workflow:
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "night_flow.py").write_text(flow)
        (tmp_path / place / "optics.py").write_text(optics)
        forget()
        sys.path[:] = [str(tmp_path / place), *(path for path in sys.path if str(tmp_path) not in path)]
        (workflow,) = load(str(tmp_path / place / "night_flow.py"))
        return workflow

    def forget() -> None:
        for name in [name for name in sys.modules if name.startswith(("night_flow", "optics", "other_flow"))]:
            del sys.modules[name]

    yield load_anew
    forget()


def of(workflow: Workflow) -> str:
    """The digest of a workflow's code."""
    return digest(signature.function for signature in workflow.signatures.values())


def test_the_digest_is_that_of_the_files(loaded: Callable[..., Workflow]) -> None:
    """The same wherever they lie; another one when the function or a module beside it is mended."""
    first = of(loaded())
    assert first.startswith("sha256:")
    assert of(loaded(place="there")) == first
    assert of(loaded(FLOW.replace("focus(1)", "focus(2)"))) != first
    assert of(loaded(optics="def focus(x): return x + 1")) != first
    assert of(loaded()) == first


def test_what_is_loaded_besides_does_not_count(loaded: Callable[..., Workflow], tmp_path: Path) -> None:
    """A worker that offers more has the same code of each."""
    first = of(loaded())
    workflow = loaded()
    (tmp_path / "here" / "other_flow.py").write_text(FLOW)
    load(str(tmp_path / "here" / "other_flow.py"))
    assert of(workflow) == first


def test_a_module_may_be_imported_as_a_whole_and_packages_count(tmp_path: Path) -> None:
    """Below the outermost package, whichever way the names came; Heliostat and libraries are not of the workflow."""
    package = tmp_path / "observatory_x"
    (package / "dome").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "dome" / "__init__.py").write_text("")
    (package / "lens.py").write_text("WIDTH = 1")
    (package / "dome" / "flow.py").write_text("import json\nfrom observatory_x import lens\ndef work(): return lens")
    sys.path.insert(0, str(tmp_path))
    try:
        from observatory_x.dome import flow  # type: ignore[import-not-found]

        first = digest([flow.work])
        (package / "lens.py").write_text("WIDTH = 2")
        assert digest([flow.work]) != first
    finally:
        sys.path.remove(str(tmp_path))
        for name in [name for name in sys.modules if name.startswith("observatory_x")]:
            del sys.modules[name]


def test_constants_of_a_helper_count_and_so_does_what_is_imported_late(loaded: Callable[..., Workflow]) -> None:
    """A number carries no module with it, and a function may import where it needs something."""
    for how in ("from optics import WIDTH", "import optics as o", "def late():\n    from optics import *"):
        flow = FLOW.replace("from optics import focus", how).replace("focus(1)", "1")
        flow = flow if "late" not in how else flow.replace("*", "WIDTH")
        first = of(loaded(flow, optics="WIDTH = 1"))
        assert of(loaded(flow, optics="WIDTH = 2")) != first
        assert of(loaded(flow, optics="WIDTH = 1")) == first


def test_a_constant_of_a_module_in_the_same_package_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its relative name, and through the packages on the way."""
    package = tmp_path / "observatory_y"
    (package / "dome").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "site.py": "HEIGHT = 1",
        "dome/__init__.py": "from .size import SIZE",
        "dome/size.py": "SIZE = 1",
        "dome/flow.py": "from ..site import HEIGHT\ndef work(): return HEIGHT",
    }
    for name, text in files.items():
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        flow = importlib.import_module("observatory_y.dome.flow")
        digests = [digest([flow.work])]
        for name in ("site.py", "dome/__init__.py", "dome/size.py"):
            (package / name).write_text(files[name] + "\n")
            digests.append(digest([flow.work]))
        (package / "unused.py").write_text("")
        assert digest([flow.work]) == digests[-1]
    finally:
        for name in [name for name in sys.modules if name.startswith("observatory_y")]:
            del sys.modules[name]
    assert len({*digests}) == 4


def test_a_file_that_cannot_be_parsed_is_in_nobodys_way(loaded: Callable[..., Workflow], tmp_path: Path) -> None:
    """It counts by its bytes; whoever imports it hears of it."""
    workflow = loaded(FLOW + "\ndef late():\n    import other_flow\n")
    first = of(workflow)
    (tmp_path / "here" / "other_flow.py").write_text("def broken(:")
    assert of(workflow) != first


def test_a_file_counts_by_its_place_whatever_it_is_imported_as(tmp_path: Path) -> None:
    """A program that is started itself, and a worker that loads it, have the same code."""
    (tmp_path / "night_flow.py").write_text(FLOW.replace("from optics import focus", "focus = int"))
    found = set()
    for name in ("night_flow", "__renamed__"):
        spec = importlib.util.spec_from_file_location(name, tmp_path / "night_flow.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.add(of(module.sky))
    assert len(found) == 1


def test_a_function_without_a_file_counts_by_what_it_is() -> None:
    """As in a notebook, or made by a program."""
    made = [eval(text, {"__name__": "nowhere"}) for text in ("lambda: 1", "lambda: 2", "lambda: 1")]
    one, two, again = (digest([function]) for function in made)
    assert one == again != two
    assert digest([functools.partial(made[0])]) == one


def test_an_attempt_leads_to_the_code_that_ran(loaded: Callable[..., Workflow], tmp_path: Path) -> None:
    """Also where one worker got other code under the same version while it lived."""
    engine = engine_on(MemoryStore(), SystemClock(), tmp_path / "files", seed=1)
    before = loaded()
    old = engine.run(before)
    after = loaded(optics="def focus(x): return x + 1")
    new = engine.run(after)
    assert (old.result(), new.result()) == (1, 2)
    assert old.graph.id == new.graph.id
    codes = [_ran(engine, run.key) for run in (old, new)]
    assert codes[0] != codes[1]
    assert codes == [of(loaded()), of(loaded(optics="def focus(x): return x + 1"))]
    engine.close()
    assert [_ran(engine, run.key) for run in (old, new)] == codes


def _ran(engine: Engine, run: int) -> str | None:
    (task,) = engine.store.tasks(run)
    return ran(engine.store, task.graph, task.worker, task.started_at)


def test_the_code_is_the_newest_that_was_there_when_an_attempt_began() -> None:
    """An adopted job began before its worker; whoever told nothing ran nothing that is known."""
    store = MemoryStore()
    told = [(5, "a", 10.0), (6, "x", 10.0), (5, "b", 20.0)]
    store.beat(WorkerInfo("w", code=json.dumps(told)), 30.0)
    store.beat(WorkerInfo("silent"), 30.0)
    found = [ran(store, 5, "w", at) for at in (1.0, 10.0, 19.0, 20.0, None)]
    assert found == ["a", "a", "a", "b", None]
    assert [ran(store, graph, worker, 30.0) for graph, worker in ((6, "w"), (7, "w"), (5, "silent"), (5, None))] == [
        "x",
        None,
        None,
        None,
    ]


def test_adding_a_workflow_again_reads_nothing(
    loaded: Callable[..., Workflow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done at every start."""
    engine = engine_on(MemoryStore(), SystemClock(), tmp_path / "files", seed=1)
    workflow = loaded()
    engine.add(workflow)
    codes = list(engine.registry.codes)
    monkeypatch.setattr("heliostat.registry.digest", None)
    engine.start(workflow)
    assert engine.registry.codes == codes
    engine.close()
