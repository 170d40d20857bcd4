"""Nodes with packages of their own: built once, shared, whole or not there, and said so where they cannot be had."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import heliostat
from heliostat import Workflow
from heliostat.engine import Engine
from heliostat.environments import Environments
from heliostat.errors import DefinitionError
from heliostat.graph import Graph
from tests.integration import packed as flows
from tests.integration.test_process_executor import alive, content, surroundings, until

UV = shutil.which("uv")
quickest = pytest.mark.parametrize("cache", ["uv" if UV else "pip"], indirect=True)  #: where either will do


def wheel(folder: Path, name: str, version: str, text: str) -> None:
    """A package of one module and one program."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as made:
        for file, words in {**files, f"{info}/RECORD": record}.items():
            made.writestr(file, words)


@pytest.fixture(params=["pip", pytest.param("uv", marks=pytest.mark.skipif(UV is None, reason="there is no uv"))])
def cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of environments, into which wheels of this machine alone are installed."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for version in ("1.0", "2.0"):
        wheel(wheels, "birds", version, f"VERSION = {version!r}\ndef main(): print(VERSION)\n")
    wheel(wheels, "pydantic", "0.0.1", "raise ImportError('far too old')\n")
    for installer in ("PIP", "UV"):
        monkeypatch.setenv(f"{installer}_NO_INDEX", "1")
        monkeypatch.setenv(f"{installer}_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    if request.param == "pip":
        places = os.environ["PATH"].split(os.pathsep)
        monkeypatch.setenv("PATH", os.pathsep.join(place for place in places if not (Path(place) / "uv").exists()))
    monkeypatch.setenv("HELIOSTAT_ENVIRONMENTS", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def engine(cache: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine whose worker calls functions in threads."""
    assert not cache.exists()
    with heliostat.open(tmp_path / "h.db", files=tmp_path / "files", slots=3) as opened:
        yield opened


def built(cache: Path) -> list[Path]:
    """The environments that lie there, finished or not."""
    return sorted(path for path in cache.iterdir() if path.is_dir())


def test_two_nodes_of_one_run_have_two_versions_of_a_package(engine: Engine, cache: Path) -> None:
    """Though the worker has threads for others; what is there is not built again."""
    run = engine.run(flows.packed)
    assert run.state == "succeeded", run.info.reason
    old, new, again = (run.result(node) for node in ("old", "new", "again"))
    assert [old[0], new[0], again[0]] == ["1.0", "2.0", "1.0"]
    assert run.result("none") is True
    assert old[2] == again[2] != new[2]
    assert subprocess.run([old[1]], capture_output=True, text=True, check=True).stdout == "1.0\n"
    homes = built(cache)
    assert len(homes) == 2
    assert sum((line.text or "").startswith("installing birds==") for line in run.log()) == 2
    with heliostat.open("memory://", files=cache.parent / "other") as other:
        assert other.run(flows.packed).result("new")[2] == new[2]
    assert built(cache) == homes


def test_what_cannot_be_installed_is_said_in_the_installers_words(engine: Engine, cache: Path) -> None:
    """As a failure of the attempt, and nothing half done is left."""
    reason = engine.run(flows.lacking).info.reason or ""
    assert "birds==9.9 cannot be installed: " in reason
    assert "birds" in reason.partition("installed: ")[2]
    assert built(cache) == []


@quickest
def test_packages_beside_which_heliostat_cannot_run_are_refused(engine: Engine, cache: Path) -> None:
    """When they are installed, not in the middle of a function; jobs do not take over what a workflow requires."""
    assert flows.broken.graph["job"].requires == ()
    reason = engine.run(flows.broken).info.reason or ""
    assert "Heliostat cannot run beside pydantic==0.0.1: " in reason
    assert "far too old" in reason
    assert built(cache) == []


@quickest
def test_an_environment_that_is_damaged_is_built_anew(cache: Path) -> None:
    """Also where only a package is gone, or the note says something else."""
    home = Environments(cache).python(("birds==1.0",), lambda: True).parents[1]
    [note] = cache.glob("*.json")
    damages: list[Any] = [
        lambda: shutil.rmtree(next(home.rglob("birds-1.0.dist-info"))),
        lambda: note.write_text("{"),
        lambda: note.write_text(json.dumps({"home": "../../etc", "python": "", "installed": {}})),
        lambda: shutil.rmtree(home / "bin"),
    ]
    for damage in damages:
        damage()
        python = Environments(cache).python(("birds==1.0",), lambda: True)
        assert python.parents[1] != home
        home = python.parents[1]
        assert built(cache) == [home]
        assert json.loads(note.read_text())["home"] == home.name


BUILDS = """
import sys
from pathlib import Path
from heliostat.environments import Environments
print(Environments(Path(sys.argv[1])).python(("birds==1.0",), lambda: True), flush=True)
"""


def builder(cache: Path) -> subprocess.Popen[str]:
    """A process that wants an environment, and says where it is."""
    command = [sys.executable, "-c", BUILDS, str(cache)]
    return subprocess.Popen(command, env=surroundings(), stdout=subprocess.PIPE, text=True)


@quickest
def test_a_build_that_is_killed_leaves_nothing_and_whoever_waits_builds(cache: Path) -> None:
    """The installer ends with its worker, and the next one does not meet it."""
    first = builder(cache)
    until(lambda: cache.exists() and built(cache))
    group = until(lambda: content(Path(f"/proc/{first.pid}/task/{first.pid}/children")).split())
    second = builder(cache)
    [cut_off] = built(cache)
    assert list(cache.glob("*.json")) == []
    first.send_signal(signal.SIGKILL)
    first.communicate()
    until(lambda: not any(alive(pid) for pid in group))
    python = Path(second.communicate()[0].strip())
    assert second.returncode == 0
    assert built(cache) == [python.parents[1]] != [cut_off]


@quickest
def test_several_who_want_the_same_build_it_once(cache: Path) -> None:
    """One builds, the others wait, and all have the same."""
    all_of_them = [builder(cache) for _ in range(3)]
    assert len({each.communicate()[0] for each in all_of_them}) == 1
    assert len(built(cache)) == 1


@quickest
def test_a_worker_that_stops_waits_for_no_installer(engine: Engine, cache: Path) -> None:
    """What it would have run is handed back; and the time of a function begins when its environment is there."""
    run = engine.start(flows.waiting)
    engine.work(until=lambda: cache.exists() and bool(built(cache)))
    begun_at = time.monotonic()
    engine.stop(grace=0.0)
    assert time.monotonic() - begun_at < 5.0
    until(lambda: built(cache) == [])
    engine.work(until=run)
    assert (run.result("first"), run.tasks()[0].failures) == ("1.0", 0)
    assert run.result("beside").startswith("heliostat-slot")


@pytest.mark.parametrize(
    "requires",
    ["birds", ("-r x",), ("--index-url=http://x",), ("../x",), ("a b",), ("",), ("x\0",), ("x==1\ny",), (5,), 5],
)
def test_what_is_no_requirement_is_refused_where_it_is_written(requires: Any) -> None:
    """So nothing becomes an option of the installer, a path, or a second requirement."""
    with pytest.raises(DefinitionError, match="requires="):
        Workflow("w").node(lambda: None, name="n", requires=requires)


def test_a_definition_keeps_what_its_nodes_require() -> None:
    """As a policy, which is no part of the structure; a job has no interpreter."""
    flow, plain = Workflow("w"), Workflow("w")
    flow.node(lambda: None, name="n", requires=("birds[all]==1.0; python_version>'3'", "b @ file:///x", "c>=1,<2"))
    plain.node(lambda: None, name="n")
    assert Graph.from_json(json.loads(json.dumps(flow.graph.to_json()))) == flow.graph
    assert flow.graph.fingerprint == plain.graph.fingerprint
    with pytest.raises(DefinitionError, match="job j: there is no option 'requires'"):
        flow.job("j", "true", requires=("birds",))  # type: ignore[call-arg]
