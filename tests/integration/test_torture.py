"""The fault campaign in its short form, and the defects that it must catch; see ``torture``."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from heliostat.run import public_id
from tests.wall_clock import library
from torture import faults
from torture.campaign import Outcome, Plan, carry_out, with_mutant
from torture.checker import check
from torture.feed import Accepted
from torture.flows import chain_fate
from torture.grounds import SqliteGround
from torture.jobs import LIVES
from torture.mutants import MUTANTS
from torture.points import enumerate_points

# Those that surely strike within a few seconds, and defects that surely show: how busy the machine is decides nothing.
SHORT = [
    ("sqlite", "kill"),
    ("sqlite", "lock"),
    ("postgresql", "terminate+kill"),
    ("postgresql", "clock"),
    ("celery", "broker-reset+carrier"),
]
QUICK_MUTANTS = [
    ("sqlite", "no-rescue"),
    ("sqlite", "stale-count"),
    ("sqlite", "two-heads"),
    ("postgresql", "no-keys"),
]

EVERY = 12  #: of the commits, one; with which it begins is another one each time


def found(outcome: Outcome) -> str:
    """What a campaign found, for the message of a failure."""
    return "\n".join([outcome.trouble, *map(str, outcome.violations[:20])])


@pytest.mark.slow
@pytest.mark.parametrize(("ground", "fault"), SHORT)
def test_nothing_is_lost_repeated_or_stuck_under_a_fault(ground: str, fault: str) -> None:
    """A few seconds of each; the checker reads the tables itself."""
    if fault == "clock" and library() is None:
        pytest.skip("no libfaketime is installed here")
    outcome = carry_out(Plan(ground, tuple(fault.split("+")), calm=0, trouble=4.0, lease=1.5, open_runs=12, warm=1))
    assert outcome.sound, found(outcome)
    assert outcome.tasks
    assert outcome.faults


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("ground", ["sqlite", "postgresql"])
def test_a_death_at_any_commit_changes_nothing(ground: str, when: str, *, every_point: bool) -> None:
    """Some commits of a small load here; all of them in the long form."""
    every = 1 if every_point else EVERY
    outcome = enumerate_points(ground, when, every, first=random.randint(1, every))
    assert outcome.sound, found(outcome)
    assert outcome.faults


@pytest.mark.slow
@pytest.mark.parametrize(("ground", "mutant"), QUICK_MUTANTS)
def test_a_defect_is_caught(ground: str, mutant: str) -> None:
    """A campaign that finds nothing is worth something only if it finds what is there; a fault need not hit at once."""
    for seed in range(1, 4):
        outcome = carry_out(with_mutant(mutant, ground, seed))
        if {violation.rule for violation in outcome.violations} & set(MUTANTS[mutant].caught):
            return
    pytest.fail(f"not caught three times; the last time: {found(outcome)}")


def test_the_page_about_it_names_every_fault_rule_and_defect() -> None:
    """What people choose from, and what they may be told."""
    page = (Path(__file__).parents[2] / "docs" / "what-was-done-to-break-it.md").read_text("utf-8")
    rules = {rule for mutant in MUTANTS.values() for rule in mutant.caught}
    missing = [name for name in (*faults.FAULTS, "points", *LIVES, *rules, *MUTANTS) if f"`{name}`" not in page]
    assert not missing


@pytest.fixture
def ground(tmp_path: Path) -> SqliteGround:
    """Tables with nothing in them."""
    ground = SqliteGround(tmp_path)
    with closing(sqlite3.connect(ground.file)) as file:
        for table, columns in {
            "tasks": "run_id, number, node, state, attempt, settled, holds, join_number, join_place, item, "
            "serial_key, idempotency_key, missing, ended_at, result",
            "runs": "id, state, open, result, parent, workflow, message",
            "records": "seq, run_id, node, key, number, value",
            "attempts": "run_id, number, attempt, state",
            "journal": "seq, run_id, event",
        }.items():
            file.execute(f"CREATE TABLE {table} ({columns})")
    return ground


def test_the_checker_misses_nothing_that_was_accepted(ground: SqliteGround, tmp_path: Path) -> None:
    """A run that is not in the tables at all is lost."""
    notes = tmp_path / "notes"
    notes.touch()
    (violation,) = check(ground, notes, {7: Accepted(7, "chain", chain_fate(1))})
    assert violation.rule == "lost"


def test_the_checker_sees_an_attempt_that_two_have_begun(ground: SqliteGround, tmp_path: Path) -> None:
    """Though only one of them can settle it, and the tables show nothing."""
    notes = tmp_path / "notes"
    lines = [{"task": f"{public_id(7)}/2", "node": "second", "attempt": n, "what": "begun", "at": n} for n in (1, 2, 2)]
    notes.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (violation,) = check(ground, notes, {})
    assert str(violation).endswith("task 2: its attempt 2 began 2 times")


def test_a_fault_that_never_strikes_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else came out well."""
    monkeypatch.setitem(faults.FAULTS, "lock", replace(faults.FAULTS["lock"], strike=lambda _: 0))
    outcome = carry_out(Plan("sqlite", ("lock",), calm=0, trouble=0.5, open_runs=2, warm=1))
    assert not outcome.violations
    assert outcome.trouble == "it never struck"
