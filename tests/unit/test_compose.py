"""Finding workflows in files and modules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import heliostat
from heliostat import compose, loading
from heliostat.errors import BadInput, NotFound

FLOW = '''
from dataclasses import dataclass
from heliostat import Workflow

@dataclass
class Region:
    """Where."""
    west: float = 1.0

m = Workflow("{name}")
same = m

@m.node
def f(message: Region) -> float:
    return message.west
'''


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave no modules and places behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", sys.modules)
    monkeypatch.chdir(tmp_path)


def written(path: Path, text: str) -> str:
    """Write a file and give its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return str(path)


def test_a_file_takes_no_other_modules_place(tmp_path: Path) -> None:
    """One that is called like a module of Python's, or like a file in another folder."""
    here = written(tmp_path / "one" / "json.py", FLOW.format(name="first"))
    there = written(tmp_path / "two" / "json.py", FLOW.format(name="second"))
    assert [loading.load(place)[0].name for place in (here, there, here)] == ["first", "second", "first"]
    assert sys.modules["json"] is json
    assert loading.load(here)[0] is loading.load(here)[0]
    (flow,) = loading.load(there)
    flow.signatures["f"].warm()  # annotations are found in the module that they stand in


def test_modules_beside_a_file_can_be_imported_and_import_it(tmp_path: Path) -> None:
    """As with a script; it is the same module for them."""
    helper = "from lonely_flow import m\n\n@m.node\ndef g() -> int:\n    return 1\n"
    written(tmp_path / "lonely_helper.py", helper)
    place = written(tmp_path / "lonely_flow.py", FLOW.format(name="flow") + "\nimport lonely_helper\n")
    (flow,) = loading.load(place)
    assert [node.name for node in flow.graph] == ["f", "g"]


def test_a_file_that_raises_is_not_half_there_the_next_time(tmp_path: Path) -> None:
    """It raises again, until it is mended."""
    place = written(tmp_path / "raises.py", "raise ValueError('no')")
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            loading.load(place)
    written(tmp_path / "raises.py", FLOW.format(name="mended"))
    assert loading.load(place)[0].name == "mended"


def test_a_workflow_is_found_by_its_variable_or_else_by_its_own_name(tmp_path: Path) -> None:
    """As ``run list`` calls it; where two are called so, only the variable tells which."""
    place = written(tmp_path / "named.py", FLOW.format(name="model"))
    assert loading.variables(f"{place}:model") == loading.variables(f"{place}:m") == loading.variables(place)
    assert [*loading.variables(place)] == ["m"]
    twice = written(tmp_path / "twice.py", FLOW.format(name="model") + "\nn = Workflow('model')\n")
    with pytest.raises(NotFound, match="has no workflow 'model'"):
        loading.load(f"{twice}:model")


def test_a_broker_with_a_slip_in_its_address_is_refused_without_the_password() -> None:
    """Python's own words would repeat a part of it."""
    with pytest.raises(
        BadInput, match=r"the address cannot be read; write amqp://user:password@host:port/vhost"
    ) as bad:
        compose.open_broker("amqp://me:se/cret@host/sky")
    assert "cret" not in str(bad.value)


def test_a_worker_says_which_jobs_it_can_watch_wherever_they_were_submitted() -> None:
    """Those of a cluster; a process of one machine is seen from there alone."""
    Path("heliostat.toml").write_text('[queues]\nnight.executor = "slurm"\nhere.executor = "local"\nplain.limit = 2\n')
    with heliostat.open("memory://") as engine:
        worker = engine.worker()
        offer = worker.offer()
        worker.stop(0.0)
    assert (offer.batched, offer.reached) == ({"night", "here"}, {"night"})


def test_a_worker_loads_only_the_batch_systems_that_it_has() -> None:
    """The others cost every start: XML, archives, mail."""
    Path("heliostat.toml").write_text('[queues.night]\nexecutor = "slurm"\n')
    code = "import sys, heliostat; heliostat.open('memory://').worker(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(ran.stdout.split())
    assert "heliostat.batches.slurm" in loaded
    others = {f"heliostat.{name}" for name in ("batches.pbs", "batches.torque", "batches.mirror", "transports.ssh")}
    assert not loaded & {*others, "xml.etree.ElementTree", "tarfile"}
