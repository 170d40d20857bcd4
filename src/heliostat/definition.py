"""The JSON form of a workflow without functions: what an author would say of its jobs and reviews, as data.

    {"name": "survey", "version": "1.0", "nodes": [
        {"name": "crop", "job": "crop {message.tile} out.tif", "outputs": "out.tif", "retry": 2},
        {"name": "approve", "review": ["keep", "discard"], "after": "crop"},
        {"name": "archive", "job": ["archive", "{crop}"], "after": {"node": "approve", "choice": "keep"}}]}

``job`` is the command and ``review`` the choices; the other fields of a node are the options that ``Workflow.job`` and
``Workflow.review`` take, and are checked by them. What comes in is refused by the path of the field, ``nodes[2].job``.
"""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from itertools import takewhile
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any

from heliostat import codec
from heliostat import job as jobs
from heliostat.errors import BadInput, DefinitionError, NotFound, nearest
from heliostat.graph import Arity, Kind, On, Retry
from heliostat.graph import Node as GraphNode
from heliostat.resources import Resources
from heliostat.secret import Secret
from heliostat.workflow import Branch, JobOptions, NodeHandle, ReviewOptions, Workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from heliostat.graph import Edge, Graph, Node
    from heliostat.store import Store

_WHOLE = ("name", "version", "stays_open", "on_failure", "nodes")
_JOB = ("name", "job", "outputs", "env", "image", *JobOptions.__annotations__)
_REVIEW = ("name", "review", "role", "deadline", "otherwise", *ReviewOptions.__annotations__)
_BRANCH = ("node", "choice")


# reading


def read(data: object) -> Workflow:
    """The workflow that ``data`` says; raises BadInput with the path of the field that is wrong."""
    codec.encode(data, "workflow")  # whatever is too large, too deep or no JSON is refused before anybody looks into it
    given = _object(data, "workflow", _WHOLE)
    nodes = given.pop("nodes", None)
    if not isinstance(nodes, list) or not nodes:
        raise BadInput(f"workflow.nodes: a list of one or more nodes is wanted, not {shortened(nodes)}")
    if not isinstance(given.get("name"), str):
        raise BadInput(f"workflow.name: a name is wanted, not {shortened(given.get('name'))}")
    try:
        flow = Workflow(**given)
    except DefinitionError as error:
        raise BadInput(f"workflow: {error}") from None
    choices: dict[str, list[str]] = {}
    for number, node in enumerate(nodes):
        where = f"workflow.nodes[{number}]"
        try:
            _add(flow, node, where, choices)
        except DefinitionError as error:
            raise BadInput(f"{where}: {error}") from None
    flow.data = True
    return flow


def _add(flow: Workflow, data: object, where: str, choices: dict[str, list[str]]) -> None:
    """Add one node as its author would."""
    kinds = [kind for kind in ("job", "review") if isinstance(data, dict) and data.get(kind) is not None]
    if len(kinds) != 1:
        wanted = 'a node has "job": its command, or "review": its choices'
        raise BadInput(f"{where}: {wanted}" + ("; not both" if kinds else f", not {shortened(data)}"))
    options = _object(data, where, _JOB if kinds == ["job"] else _REVIEW)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise BadInput(f"{where}.name: a name is wanted, not {shortened(name)}")
    _read_edges(options, where, choices)
    for field, reader in _READERS.items():
        if field in options:
            options[field] = reader(options[field], f"{where}.{field}")
    if kinds == ["job"]:
        flow.job(name, _command(options.pop("job"), f"{where}.job"), **options)
    else:
        choices[name] = _texts(options.pop("review"), f"{where}.review")
        flow.review(name, choices=choices[name], **options)


def _object(data: object, where: str, known: Iterable[str]) -> dict[str, Any]:
    """The fields that are given; null is for one that is left out."""
    if not isinstance(data, dict):
        raise BadInput(f"{where}: an object is wanted, not {shortened(data)}")
    for field in data:
        if field not in known:
            raise BadInput(f"{where}: there is no field {field[:100]!r}{nearest(field[:100], known)}")
    return _there(data)


def _read_edges(options: dict[str, Any], where: str, choices: Mapping[str, list[str]]) -> None:
    if "after" in options:
        given = options["after"] if isinstance(options["after"], list) else [options["after"]]
        options["after"] = [_upstream(up, f"{where}.after[{place}]", choices) for place, up in enumerate(given)]
    for field in ("inputs", "map"):
        if field in options:
            given = options[field]
            if not isinstance(given, dict):
                raise BadInput(f"{where}.{field}: an object of names and nodes is wanted, not {shortened(given)}")
            options[field] = {name: _upstream(up, f"{where}.{field}.{name}", choices) for name, up in given.items()}


def _upstream(data: object, where: str, choices: Mapping[str, list[str]]) -> Branch | str:
    """A node to wait for, by its name; or with the choice that is waited for."""
    if isinstance(data, str):
        return data
    given = _object(data, where, _BRANCH)
    node, choice = given.get("node"), given.get("choice")
    if not isinstance(node, str) or not isinstance(choice, str) or not choice:
        raise BadInput(f'{where}: a node\'s name is wanted, or {{"node": …, "choice": …}}, not {shortened(data)}')
    if choice not in choices.get(node, [choice]):
        raise BadInput(f"{where}.choice: review {node} has no choice {choice!r}{nearest(choice, choices[node])}")
    return Branch(node, choice)


def _command(data: object, where: str) -> str | list[str]:
    return data if isinstance(data, str) else _texts(data, where, "a command, or a list of its words,")


def _texts(data: object, where: str, wanted: str = "a list of strings") -> list[str]:
    if not isinstance(data, list) or not all(isinstance(item, str) for item in data):
        raise BadInput(f"{where}: {wanted} is wanted, not {shortened(data)}")
    return data


def _text(data: object, where: str) -> str:
    if not isinstance(data, str):
        raise BadInput(f"{where}: a string is wanted, not {shortened(data)}")
    return data


def _named_texts(data: object, where: str) -> dict[str, str]:
    if not isinstance(data, dict) or not all(isinstance(item, str) for item in data.values()):
        raise BadInput(f"{where}: an object of strings is wanted, not {shortened(data)}")
    return data


def _outputs(data: object, where: str) -> str | dict[str, str]:
    return data if isinstance(data, str) else _named_texts(data, where)


def _read_retry(data: object, where: str) -> int | Retry:
    if isinstance(data, int):
        return data
    given = _object(data, where, [field.name for field in fields(Retry)])
    if "on" in given:
        given["on"] = tuple(_texts(given["on"], f"{where}.on"))
    return Retry(**given)


def _read_resources(data: object, where: str) -> Resources:
    return Resources.from_json(data, where)


#: What is more than an atom, or what the options' own checks take for granted.
_READERS: dict[str, Callable[[object, str], object]] = {
    "outputs": _outputs,
    "env": _named_texts,
    "image": _text,
    "queue": _text,
    "on": _text,
    "role": _text,
    "otherwise": _text,
    "retry": _read_retry,
    "resources": _read_resources,
}


def registered(store: Store, name: str) -> Workflow:
    """The workflow that was registered as data under a name (or ``name version``), last of all; raises NotFound."""
    graphs = store.graphs(name.partition(" ")[0])
    data = [graph for graph in graphs if graph.data and name in (graph.name, graph.label)]
    if data:
        return read(written(data[-1]))
    if coded := [graph.label for graph in graphs if not graph.data]:
        raise NotFound(f"{coded[-1]} is not kept as data, so a name is not enough; say where its code is, file.py:flow")
    known = {graph.name for graph in store.graphs() if graph.data}
    raise NotFound(f"no workflow {name!r} is kept as data{nearest(name, sorted(known))}")


def nodes_of(store: Store, node: object) -> tuple[list[Graph], str]:
    """The definitions that have a node, and its name: given as a handle, or as ``workflow/node``; raises NotFound."""
    if isinstance(node, NodeHandle):
        flow, name = node.workflow.name, node.name
    else:
        flow, slash, name = node.partition("/") if isinstance(node, str) else ("", "", "")
        if not slash or not flow or not name:
            raise BadInput(f"node: {shortened(node)} names no node; write workflow/node")
    versions = [graph for graph in store.graphs(flow.partition(" ")[0]) if flow in (graph.name, graph.label)]
    if not versions:
        known = sorted({graph.name for graph in store.graphs()})
        raise NotFound(f"there is no workflow {flow!r}{nearest(flow, known)}")
    if not (having := [graph for graph in versions if name in graph]):
        versions[-1][name]  # it says which there are
    return having, name


# writing


def written(graph: Graph) -> dict[str, Any]:
    """The JSON form of a graph, defaults left out; raises BadInput for one that needs code."""
    for node in graph:
        if needs_code(node):
            what = "a command that a function gives" if node.kind is Kind.job else f"a {node.kind}"
            if node.job is not None and node.job.calls:
                what = f"a job with {'= and '.join(node.job.calls)}="
            raise BadInput(
                f"workflow {graph.name}: {node.name} is {what}, and only jobs and reviews can be written as data; "
                "keep the rest in its file"
            )
        if node.adapts:
            raise BadInput(
                f"workflow {graph.name}: the resources= of {node.name} is a function, which the JSON form cannot say; "
                "say memory_factor= and walltime_factor= of a Resources, or keep it in its file"
            )
        if node.job is not None and any(isinstance(value, Secret) for value in node.job.env.values()):
            raise BadInput(
                f"workflow {graph.name}: the env= of {node.name} names a secret, which the JSON form cannot say; "
                "keep it in its file"
            )
    if graph.trigger is not None:
        raise BadInput(
            f"workflow {graph.name}: {graph.trigger} starts it, which the JSON form cannot say; keep it in its file"
        )
    head: dict[str, Any] = {"name": graph.name, "version": graph.version, "stays_open": graph.stays_open or None}
    head["on_failure"] = None if graph.on_failure == "stop" else graph.on_failure
    found = _there(head) | {"nodes": [_there(_node(node)) for node in graph]}
    if (again := read(found).graph) != replace(graph, data=True):
        lost = next((one.name for one, other in zip(graph, again, strict=True) if one != other), graph.name)
        raise BadInput(f"workflow {graph.name}: {lost} has what the JSON form cannot say; keep it in its file")
    return found


def needs_code(node: Node) -> bool:
    """Whether a node calls what its definition does not hold."""
    if node.kind is Kind.job and node.job is not None:
        return (node.job.shell is None and node.job.argv is None) or bool(node.job.calls)
    return node.kind is not Kind.review


def _there(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _node(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {"name": node.name}
    wanted: tuple[str, ...] = ()
    rest = node.review is not None
    if (job := node.job) is not None:
        wanted = jobs.names(job)
        found |= {"job": job.shell if job.argv is None else list(job.argv)}
        found |= {"outputs": job.outputs, "env": job.env or None, "image": job.image}
        rest = jobs.uses(job, "input") or jobs.uses(job, "files")
    elif (review := node.review) is not None:
        found |= {"review": list(review.choices), "role": review.role or None}
        found |= {"deadline": review.deadline, "otherwise": review.otherwise}
    return found | _edges(node, wanted, rest=rest) | _policies(node)


def _edges(node: Node, wanted: tuple[str, ...], *, rest: bool) -> dict[str, Any]:
    """The options that lead to these edges, in this order: by their parameters first, then those of ``after``."""
    last = list(takewhile(lambda edge: _is_after(edge, wanted, rest=rest), reversed(node.edges)))[::-1]
    named = node.edges[: len(node.edges) - len(last)]
    inputs: dict[str | None, Any] = {}
    mapped: dict[str | None, str] = {}
    for edge in named:
        if edge.each:
            mapped[edge.parameter] = edge.source
        elif edge.on is not On.succeeded:
            inputs[edge.parameter] = edge.source
        elif edge.parameter != edge.source or edge.choice is not None or edge.parameter not in wanted:
            inputs[edge.parameter] = _branch(edge)
    caught = {edge.source: edge for edge in named if edge.on is not On.succeeded}
    after = [_branch(edge) for edge in (*caught.values(), *last)]
    on = next((str(edge.on) for edge in node.edges if edge.on is not On.succeeded), None)
    found = {"after": after[0] if len(after) == 1 else after or None, "inputs": inputs or None, "map": mapped or None}
    return found | {"on": str(node.epilogue) if node.epilogue else on}


def _is_after(edge: Edge, wanted: tuple[str, ...], *, rest: bool) -> bool:
    if edge.parameter is None:
        return True
    return rest and edge.parameter == edge.source and edge.parameter not in wanted and not edge.each


def _branch(edge: Edge) -> str | dict[str, str]:
    return edge.source if edge.choice is None else {"node": edge.source, "choice": edge.choice}


def _policies(node: Node) -> dict[str, Any]:
    plain = {name: getattr(node, name) for name in ("queue", "priority", "limit", "timeout", "may_fail", "rescues")}
    found = {name: value for name, value in plain.items() if value != getattr(_PLAIN, name)}
    retry = dict(_unlike(node.retry, Retry()))
    if "on" in retry:
        retry["on"] = list(retry["on"])
    found["retry"] = retry["limit"] if retry.keys() == {"limit"} else retry or None
    found["resources"] = None if node.resources is None else node.resources.to_json() or {"cores": 1}
    return found


_PLAIN = GraphNode("plain", Arity.once)


def _unlike(value: Retry, default: Retry) -> Iterator[tuple[str, Any]]:
    usual = asdict(default)
    return ((name, each) for name, each in asdict(value).items() if each != usual[name])
