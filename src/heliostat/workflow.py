"""The author's builder: functions, classes and commands become the nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import update_wrapper
from reprlib import repr as shortened
from types import UnionType
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    ParamSpec,
    TypeAlias,
    TypedDict,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    overload,
)

from heliostat import allotment, codec, parts
from heliostat import graph as graphs
from heliostat import job as jobs
from heliostat.context import Context
from heliostat.display import Drawn
from heliostat.errors import BadInput, DefinitionError, nearest
from heliostat.graph import Arity, Edge, Graph, Kind, Node, On, Retry
from heliostat.outcome import Decision
from heliostat.resources import Resources
from heliostat.review import ReviewSpec
from heliostat.secret import Secret
from heliostat.signature import Signature, check_start
from heliostat.task import AttemptState
from heliostat.trigger import Trigger

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)  #: a node of ints is a node of numbers, too


class NodeHandle(Generic[P, R_co]):
    """A node as its author holds it: still the function it was, and a name to wait for.

    ``node["choice"]`` is the edge of one returned string.
    """

    def __init__(self, workflow: Workflow, name: str, function: Callable[P, R_co] | None) -> None:
        self.workflow, self.name, self.function = workflow, name, function
        if function is not None:
            update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function, without any engine."""
        if self.function is None:
            raise DefinitionError(f"node {self.name} is no function, so it cannot be called")
        return self.function(*args, **kwargs)

    def __getitem__(self, choice: str) -> Branch:
        """The edge that is taken when this node returns ``choice``."""
        returns = self._returns()
        if returns is not None:
            if not _may_be_text(returns):
                kind = getattr(returns, "__name__", returns)
                raise DefinitionError(
                    f"node {self.name} returns {kind}, never the string {choice!r}; only strings can be waited for so"
                )
            known = get_args(returns) if get_origin(returns) is Literal else ()
        else:
            asks = self.workflow.graph[self.name].review
            known = () if asks is None else asks.choices
        if known and choice not in known:
            raise DefinitionError(f"node {self.name} never returns {choice!r}{nearest(choice, map(str, known))}")
        return Branch(self.name, choice)

    def _returns(self) -> Any:
        """What it gives, as far as an annotation tells; None for a job or a review."""
        if (part := self.workflow.parts.get(self.name)) is not None:
            return parts.returns(part)
        return None if self.function is None else Signature(self.function, self.name, Context).returns

    def __repr__(self) -> str:
        return f"<node {self.workflow.name}.{self.name}>"


@dataclass(frozen=True)
class Branch:
    """The edge of one choice of a node."""

    source: str
    choice: str


Upstream: TypeAlias = "NodeHandle[..., Any] | Branch | str"
Duration: TypeAlias = str | timedelta | float


class JobPolicies(TypedDict, total=False):
    """Options that may also be given to a whole workflow, as defaults of its jobs and other nodes."""

    queue: str
    resources: Resources | Callable[[int, AttemptState | None], Resources] | None
    limit: int | None
    priority: int
    retry: int | Retry
    timeout: Duration | None
    may_fail: bool
    rescues: int


class Policies(JobPolicies, total=False):
    """The same for nodes that are functions."""

    requires: Iterable[str]


class JobOptions(JobPolicies, total=False):
    """Options of a job."""

    after: Upstream | Iterable[Upstream]
    inputs: Mapping[str, Upstream]
    map: Mapping[str, Upstream]
    on: Literal["succeeded", "failed", "ended"]


class NodeOptions(JobOptions, total=False):
    """Options of a node that acts once, or once per item of a list."""

    name: str
    requires: Iterable[str]
    env: Mapping[str, str | Secret]


class ReviewOptions(TypedDict, total=False):
    """Options of a review."""

    after: Upstream | Iterable[Upstream]
    inputs: Mapping[str, Upstream]
    map: Mapping[str, Upstream]
    on: Literal["succeeded", "failed", "ended"]
    queue: str
    priority: int
    may_fail: bool


class SubworkflowOptions(TypedDict, total=False):
    """Options of a node that is another workflow."""

    after: Upstream | Iterable[Upstream]
    inputs: Mapping[str, Upstream]
    map: Mapping[str, Upstream]
    on: Literal["succeeded", "failed", "ended"]
    queue: str
    priority: int
    retry: int | Retry
    may_fail: bool


class HandlerOptions(Policies, total=False):
    """Options of a handler."""

    name: str
    env: Mapping[str, str | Secret]
    after: Upstream | Iterable[Upstream]
    inputs: Mapping[str, Upstream]
    entry: bool
    serial: bool | str
    on: Trigger


_POLICIES = frozenset((*JobPolicies.__annotations__, *Policies.__annotations__))
_JOB = ("name", *JobOptions.__annotations__)
_NODE = (*NodeOptions.__annotations__,)
_HANDLER = (*HandlerOptions.__annotations__,)
_REVIEW = ("name", *ReviewOptions.__annotations__)
_SUBWORKFLOW = ("name", *SubworkflowOptions.__annotations__)


class Workflow(Drawn):
    """A workflow: a name, a graph and the functions behind it.

    ``version`` is given as soon as others rely on the workflow; without it, it is in development and each structure
    is its own version. With ``stays_open`` a run is active until somebody completes it. ``on_failure="finish"`` lets
    running attempts end when the run fails. ``on`` is a trigger, ``Every`` or ``Cron``: each of its ticks starts a run,
    while a worker offers the workflow. Further options are defaults of its nodes.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str | None = None,
        stays_open: bool = False,
        on_failure: Literal["stop", "finish"] = "stop",
        on: Trigger | None = None,
        **defaults: Unpack[Policies],
    ) -> None:
        if on_failure not in ("stop", "finish"):
            raise DefinitionError(f'workflow {name}: on_failure is "stop" or "finish", not {on_failure!r}')
        if not isinstance(stays_open, bool):
            raise DefinitionError(f"workflow {name}: stays_open is True or False, not {stays_open!r}")
        if version is not None and (type(version) is not str or not version):
            raise DefinitionError(f'workflow {name}: a version is a string such as "1.0", not {version!r}')
        if on is not None:
            _see_trigger(on, f"workflow {name}")
        _known_options(defaults, _POLICIES, f"workflow {name}")
        self.name, self.version, self.stays_open, self.on_failure = name, version, stays_open, on_failure
        self.trigger = on
        self.signatures: dict[str, Signature] = {}
        self.data = False  #: it was read from JSON: as long as it has no functions, no worker needs its code
        self.parts: dict[str, Workflow] = {}
        self._defaults = defaults
        self._nodes: dict[str, Node] = {}
        self._graph: Graph | None = None
        graphs.check(Graph(name, ()))

    @property
    def graph(self) -> Graph:
        """The frozen data of what was defined so far."""
        if self._graph is None:
            nodes = tuple(self._nodes.values())
            data = self.data and not self.signatures
            self._graph = Graph(
                self.name, nodes, self.version, self.stays_open, self.on_failure, data=data, trigger=self.trigger
            )
        return self._graph

    def to_json(self) -> dict[str, Any]:
        """The workflow as data, which ``from_json`` reads; raises BadInput if a node is a function."""
        from heliostat.definition import written

        return written(self.graph)

    @classmethod
    def from_json(cls, data: object) -> Workflow:
        """The workflow of jobs and reviews that ``data`` describes; ``engine.register`` has any worker run it.

        Raises BadInput with the path of a field that is wrong.
        """
        from heliostat.definition import read

        return read(data)

    def __repr__(self) -> str:
        return f"<workflow {self.graph.label}: {', '.join(self._nodes) or 'no nodes yet'}>"

    @overload
    def node(self, function: Callable[P, R], /, **options: Unpack[NodeOptions]) -> NodeHandle[P, R]: ...
    @overload
    def node(self, /, **options: Unpack[NodeOptions]) -> Callable[[Callable[P, R]], NodeHandle[P, R]]: ...
    def node(self, function: Any = None, /, **options: Any) -> Any:
        """Add a node that acts once per run, when what its parameters name is there (or once per item: ``map=``)."""
        if function is None:
            return lambda function: self._add_function(function, options, handler=False)
        return self._add_function(function, options, handler=False)

    @overload
    def handler(self, function: Callable[P, R], /, **options: Unpack[HandlerOptions]) -> NodeHandle[P, R]: ...
    @overload
    def handler(self, /, **options: Unpack[HandlerOptions]) -> Callable[[Callable[P, R]], NodeHandle[P, R]]: ...
    def handler(self, function: Any = None, /, **options: Any) -> Any:
        """Add a node that acts on each message it is sent.

        ``entry``: it gets the message a run is started with. ``serial``: one at a time per run, in order; the name
        of a field: one at a time per value of that field. ``on``: an ``Every`` or ``Cron``, which sends to it in each
        active run, as a ``Tick``; the next tick is set when the one before is settled.
        """
        if function is None:
            return lambda function: self._add_function(function, options, handler=True)
        return self._add_function(function, options, handler=True)

    def job(
        self,
        name: str,
        command: str | list[str] | Callable[..., str | list[str]],
        *,
        outputs: str | dict[str, str] | None = None,
        env: Mapping[str, str | Secret] | None = None,
        image: str | None = None,
        prepare: Callable[..., Any] | None = None,
        finish: Callable[..., Any] | None = None,
        **options: Unpack[JobOptions],
    ) -> NodeHandle[..., Any]:
        """Add a command for a batch system; ``{node}`` in it waits for that node, as one quoted word.

        With ``{input}`` or ``{files}`` in it, it is given the message and all that it waits for. With an ``image`` it
        runs in a container, in which its directory is and nothing else of the machine.
        ``prepare`` is called before the job is submitted and answers what ``{input}`` is to hold instead, or
        ``Snooze``, ``Skip`` or ``Fail``. ``finish`` is called when it has succeeded: it gets as ``output`` what the
        job gave, and what it answers is the node's result. Both have parameters like a node's, and run in the worker.
        """
        where = f"job {name}"
        shell, argv, function = _command(command, prepare, where)
        calls = tuple(word for word, call in ((jobs.PREPARE, prepare), (jobs.FINISH, finish)) if call is not None)
        try:
            spec = jobs.JobSpec(shell, argv, outputs, dict(env or {}), image, calls)
        except DefinitionError as error:
            raise DefinitionError(f"{where}: {error}") from None
        before = None if function is None else Signature(function, where, Context)
        behind = None if finish is None else Signature(finish, f"{where}: finish", Context)
        called = [signature for signature in (before, behind) if signature is not None]
        wanted = _wanted(called, jobs.names(spec), but=() if behind is None else (jobs.GIVEN,))
        everything = (jobs.uses(spec, "input") and prepare is None) or jobs.uses(spec, "files")
        takes_message = everything or jobs.uses(spec, "message") or any(each.message for each in called)
        rest = everything or any(each.rest for each in called)
        node = self._node(where, {**options, "name": name}, wanted, known=_JOB, rest=rest)
        node = replace(node, kind=Kind.job, job=spec, takes_message=takes_message)
        handle = self._add(node, before, None, options.get("resources"))
        if behind is not None:
            self.signatures[jobs.finishing(name)] = behind
        return handle

    def review(
        self,
        name: str,
        *,
        choices: Iterable[str],
        role: str = "",
        deadline: Duration | None = None,
        otherwise: str | None = None,
        **options: Unpack[ReviewOptions],
    ) -> NodeHandle[..., Decision]:
        """Add a wait for a person, who decides one of ``choices``; ``approve["publish"]`` is the edge of one of them.

        ``role`` says who is to decide. If nobody has within ``deadline``, it is decided ``otherwise``, or fails. Its
        result is a ``Decision``; what it waits for by name is shown to whoever decides.
        """
        where = f"review {name}"
        if isinstance(choices, str) or not isinstance(choices, Iterable):
            raise DefinitionError(f'{where}: choices= takes words, such as ("publish", "discard"), not {choices!r}')
        try:
            spec = ReviewSpec(tuple(choices), role, deadline, otherwise)
        except DefinitionError as error:
            raise DefinitionError(f"{where}: {error}") from None
        node = self._node(where, {**options, "name": name}, {}, known=_REVIEW, rest=True)
        return self._add(replace(node, kind=Kind.review, review=spec), None, None)

    def subworkflow(self, name: str, workflow: Workflow, **options: Unpack[SubworkflowOptions]) -> NodeHandle[..., Any]:
        """Add a node that is a run of another workflow, ended with this one; its result is that run's.

        ``inputs`` and ``map`` are fields of the message that it is started with, or all of it: ``{"message": node}``.
        Without them it is started with the message of this run. ``after`` is only waited for. The other workflow is
        taken as it is now, so it is defined before. With ``retry``, a run that has failed is followed by a new one.
        """
        where = f"subworkflow {name}"
        part = parts.contained(self, workflow, where)
        given = {**(options.get("inputs") or {}), **(options.get("map") or {})}
        parts.check_fields(workflow, given, where)
        node = self._node(where, {**options, "name": name}, dict.fromkeys(given, False), known=_SUBWORKFLOW)
        node = replace(node, retry=parts.retried(node.retry, where, own="retry" in options))
        handle = self._add(replace(node, kind=Kind.workflow, workflow=part, takes_message=not given), None, None)
        self.parts[name] = workflow
        return handle

    def whole(self) -> Graph:
        """Its graph; raises DefinitionError if a workflow that it contains has changed since."""
        graph = self.graph
        for name, part in self.parts.items():
            if part.whole().id != graph.parts[name].graph:
                raise DefinitionError(
                    f"workflow {self.name}: {part.name} was changed after {name!r} was made of it; "
                    "define it as a whole before"
                )
        return graph

    def check_parts(self, text: str) -> None:
        """Check a message against those that get it because their nodes name no inputs; raises BadInput."""
        for name, part in self.parts.items():
            node = self.graph[name]
            if node.takes_message:
                try:
                    check_start(part.graph, part.signatures, text, exact=False)
                    part.check_parts(text)
                except BadInput as error:
                    raise BadInput(f"{name}: {error}") from None

    def _add_function(self, function: Any, options: dict[str, Any], *, handler: bool) -> NodeHandle[..., Any]:
        if isinstance(function, NodeHandle):
            function = function.function
        if not callable(function):
            raise DefinitionError(f"workflow {self.name}: {function!r} is no function or class to make a node of")
        name = options.get("name") or getattr(function, "__name__", "")
        where = f"node {name}"
        signature = Signature(function, where, Context)
        if signature.is_class:
            options = {k: getattr(function, k) for k in _NODE if hasattr(function, k)} | options
        wanted = {p.name: p.optional for p in signature.inputs.values()}
        known, rest = _HANDLER if handler else _NODE, signature.rest is not None
        node = self._node(where, {**options, "name": name}, wanted, known=known, rest=rest)
        node = replace(node, takes_message=signature.message is not None)
        return self._add(node, signature, function, options.get("resources"))

    def _add(
        self, node: Node, signature: Signature | None, function: Any, resources: object = None
    ) -> NodeHandle[..., Any]:
        allots: Any = resources or self._defaults.get("resources")
        functions = {} if signature is None else {node.name: signature}
        if callable(allots) and node.kind in (Kind.function, Kind.job):
            where = f"{'job' if node.kind is Kind.job else 'node'} {node.name}"
            first, functions[allotment.behind(node.name)] = allotment.adapting(allots, where)
            node = replace(node, resources=first, adapts=True)
        graphs.check_node(node, self._nodes)
        graphs.check_trigger(node, stays_open=self.stays_open)
        self._nodes[node.name], self._graph = node, None
        self.signatures |= functions
        return NodeHandle(self, node.name, function)

    def _node(
        self,
        where: str,
        options: dict[str, Any],
        wanted: dict[str, bool],
        *,
        known: tuple[str, ...] = _NODE,
        rest: bool = False,
    ) -> Node:
        """The graph's node for options and wanted parameters (name, whether it has a default)."""
        handler = known is _HANDLER
        _known_options(options, known, where)
        on = options.get("on", "succeeded")
        trigger = None
        if handler and "on" in options:
            trigger, on = _see_trigger(on, f"handler {options['name']}"), "succeeded"
        if isinstance(on, Trigger):
            raise DefinitionError(
                f"{where}: it acts once in a run, so it has no trigger; a handler has one, or the workflow itself"
            )
        if on not in tuple(On):
            raise DefinitionError(f'{where}: on= is "failed" or "ended", not {on!r}')
        edges = self._edges(where, options, wanted, On(on), rest=rest)
        epilogue = On(on) if on != "succeeded" and "after" not in options else None
        if epilogue and edges:
            raise DefinitionError(
                f"{where}: with on= and without after= it runs after the run's end and takes ctx and message only; "
                "say after= to wait for nodes"
            )
        return Node(
            options["name"],
            Arity.handler if handler else Arity.each if options.get("map") else Arity.once,
            edges=edges,
            epilogue=epilogue,
            entry=bool(options.get("entry", False)),
            serial=options.get("serial", False),
            env=_environment(options, where),
            trigger=trigger,
            **_policies({**_taken(self._defaults, known), **options}, where),
        )

    def _edges(
        self, where: str, options: dict[str, Any], wanted: dict[str, bool], on: On, *, rest: bool
    ) -> tuple[Edge, ...]:
        after = [self._upstream(where, up) for up in _listed(options.get("after", ()))]
        sources = [up.source for up in after]
        if twice := [source for source in sources if sources.count(source) > 1]:
            raise DefinitionError(f"{where}: after= names {twice[0]} twice; let a node of its own wait for each choice")
        inputs = {name: self._upstream(where, up) for name, up in (options.get("inputs") or {}).items()}
        mapped = {name: self._upstream(where, up) for name, up in (options.get("map") or {}).items()}
        for name in (*inputs, *mapped):
            if name not in wanted and not rest:
                raise DefinitionError(
                    f"{where}: it has no parameter {name!r}{nearest(name, wanted) or '; it has none'}"
                )
            wanted.setdefault(name, False)
        for up in (*after, *inputs.values(), *mapped.values()):
            if up.choice and self._nodes[up.source].arity is Arity.each:
                raise DefinitionError(
                    f"{where}: {up.source} goes over a list, so no choice of it decides where the run goes on; "
                    "take its results, and choose in a node of your own"
                )
        edges = {}
        for name, optional in wanted.items():
            source = mapped.get(name) or inputs.get(name) or (Branch(name, "") if name in self._nodes else None)
            if source is None:
                if optional:
                    continue
                raise DefinitionError(
                    f"{where}: the parameter {name!r} names no node before it and has no default"
                    f"{nearest(name, self._nodes)}"
                )
            edges[name] = Edge(source.source, name, On.succeeded, source.choice or None, optional, name in mapped)
        for up in after:
            same = [name for name, edge in edges.items() if edge.source == up.source and not edge.each]
            for name in same:
                edges[name] = replace(edges[name], on=on, choice=up.choice or None)
            if not same:
                edges[f" {up.source}"] = Edge(up.source, up.source if rest else None, on, up.choice or None)
        return tuple(edges.values())

    def _upstream(self, where: str, up: object) -> Branch:
        if isinstance(up, NodeHandle):
            if up.workflow is not self and self._nodes.get(up.name) is None:
                raise DefinitionError(f"{where}: {up!r} belongs to another workflow; add its function to this one")
            up = up.name
        if not isinstance(up, Branch | str):
            raise DefinitionError(
                f"{where}: waits for {shortened(up)}, which is no node; values come from nodes, so add one that "
                "returns it"
            )
        branch = up if isinstance(up, Branch) else Branch(up, "")
        if branch.source == "message" and branch.source not in self._nodes:
            raise DefinitionError(
                f"{where}: the message is no node to wait for; a parameter called message gets it, and a node that "
                "returns a list of it can be gone over"
            )
        if branch.source not in self._nodes:
            raise DefinitionError(
                f"{where}: waits for {branch.source!r}, which is no node before it{nearest(branch.source, self._nodes)}"
            )
        return branch


def _command(
    command: str | list[str] | Callable[..., Any], prepare: Callable[..., Any] | None, where: str
) -> tuple[str | None, tuple[str, ...] | None, Callable[..., Any] | None]:
    """A job's text for the shell, its arguments, and the function that is called before it."""
    if isinstance(command, str):
        return command, None, prepare
    if isinstance(command, list):
        return None, tuple(command), prepare
    if prepare is not None:
        raise DefinitionError(f"{where}: a function gives its command, and may prepare it too; leave prepare= out")
    return None, None, command


def _wanted(signatures: Iterable[Signature], names: Iterable[str], *, but: tuple[str, ...]) -> dict[str, bool]:
    """What a job waits for by name, and whether it can do without."""
    wanted: dict[str, bool] = {}
    for parameter in (each for signature in signatures for each in signature.inputs.values()):
        if parameter.name not in but:
            wanted[parameter.name] = wanted.get(parameter.name, True) and parameter.optional
    return wanted | dict.fromkeys(names, False)


def _may_be_text(returns: Any) -> bool:
    """Whether a function with this annotation may return a string, as far as can be seen."""
    origin, inner = get_origin(returns), get_args(returns)
    if origin is Literal:
        return any(isinstance(choice, str) for choice in inner)
    if origin in (Union, UnionType):
        return any(_may_be_text(member) for member in inner)
    kind = type(None) if returns is None else inner[0] if origin is Annotated else origin or returns
    return kind in (Any, object) or not isinstance(kind, type) or issubclass(kind, str)


def _taken(defaults: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Of the defaults of a workflow, those that a node of this kind has."""
    return {name: value for name, value in defaults.items() if name in known}


def _listed(after: object) -> list[object]:
    return list(after) if isinstance(after, list | tuple | set) else [after]


def _known_options(options: Mapping[str, object], known: Iterable[str], where: str) -> None:
    for option in options:
        if option not in known:
            of = "; it is one of handlers" if option in _HANDLER and option not in _NODE else nearest(option, known)
            raise DefinitionError(f"{where}: there is no option {option!r}{of}")


def _see_trigger(on: object, where: str) -> Trigger:
    if not isinstance(on, Trigger):
        raise DefinitionError(f'{where}: on= is a trigger, such as Every("5m") or Cron("0 6 * * *"), not {on!r}')
    return on


def _environment(options: Mapping[str, Any], where: str) -> dict[str, str | Secret]:
    env = options.get("env") or {}
    if not isinstance(env, Mapping):
        raise DefinitionError(f"{where}: env= is variables and their values, not {env!r}")
    return dict(env)


def _requirements(given: object, where: str) -> tuple[str, ...]:
    found = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (None,)
    if not all(isinstance(each, str) for each in found):
        raise DefinitionError(f'{where}: requires= takes a list of strings, such as ("package==1.2",), not {given!r}')
    return found


def _policies(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Policies as the graph has them: retry as a value, time-outs in seconds."""
    found = {name: options[name] for name in _POLICIES if name in options}
    retry = found.get("retry", Retry())
    if isinstance(retry, int) and not isinstance(retry, bool):
        retry = Retry(retry)
    if not isinstance(retry, Retry) or retry.limit < 0:
        raise DefinitionError(f"{where}: retry= is a number of further tries or a Retry, not {retry!r}")
    found["retry"] = retry
    if "requires" in found:
        found["requires"] = _requirements(found["requires"], where)
    if not isinstance(found.get("may_fail", False), bool):
        raise DefinitionError(f"{where}: may_fail= is True or False, not {found['may_fail']!r}")
    if callable(found.get("resources")):
        del found["resources"]  # what it says is asked for when the node is added
    if not isinstance(found.get("resources"), Resources | None):
        raise DefinitionError(
            f"{where}: resources= is a Resources(cores=…, memory=…), or a function that gives one, "
            f"not {found['resources']!r}"
        )
    for name in ("limit", "priority", "rescues"):
        if not isinstance(found.get(name, 0), int | type(None)) or isinstance(found.get(name), bool):
            raise DefinitionError(f"{where}: {name}= is a whole number, not {found[name]!r}")
    try:
        if found.get("timeout") is not None:
            found["timeout"] = codec.seconds(found["timeout"], f"{where}: timeout")
    except BadInput as error:
        raise DefinitionError(str(error)) from None
    if found.get("timeout") == 0:
        raise DefinitionError(f"{where}: timeout=0 would never let it end; leave it out for no time-out")
    return found
