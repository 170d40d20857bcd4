"""The doctor: looks whether all is well, and says what to do where it is not.

It changes nothing. Each check is a function from the patient to what it has found; that one gives no answer in time is
a finding too.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from heliostat import fleet
from heliostat.code import release
from heliostat.config import masked
from heliostat.errors import HeliostatError, nearest, said
from heliostat.finding import Verdict, bad, doubtful, good
from heliostat.worker import IDLE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from heliostat.batch import Standing
    from heliostat.broker import Broker
    from heliostat.config import Config
    from heliostat.finding import Finding
    from heliostat.queue import WorkerInfo
    from heliostat.store import About, Store

LIMIT_SECONDS = 10.0  #: for one check; what it waits for has shorter limits of its own where it can have one
CLOCK_SECONDS = 2.0  #: by so much clocks may differ before it is worth a word
ROOM_BYTES = 1 << 30  #: of room for files, below which it is worth a word


@dataclass(slots=True)
class Patient:
    """What is looked at. The database and the broker are opened by the checks, so that neither need be there.

    ``file_system`` tells the kind of the file system that a path lies on. ``clusters`` are by name what asks the
    scheduler of each what it says of itself.
    """

    config: Config
    open_store: Callable[[], Store]
    open_broker: Callable[[], Broker | None]
    file_system: Callable[[Path], str]
    clusters: Mapping[str, Callable[[], Standing]] = field(default_factory=dict)
    store: Store | None = field(default=None, init=False)
    about: About | None = field(default=None, init=False)
    readable: bool = field(default=False, init=False)

    @property
    def database(self) -> Store:
        """The store, of which a check before has seen that it can be read."""
        assert self.store is not None
        return self.store

    def now(self) -> float:
        """The time by the database's clock."""
        return time.time() + ((self.about.ahead if self.about else None) or 0.0)


Check: TypeAlias = "Callable[[Patient], Iterator[Finding]]"


def examine(patient: Patient) -> Iterator[Finding]:
    """What all checks find, one after the other; those that read the database only where it can be read."""
    try:
        for check in CHECKS:
            yield from _within(LIMIT_SECONDS, check, patient)
        if patient.readable:
            for check in READING:
                yield from _within(LIMIT_SECONDS, check, patient)
    finally:
        if patient.store is not None:
            patient.store.close()


def worst(findings: list[Finding]) -> Verdict:
    """How it stands in all."""
    return max((finding.verdict for finding in findings), key=list(Verdict).index, default=Verdict.good)


def _within(seconds: float, check: Check, patient: Patient) -> list[Finding]:
    """What a check finds. It has a thread of its own, since nothing else can wait for a file system that hangs."""
    found: list[Finding] = []
    about = check.__name__.removeprefix("look_at_")

    def look() -> None:
        try:
            found.extend(check(patient))
        except HeliostatError as error:
            found.append(bad(about, str(error), "see that it is there and lets you in; heliostat config show"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
            found.append(bad(about, f"could not be looked at: {said(error)}", "this is a defect; please report it"))

    thread = threading.Thread(target=look, name=f"doctor-{about}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return [bad(about, f"no answer within {seconds:g} s", "see whether it hangs")]
    return found


# what needs no database


def look_at_configuration(patient: Patient) -> Iterator[Finding]:
    """What holds, and whence."""
    config = patient.config
    values = {
        "database": masked(config.database),
        "files": str(config.files),
        "apps": ", ".join(config.apps) or "none",
        "broker": masked(config.broker) or "none",
        "site": config.site or "none",
    }
    words = "; ".join(f"{name} {value} ({config.whence.get(name, 'given')})" for name, value in values.items())
    yield good("configuration", words)


def look_at_database(patient: Patient) -> Iterator[Finding]:
    """Whether it answers, which it is, and what a power cut would do."""
    store = patient.open_store()
    about = store.about()
    patient.store, patient.about = store, about
    yield good("database", " ".join(filter(None, (about.kind, about.version, "at", about.place))))
    for doubt in about.doubts:
        found, _, advice = doubt.partition("; ")
        yield bad("durability", found, advice or "take SQLite or PostgreSQL")
    if not about.doubts:
        yield good("durability", "what was accepted survives a power cut")
    yield from _room(patient)
    if about.ahead is None:
        return
    words = f"the database's clock is {abs(about.ahead):.1f} s {'ahead of' if about.ahead > 0 else 'behind'} this one"
    if abs(about.ahead) > CLOCK_SECONDS:
        advice = "runs take their time from the database and are not harmed; let both machines keep time (NTP)"
        yield doubtful("clock", words, advice)
    else:
        yield good("clock", words)


def _room(patient: Patient) -> Iterator[Finding]:
    """How much room an SQLite database has to grow; where another one lies, it alone can say."""
    if not patient.config.database.startswith("sqlite:") or patient.about is None:
        return
    place = Path(patient.about.place)
    folder = next(path for path in place.absolute().parents if path.is_dir())
    room, size = shutil.disk_usage(folder).free, place.stat().st_size if place.is_file() else 0
    words = f"{room / (1 << 30):,.1f} GiB of room for {place}, which has {size / (1 << 20):,.1f} MiB"
    if room < max(ROOM_BYTES, size):  # so much may be wanted to copy it, or to grow beside a long reader
        yield doubtful("room", words, "make room: heliostat db prune --older-than 30d, or move it to a larger disk")
    else:
        yield good("room", words)


def look_at_schema(patient: Patient) -> Iterator[Finding]:
    """Whether the tables are those of this version."""
    if patient.store is None:
        return
    found, needed = patient.store.status()
    patient.readable = found == needed
    if found == 0:
        yield doubtful("schema", "there are no tables yet", "make them: heliostat db upgrade")
    elif found < needed:
        advice = "heliostat db upgrade; workers that are at work go on meanwhile"
        yield bad("schema", f"the tables are of schema {found}, and this version needs {needed}", advice)
    elif found > needed:
        words = f"the tables are of schema {found}, and this version knows {needed}: a newer one has upgraded them"
        yield bad("schema", words, "upgrade Heliostat here too")
    else:
        yield good("schema", f"the tables are of schema {found}, as this version needs them")


def look_at_files(patient: Patient) -> Iterator[Finding]:
    """Whether files can be kept, on what and with how much room."""
    files = patient.config.files.absolute()
    place = next(path for path in (files, *files.parents) if os.access(path, os.F_OK))
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield bad("files", f"{place} cannot be written", "give whoever works write access, or set artifacts elsewhere")
        return
    kind, room = patient.file_system(place), shutil.disk_usage(place).free
    words = f"{files} can be written" + (f", on {kind}" if kind else "") + f" with {room / (1 << 30):,.1f} GiB of room"
    words = words if place == files else words.replace("can be written", "is made when it is needed")
    if room < ROOM_BYTES:
        yield doubtful("files", words, "make room: heliostat db prune --older-than 30d")
    else:
        yield good("files", words)


def look_at_broker(patient: Patient) -> Iterator[Finding]:
    """Whether tickets can be issued, and how their queues stand."""
    broker = patient.open_broker()
    if broker is None:
        yield good("broker", "none is configured; workers look for work by themselves")
        return
    try:
        queues = [queue.name for queue, *_ in patient.database.queues()] if patient.readable else []
    except HeliostatError:
        queues = []
    bell = broker.about(queues)
    if bell.trouble:
        words = f"{bell.place} {bell.trouble}: workers look for work every {IDLE_SECONDS[1]:g} s, and nothing is lost"
        yield doubtful("broker", words, "see to it when you can; once it is back, tickets go on by themselves")
        return
    yield good("broker", " ".join(filter(None, (bell.place, f"answers, version {bell.version}"))))
    for queue in bell.queues:
        if not queue.lasting:
            advice = f"stop who consumes it and delete it (rabbitmqctl delete_queue {queue.name}); it is made anew"
            yield doubtful("tickets", f"the broker's queue {queue.name} is no quorum queue", advice)
    if bell.queues:
        each = (f"{queue.name} {queue.tickets} ({queue.consumers} consuming)" for queue in bell.queues)
        yield good("tickets", f"waiting by queue: {', '.join(each)}")


def look_at_clusters(patient: Patient) -> Iterator[Finding]:
    """Whether their schedulers answer, and have the partitions that queues name."""
    for name, ask in patient.clusters.items():
        try:
            standing = ask()
        except HeliostatError as error:
            advice = "jobs go on, and what is to be submitted is tried again; see that its commands work from here"
            yield doubtful("clusters", f"{name}: {error}", advice)
            continue
        has = standing.partitions or {}
        yield good("clusters", "; ".join((f"{name}: {standing.words}", *(f"{one}{how}" for one, how in has.items()))))
        if standing.partitions is not None:
            yield from _partitions(patient, name, list(has))


def _partitions(patient: Patient, name: str, known: list[str]) -> Iterator[Finding]:
    """The queues of a cluster whose partition it does not have; several may be named, of which one takes the job."""
    system, _, queues = name.partition(" of ")
    for queue in queues.split(", "):
        batch = patient.config.batched.get(queue)
        for wanted in batch.partition.split(",") if batch and batch.partition else ():
            if wanted not in known:
                words = f"queue {queue}: {system} has no partition {wanted!r}{nearest(wanted, known)}"
                yield bad("clusters", words, f"mend queues.{queue}.partition in heliostat.toml")


def look_at_containers(patient: Patient) -> Iterator[Finding]:
    """Whether what runs the images of jobs on this machine is here; of a cluster, only its nodes can say."""
    for name, queue in patient.config.queues.items():
        if not queue.containers or (queue.batch is not None and queue.batch.system != "local"):
            continue
        program = queue.containers[0]
        if (found := shutil.which(program)) is not None:
            yield good("containers", f"{found} runs the images of queue {name}")
        else:
            advice = (
                f"install it on the machines whose workers take from {name}, or name another: queues.{name}.containers"
            )
            yield doubtful("containers", f"{program}, which is to run the images of queue {name}, is not here", advice)


# what the database says


def look_at_workers(patient: Patient) -> Iterator[Finding]:
    """Who is there, and who should be."""
    yield from fleet.look_at_workers(_workers(patient), patient.now())


def look_at_versions(patient: Patient) -> Iterator[Finding]:
    """Which of them are of another version than this."""
    yield from fleet.look_at_versions(_workers(patient), release(), patient.now())


def look_at_leases(patient: Patient) -> Iterator[Finding]:
    """What is held by workers that are not there any more."""
    yield from fleet.look_at_leases(patient.database.holding(), _workers(patient), patient.now())


def look_at_queues(patient: Patient) -> Iterator[Finding]:
    """In which of them work waits that nobody will take."""
    yield from fleet.look_at_queues(patient.database.queues(), _workers(patient), patient.now())


def look_at_workflows(patient: Patient) -> Iterator[Finding]:
    """Of which of them work waits that nobody can do."""
    store = patient.database
    lanes = [(queue, store.graph(graph)) for queue, graph in store.lively_lanes()]
    yield from fleet.look_at_workflows(lanes, _workers(patient), patient.now())


def _workers(patient: Patient) -> list[WorkerInfo]:
    return [worker for worker in patient.database.workers() if worker.state != "stopped"]


CHECKS: tuple[Check, ...] = (
    look_at_configuration,
    look_at_database,
    look_at_schema,
    look_at_files,
    look_at_broker,
    look_at_clusters,
    look_at_containers,
)
READING: tuple[Check, ...] = (look_at_workers, look_at_versions, look_at_leases, look_at_queues, look_at_workflows)
