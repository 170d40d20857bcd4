"""A file inside data: well formed, whoever wrote it, and kept where it is said to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat import Artifact, Context, Workflow
from heliostat.clock import SystemClock
from heliostat.compose import engine_on
from heliostat.engine import Engine
from heliostat.errors import BadInput
from heliostat.stores.memory import MemoryStore

DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine in memory."""
    with engine_on(MemoryStore(), SystemClock(), tmp_path, seed=1) as engine:
        yield engine


def mark(**fields: object) -> dict[str, object]:
    """The JSON of a file, with some of it changed."""
    return {"$artifact": {"name": "x", "digest": DIGEST, **fields}}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "../x"}, "artifact: '../x' is no plain file name"),
    ({"name": 5}, "artifact: 5 is no plain file name"),
    ({"name": "ü" * 128}, "bytes; the limit is 255"),
    ({"name": "\ud800"}, "artifact: name: a lone surrogate is not Unicode text"),
    ({"digest": 5}, "artifact 'x': the digest 5 is not sha256: and 64 hex digits"),
    ({"digest": DIGEST + "\n"}, "is not sha256: and 64 hex digits"),
    ({"size": -5}, "artifact 'x': size: a whole number from 0 to 9,223,372,036,854,775,807 is wanted, not -5"),
    ({"size": "5"}, "artifact 'x': size: a whole number"),
    ({"size": 1 << 63}, "artifact 'x': size: a whole number"),
    ({"media_type": 5}, "artifact 'x': media_type: a string of 1 to 500 characters is wanted, not 5"),
    ({"media_type": "a\0"}, "artifact 'x': media_type: a NUL character cannot be stored"),
    ({"tags": ("map", 5)}, "artifact 'x': a tag: a string of 1 to 500 characters is wanted, not 5"),
    ({"tags": ("\ud800",)}, "artifact 'x': a tag: a lone surrogate is not Unicode text"),
]


@pytest.mark.parametrize(("fields", "sentence"), WRONG)
def test_what_is_no_artifact_is_refused(fields: dict[str, Any], sentence: str) -> None:
    """Where it is made, with the field that is wrong."""
    given = {"name": "x", "digest": DIGEST, "size": 0, **fields}
    with pytest.raises(BadInput) as refused:
        Artifact(**given)
    assert sentence in str(refused.value)


FORGED = [{"$artifact": 1}, {"$artifact": {"name": "x"}}, mark(tags=5), mark(tags=[5]), mark(size=-5), mark(name="a/b")]


@pytest.mark.parametrize("forged", FORGED, ids=str)
def test_a_file_that_is_none_fails_the_function_that_returns_it(engine: Engine, forged: object) -> None:
    """Not the one that asks for the result, long after."""
    flow = Workflow("forger")
    flow.node(lambda: {"deep": [forged]}, name="a")
    run = engine.run(flow)
    assert run.state == "failed"
    assert str(run.info.reason).startswith(("a: result: $artifact: ", "a: result: artifact"))


@pytest.mark.parametrize("forged", FORGED, ids=str)
def test_a_file_that_is_none_is_refused_at_the_door(engine: Engine, forged: object) -> None:
    """By what it came in."""
    flow = Workflow("open", stays_open=True)
    hear = flow.handler(lambda message: None, name="hear")
    run = engine.start(flow)
    for act in (lambda: engine.start(flow, forged), lambda: run.send(hear, [forged])):
        with pytest.raises(BadInput, match=r"^message: "):
            act()
    with pytest.raises(BadInput, match=r"^result: "):
        run.complete(forged)
    assert run.tasks() == []


def test_a_file_that_nobody_keeps_is_refused_at_the_door(engine: Engine, tmp_path: Path) -> None:
    """Who would read it later would not find it."""
    flow = Workflow("reader")
    flow.node(lambda message: message, name="read")
    with pytest.raises(BadInput, match=r"^message: the file 'x' \(sha256:00000000…\) is not kept here; give a Path"):
        engine.start(flow, mark())
    (tmp_path / "x").write_text("there")
    kept = engine.around.repository.keep(tmp_path / "x")
    assert engine.run(flow, kept.to_json()).result() == kept


def test_a_name_that_no_file_can_have_fails_where_it_is_given(engine: Engine) -> None:
    """Not where the file is wanted."""
    flow = Workflow("namer")

    @flow.node
    def a(ctx: Context) -> Artifact:
        (ctx.dir / "x").write_text("")
        return ctx.artifact(ctx.dir / "x", name="x" * 300)

    run = engine.run(flow)
    assert "has 300 bytes; the limit is 255" in str(run.info.reason)
    assert str(run.info.reason).startswith("a: artifact: the name ")


def test_what_a_job_writes_is_looked_at_too(engine: Engine) -> None:
    """Its output.json comes from outside: files in it are well formed, and kept."""
    flow = Workflow("jobs")
    flow.job("forger", """echo '{{"$artifact": 1}}' > output.json""", may_fail=True)
    text = json.dumps(mark()).replace("{", "{{").replace("}", "}}")
    flow.job("liar", f"echo '{text}' > output.json", may_fail=True)
    run = engine.run(flow)
    assert {task.node: (task.reason or "").partition(" (")[0] for task in run.tasks()} == {
        "forger": "output.json: $artifact: name and digest are missing",
        "liar": "output.json: the file 'x'",
    }
