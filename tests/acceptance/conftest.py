"""Databases for the cases, with crews of workers that several tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.acceptance.crew import Hall, opened
from tests.acceptance.worker import Manner
from tests.celery_crew import CeleryCrew, Pool
from tests.postgres_server import drop_database, fresh_database
from tests.rabbitmq_server import Rabbit

STORES = ("sqlite", "postgres")
CELERY = pytest.param("celery", marks=pytest.mark.slow)  #: PostgreSQL, with workers of Celery's over RabbitMQ
MODULES = ("tests.acceptance.messages", "tests.acceptance.fires", "examples.quicksort", "examples.julia")

Halls = Callable[[int], Hall]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tell the cases of urgent computing with Celery's workers too."""
    if "store" in metafunc.fixturenames:
        stores = [*STORES, CELERY] if "vestec" in metafunc.module.__name__ else [*STORES]
        metafunc.parametrize("store", stores, indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    """Name a kind of database."""
    return str(request.param)


@contextmanager
def on_sqlite(files: Path) -> Iterator[Hall]:
    """A hall on a file."""
    with opened(f"sqlite:///{files}/heliostat.db", files) as hall:
        yield hall


@contextmanager
def on_postgres(files: Path, server: str) -> Iterator[Hall]:
    """A hall on a database of its own."""
    database = fresh_database(server)
    with opened(database, files) as hall:
        yield hall
    drop_database(database)


@contextmanager
def on_celery(files: Path, server: str, rabbit: Rabbit, crew: type[CeleryCrew] = CeleryCrew) -> Iterator[Hall]:
    """A hall on a database and a virtual host of its own, whose crews are Celery's."""
    database, vhost = fresh_database(server), rabbit.fresh_vhost()

    def new_crew(hall: Hall, modules: tuple[str, ...], manner: Manner) -> CeleryCrew:
        return crew(database, files, modules, vhost, hall.engine.store, manner)

    with opened(database, files, vhost) as hall:
        hall.new_crew = new_crew
        yield hall
    rabbit.drop_vhost(vhost)
    drop_database(database)


@pytest.fixture
def hall(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Hall]:
    """A database of the test's own, without workers."""
    with ExitStack() as stack:
        if store == "sqlite":
            yield stack.enter_context(on_sqlite(tmp_path))
        elif store == "celery":
            wanted = (request.getfixturevalue("postgres_url"), request.getfixturevalue("rabbit"))
            yield stack.enter_context(on_celery(tmp_path, *wanted))
        else:
            yield stack.enter_context(on_postgres(tmp_path, request.getfixturevalue("postgres_url")))


@contextmanager
def staffed(new_hall: Callable[[Path], AbstractContextManager[Hall]]) -> Iterator[Halls]:
    """Halls with a crew of so many workers, each made when it is first asked for.

    They are of one module, since workers look for work, at the cost of all other tests.
    """
    with ExitStack() as stack:

        @lru_cache
        def find(workers: int) -> Hall:
            files = Path(stack.enter_context(TemporaryDirectory()))
            hall = stack.enter_context(new_hall(files))
            hall.crew, hall.workers = stack.enter_context(hall.hire(*MODULES)), workers
            hall.crew.begin(workers)
            return hall

        yield find


@pytest.fixture(scope="module")
def sqlite_halls() -> Iterator[Halls]:
    """Halls on files."""
    with staffed(on_sqlite) as halls:
        yield halls


@pytest.fixture(scope="module")
def postgres_halls(postgres_url: str) -> Iterator[Halls]:
    """Halls on PostgreSQL."""
    with staffed(partial(on_postgres, server=postgres_url)) as halls:
        yield halls


@pytest.fixture(scope="module")
def celery_halls(postgres_url: str, rabbit: Rabbit) -> Iterator[Halls]:
    """Halls on PostgreSQL with Celery's pools."""
    with staffed(partial(on_celery, server=postgres_url, rabbit=rabbit, crew=Pool)) as halls:
        yield halls


@pytest.fixture(params=[1, 4], ids=["one-worker", "four-workers"])
def staff(store: str, request: pytest.FixtureRequest) -> Hall:
    """A database with one worker, or with four, which other tests use too."""
    halls: Halls = request.getfixturevalue(f"{store}_halls")
    hall = halls(request.param)
    assert hall.crew is not None
    assert len(hall.crew.alive) == hall.workers, "a worker has died"
    return hall
