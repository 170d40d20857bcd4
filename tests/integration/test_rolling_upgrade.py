"""Rolling upgrades under load: two versions of a workflow side by side, and two of Heliostat itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psycopg
import pytest

import heliostat
from heliostat.engine import Engine
from heliostat.errors import SchemaMismatch
from heliostat.handle import RunHandle
from heliostat.run import RunState
from heliostat.store import Command, Drain
from heliostat.stores.postgresrows import STATEMENTS as POSTGRES
from heliostat.stores.sqliterows import STATEMENTS as SQLITE
from tests.acceptance.crew import ended, wait_until
from tests.integration import rolling
from tests.integration.test_schema import RELEASED

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
#: The schema of this Heliostat, by the kind of its database.
NEWEST = {"sqlite": SQLITE.newest, "postgresql": POSTGRES.newest}
BEFORE = next(RELEASED.glob("heliostat-*.tar.gz"))  #: Heliostat as it was with a schema before this one's
OLD = int(BEFORE.name[len("heliostat-") :][:4])
PATIENCE = 200.0


class Worker:
    """A worker process of this Heliostat, or of one whose package lies elsewhere; it ends with the test."""

    def __init__(self, package: Path, database: str, files: Path, *flows: str) -> None:
        command = [sys.executable, "-m", "tests.integration.rolling", database, str(files)]
        self.process = subprocess.Popen(
            [*command, *(f"tests.integration.rolling:{flow}" for flow in flows)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(ROOT)])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def says(self) -> str:
        """The first line that it has not been asked for yet."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def drain(self, engine: Engine) -> None:
        """Have it drained, and see that it ends well."""
        (known,) = [worker.id for worker in engine.store.workers() if worker.pid == self.process.pid]
        engine.store.accept([Command(Drain(known))], engine.around.clock.now())
        assert self.process.wait(PATIENCE) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.communicate(timeout=PATIENCE)


Hire = Callable[..., Worker]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/heliostat.db"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def hire(database: str, tmp_path: Path) -> Iterator[Hire]:
    """Start workers on it."""
    with ExitStack() as stack:

        def call(*flows: str, package: Path = ROOT / "src") -> Worker:
            return stack.enter_context(Worker(package, database, tmp_path, *flows))

        yield call


def test_each_version_of_a_workflow_is_run_by_its_own_code(database: str, hire: Hire, tmp_path: Path) -> None:
    """Under load; when the old worker is drained, the old runs wait and say for whom, and end when one is back."""
    with heliostat.open(database, files=tmp_path) as engine:
        engine.store.upgrade()
        old, new = hire("survey_1"), hire("survey_2")
        assert (old.says, new.says) == ("ready", "ready")
        runs = {
            version: engine.start_many(flow, [5] * 20)
            for version, flow in (("1.0", rolling.survey_1), ("2.0", rolling.survey_2))
        }
        old.drain(engine)
        late = engine.start(rolling.survey_1, 5)
        ended(*runs["2.0"])
        assert late.explain().endswith("no worker offers survey 1.0; workers offer 2.0")
        waiting = [run for run in runs["1.0"] if not run.over]
        assert all("no worker offers survey 1.0" in run.explain() for run in waiting)
        assert hire("survey_1").says == "ready"
        ended(late, *runs["1.0"])
        for version, node in (("1.0", rolling.expose), ("2.0", rolling.expose_twice)):
            for run in runs[version]:
                assert run.state is RunState.succeeded
                assert run.result(node) == [version] * 5


def test_an_old_heliostat_works_on_beside_a_new_one(database: str, hire: Hire, tmp_path: Path) -> None:
    """The schema is upgraded under load; the old workers go on, new ones join, the old are drained; nothing is lost."""
    with tarfile.open(BEFORE) as archive:
        archive.extractall(tmp_path / "before", filter="data")
    before, newest = tmp_path / "before", NEWEST[database.partition(":")[0]]
    _begin(before, database, tmp_path)
    old = [hire("chain", package=before) for _ in range(2)]
    assert {worker.says for worker in old} == {"ready"}
    with heliostat.open(database, files=tmp_path) as engine:
        assert engine.store.status() == (OLD, newest)
        with pytest.raises(SchemaMismatch, match=f"this Heliostat needs {newest}; run: heliostat db upgrade"):
            engine.runs()
        assert engine.store.upgrade() != []
        runs = engine.runs()
        assert len(runs) == 3
        _cut(database)
        _go_on(runs, OLD)  # the old are alone with the new schema
        assert "written by a newer version" in hire("chain", package=before).says  # none may begin there any more
        assert hire("chain").says == "ready"
        _go_on(runs, SQLITE.newest)
        _go_on(runs, OLD)
        for worker in old:
            worker.drain(engine)
        _go_on(runs, SQLITE.newest)
        (tmp_path / "enough").touch()
        ended(*runs)
        for run in runs:
            numbers = [number for number, _ in run.records(rolling.step)]
            assert numbers == list(range(run.result() + 1))


def _begin(before: Path, database: str, files: Path) -> None:
    """Make a database and start three chains in it, as a program of the Heliostat before this one does."""
    program = (
        "import heliostat, sys; from tests.integration.rolling import chain\n"
        "with heliostat.open(sys.argv[1], files=sys.argv[2]) as engine:\n"
        "    engine.store.upgrade()\n"
        "    engine.start_many(chain, [sys.argv[2]] * 3)"
    )
    path = {"PYTHONPATH": os.pathsep.join([str(before), str(ROOT)])}
    command = [sys.executable, "-c", program, database, str(files)]
    subprocess.run(command, env=os.environ | path, check=True, timeout=PATIENCE)


def _cut(database: str) -> None:
    """Have every process of PostgreSQL's connect again."""
    if database.startswith("postgres"):
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


def _go_on(runs: list[RunHandle], level: int) -> None:
    """Wait until workers of one Heliostat have done more of the steps than they had."""

    def steps() -> int:
        return sum(by == level for run in runs for _, by in run.records(rolling.step))

    until = steps() + 10
    wait_until(lambda: steps() >= until, f"steps by schema {level}", PATIENCE)
