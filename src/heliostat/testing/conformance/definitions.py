"""Definitions that are data: what a store keeps of them, so that workers without their code can run them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heliostat.graph import Graph, Kind, Node
from heliostat.job import JobSpec
from heliostat.store import Register

if TYPE_CHECKING:
    from heliostat.testing.conformance.hand import Hand


def _says(word: str, node: str = "say") -> Graph:
    """A definition that is data, with a command."""
    return Graph("talk", (Node(node, kind=Kind.job, job=JobSpec(argv=("echo", word))),), data=True)


def test_a_definition_that_is_data_is_kept_whole(hand: Hand) -> None:
    """With its commands, and the mark that it needs no code."""
    graph = _says("a")
    hand.do(Register(graph))
    assert hand.store.graph(graph.id) == graph


def test_a_mended_command_is_seen_by_all(hand: Hand) -> None:
    """The structure is the same, so it is the same definition; whoever asks gets the command of now."""
    graph = _says("a")
    hand.do(Register(graph))
    assert hand.store.graph(graph.id) == graph
    hand.do(Register(_says("b")))
    assert hand.store.graph(graph.id) == _says("b")


def test_a_definition_that_is_data_stays_so(hand: Hand) -> None:
    """A process that has the same nodes in its code does not take it from workers that have not."""
    hand.do(Register(_says("a")))
    hand.do(Register(replace(_says("b"), data=False)))
    assert hand.store.graph(_says("a").id) == _says("b")


def test_of_several_definitions_the_last_one_registered_stands_last(hand: Hand) -> None:
    """Also where it was registered before; others of the database are left out where a name is given."""
    hand.do(Register(_says("a", "one")))
    hand.now += 1
    hand.do(Register(_says("a", "two")))
    hand.now += 1
    hand.add(Graph("other", (Node("one"),)))
    assert [graph.nodes[0].name for graph in hand.store.graphs("talk")] == ["one", "two"]
    hand.now += 1
    hand.do(Register(_says("a", "one")))
    assert [graph.nodes[0].name for graph in hand.store.graphs("talk")] == ["two", "one"]
    assert hand.store.graphs("nobody's") == []
