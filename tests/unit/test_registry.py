"""What a process can run."""

from __future__ import annotations

from heliostat import Workflow
from heliostat.errors import NotFound
from heliostat.graph import Graph, Node
from heliostat.registry import Registry
from heliostat.signature import Signature


def work() -> None:
    """Nothing to do."""


def flow(name: str, *nodes: str) -> Workflow:
    """A workflow of such nodes."""
    workflow = Workflow(name)
    for node in nodes:
        workflow.node(work, name=node)
    return workflow


def fetch(graph: int) -> Graph:
    """There is one in the store."""
    if graph != 5:
        raise NotFound(f"no workflow is registered under {graph}")
    return Graph("stored", (Node("a"),))


def test_what_was_added_is_offered_with_its_functions() -> None:
    """By the id of its graph; adding it again changes nothing."""
    registry, workflow = Registry(fetch), flow("a", "x")
    graph = registry.add(workflow)
    registry.add(workflow)
    assert registry.offers == frozenset({graph.id})
    assert registry.graph(graph.id) is graph
    assert registry.graphs == [graph]
    signature = registry.signatures(graph.id)["x"]
    assert signature is not None
    assert signature.function is work
    assert "y" not in registry.signatures(graph.id)


def test_a_workflow_that_grew_is_another_definition() -> None:
    """Runs of the old one go on where it is still offered."""
    registry, workflow = Registry(fetch), flow("a", "x")
    old = registry.add(workflow)
    workflow.node(work, name="y")
    new = registry.add(workflow)
    assert registry.offers == frozenset({old.id, new.id})
    assert "y" not in registry.signatures(old.id)


def test_a_definition_without_functions_is_fetched_when_it_is_met() -> None:
    """Once; it is known then, and not offered."""
    fetched = []
    registry = Registry(lambda graph: fetched.append(graph) or fetch(graph))
    assert registry.graph(5).name == "stored"
    assert registry.graph(5).name == "stored"
    assert fetched == [5]
    assert registry.offers == frozenset()
    assert registry.signatures(5) == {}


def test_what_is_added_meanwhile_stays_offered() -> None:
    """Two threads that add at the same moment both keep what they added."""
    registry, other = Registry(fetch), flow("other", "y")

    class Meanwhile(Workflow):
        """While its functions are read, somebody else adds another."""

        @property
        def signatures(self) -> dict[str, Signature]:  # type: ignore[override]
            registry.add(other)
            return {}

        @signatures.setter
        def signatures(self, value: dict[str, Signature]) -> None:
            pass

    mine = registry.add(Meanwhile("mine"))
    assert registry.offers == frozenset({mine.id, other.graph.id})
    assert {graph.name for graph in registry.graphs} == {"mine", "other"}


def test_adding_the_same_again_costs_nothing() -> None:
    """It happens with every start: the functions are not looked through again."""
    registry, workflow = Registry(fetch), flow("a", "x")
    registry.add(workflow)
    offers, signatures = registry.offers, registry.signatures(workflow.graph.id)
    registry.add(workflow)
    assert registry.offers is offers
    assert registry.signatures(workflow.graph.id) is signatures
