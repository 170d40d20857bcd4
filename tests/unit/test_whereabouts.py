"""Whereabouts: a function is found where it stands or by its workflow, or refused with a sentence."""

from __future__ import annotations

import importlib
import json
import sys
from types import ModuleType

import pytest

from heliostat import Workflow, whereabouts
from heliostat.errors import DefinitionError


def plain(message: int) -> int:
    """Stand at the top of a module."""
    return message


class Holder:
    """Something that holds a class."""

    class Inner:
        """A class that is a node."""

        def run(self) -> None:
            """Do nothing."""


flow = Workflow("flow")
flow.node(plain)
flow.node(Holder.Inner, name="inner")
flow.node(lambda: 1, name="nameless")


@flow.node
def decorated() -> None:
    """Be a function that its handle hides."""


def importing(name: str, file: str | None) -> ModuleType:
    """Find what is there."""
    assert file is not None
    return sys.modules[name] if name in sys.modules else importlib.import_module(name)


def test_functions_classes_handles_and_those_without_a_name_are_found() -> None:
    """The very same ones, in this process."""
    data = json.loads(json.dumps(whereabouts.written(flow.graph, flow.signatures)))
    graph, signatures = whereabouts.read(data, importing)
    assert graph == flow.graph
    assert {n: s.function for n, s in signatures.items()} == {n: s.function for n, s in flow.signatures.items()}
    assert whereabouts.place("nameless", flow.signatures["nameless"].function).node == "nameless"
    assert whereabouts.place("inner", Holder.Inner).name == "Holder.Inner"


def test_a_workflow_need_not_be_held_if_its_functions_are() -> None:
    """As one that a function makes."""
    made = Workflow("made")
    made.node(plain, name="first")
    _, signatures = whereabouts.read(whereabouts.written(made.graph, made.signatures), importing)
    assert signatures["first"].function is plain


def test_what_stands_nowhere_is_refused() -> None:
    """By the name of its node."""
    made = Workflow("made")

    @made.node
    def hidden() -> None:
        pass

    with pytest.raises(DefinitionError, match=r"node hidden: another process cannot find its function test_.*hidden"):
        whereabouts.written(made.graph, made.signatures)


def test_what_is_no_longer_there_is_refused() -> None:
    """As when a file was changed meanwhile."""
    data = whereabouts.written(flow.graph, flow.signatures)
    data["places"]["plain"][2] = "gone"
    with pytest.raises(DefinitionError, match=r"there is no function gone in .*test_whereabouts\.py any more"):
        whereabouts.read(data, importing)


def test_the_prompt_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlike a program's file, which is known by its path, or by its name where it was started so."""
    main = ModuleType("__main__")
    main.plain = lambda: None  # type: ignore[attr-defined]
    main.plain.__module__, main.plain.__qualname__ = "__main__", "plain"
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(DefinitionError, match="defined at the prompt or in a notebook"):
        whereabouts.place("plain", main.plain)
    main.__file__ = __file__
    assert whereabouts.place("plain", main.plain) == ("__main__", __file__, "plain", None)
    assert whereabouts.main() == {"init_main_from_path": __file__}
    main.__spec__ = flow_spec = importlib.util.find_spec("json")
    assert flow_spec is not None
    assert whereabouts.main() == {"init_main_from_name": "json"}
