"""The workflow files of the Blue Sky engine: executables, and workflows of states in a graph, as YAML.

A state is a job: its program gets ``--input_json IN --output_json OUT`` in a directory of its own, and has succeeded
when its exit code is 0 and what it wrote can be read. Parents that a state has several of are all waited for. Where the
``enqueued_class`` changes along an edge, the parent's result is a list of subjects, and the states of that class are a
workflow of their own, of which each subject has a run; where it changes back, all of them are waited for.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat import codec
from heliostat.errors import BadInput, DefinitionError, nearest
from heliostat.importers import document
from heliostat.importers.strategy import Acting, Kind, Strategy, failing
from heliostat.resources import Resources
from heliostat.workflow import Branch, Workflow

if TYPE_CHECKING:
    from heliostat.engine import Engine
    from heliostat.importers.document import Value

__all__ = ["Strategy", "ingest", "load"]

LOG = logging.getLogger("heliostat.importers")

_TOP = ("executables", "run_states", "workflows")
_EXECUTABLE = (
    *("name", "description", "path", "args", "environment", "version"),
    *("remote_queue", "pbs_queue", "pbs_processor", "pbs_walltime"),
)
_WORKFLOW = ("ingest", "states", "graph")
_STATE = ("key", "label", "class", "enqueued_class", "executable", "batch_size", "max_retries", "manual")
_HERE = ("local", "default", "none", "None")  # words for: no batch system
BATCH = 1  #: of a state that says nothing, which is what the engine that wrote these files does
PASS, FAIL = "pass", "fail"  #: the choices of a state that is manual


@dataclass(frozen=True, slots=True)
class Executable:
    """A program, and what it needs."""

    command: tuple[str, ...]
    env: dict[str, str]
    queue: str
    resources: Resources


@dataclass(slots=True)
class State:
    """A state: a node to be, and what leads to it."""

    given: Value
    key: str
    kind: str
    subject: str
    executable: Executable | None
    limit: int
    retries: int
    manual: bool
    parents: list[State] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Guide:
    """What a caller says of states: their strategies and configurations, by key."""

    strategies: Mapping[str, Kind]
    configurations: Mapping[str, Mapping[str, Any] | Path]

    def acting(self, state: State) -> Acting | None:
        """The strategy of a state, if there is one: by its key, or by the class that it names."""
        kind = self.strategies.get(state.key, self.strategies.get(state.kind))
        configuration = self.configurations.get(state.key)
        if kind is None and configuration is not None:
            kind = Strategy
        return None if kind is None else Acting(kind, configuration)

    def check(self, states: list[State]) -> None:
        """Refuse what is said of a state that is not there."""
        keys, kinds = {state.key for state in states}, {state.kind for state in states}
        for name in (*self.strategies, *self.configurations):
            if name not in keys | (kinds if name in self.strategies else set()):
                raise BadInput(f"strategies: there is no state {name!r}{nearest(name, sorted(keys))}")

    def unacted(self, states: list[State]) -> Iterator[str]:
        """Sentences about states whose class does nothing here."""
        for state in states:
            if state.kind and self.acting(state) is None:
                yield state.given.field("class").about(
                    f"{state.kind} is Python, which no file brings along, so the state is its program alone; "
                    f"load(file, {{{state.key!r}: …}}) gives it a strategy"
                )


def load(
    file: str | Path,
    strategies: Mapping[str, Kind] | None = None,
    *,
    configurations: Mapping[str, Mapping[str, Any] | Path] | None = None,
) -> dict[str, Workflow]:
    """The workflows of a file, by name; raises BadInput with file, line and key of what is wrong.

    ``strategies`` are classes by a state's key, or by what its ``class`` says; of a ``class`` without one the program's
    log tells. ``configurations`` are JSON objects by a state's key, or files that hold them, read at each call.
    """
    try:
        text = Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from None
    return _workflows(document.read(text, str(file)), Guide(strategies or {}, configurations or {}))


def ingest(
    engine: Engine, workflow: Workflow | str, message: object, *, subject: str = "", replace: bool = False
) -> dict[str, str]:
    """Have a subject go through a workflow, and answer with its run, as JSON; the same message twice is the same run.

    ``subject`` is its name, by which people know it; without it, the message is. Another message of the same subject is
    another run beside the one before; with ``replace`` it takes that one's place, which is cancelled if it goes on.
    """
    text = codec.encode(message, "message")
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    key = subject if replace else f"{subject} {digest}"
    run = engine.start(workflow, message, name=subject or digest, idempotency_key=key or digest, replace=replace)
    return {"workflow": run.graph.name, "subject": run.name, "run": run.id, "state": str(run.state)}


def _workflows(root: Value, guide: Guide) -> dict[str, Workflow]:
    root.fields(_TOP)
    executables = {name: _executable(value) for name, value in root.field("executables").fields().items()}
    found, everything = {}, []
    for name, value in root.field("workflows").fields().items():
        value.fields(_WORKFLOW)
        states = _states(value, executables)
        everything += states
        found[name] = (value, states)
    guide.check(everything)
    flows = {name: _built(value, name, states, guide) for name, (value, states) in found.items()}
    for sentence in guide.unacted(everything):
        LOG.warning("%s", sentence)
    return flows


# executables


def _executable(given: Value) -> Executable:
    fields = given.fields(_EXECUTABLE)
    args = [arg.text() for arg in fields["args"].items()] if "args" in fields else []
    command = [given.field("path").text(), *args]
    place = fields["remote_queue"].text() if "remote_queue" in fields else "pbs"
    if "pbs_queue" not in fields and (place not in _HERE) and ("remote_queue" in fields or "pbs_processor" in fields):
        given.refuse(f"its remote_queue is {place!r}, so the key 'pbs_queue' is missing, which says where it waits")
    queue = fields["pbs_queue"].text() if "pbs_queue" in fields and place not in _HERE else "default"
    asks = _processor(fields["pbs_processor"]) if "pbs_processor" in fields else {}
    if "pbs_walltime" in fields:
        asks["walltime"] = _walltime(fields["pbs_walltime"])
    try:
        resources = Resources(**asks)
    except DefinitionError as error:
        given.refuse(str(error))
    words = (_literal(_beside(given.file, word)) for word in (*command, "--input_json"))
    return Executable(
        (*words, "{input}", "--output_json", "{output}"),
        dict(_environment(fields["environment"])) if "environment" in fields else {},
        queue,
        resources,
    )


def _beside(file: str, word: str) -> str:
    """A word that begins with ``./`` is a file beside the one in which it stands: a job has a directory of its own."""
    return str(Path(file).absolute().parent / word[2:]) if word.startswith("./") else word


def _literal(word: str) -> str:
    """A word of a command as a template that stands for itself."""
    return word.replace("{", "{{").replace("}", "}}")


def _environment(given: Value) -> Iterator[tuple[str, str]]:
    """Variables, as a list of ``NAME=value`` or as keys and values."""
    if isinstance(given.content, dict):
        yield from ((name, value.text()) for name, value in given.fields().items())
        return
    for item in given.items():
        name, equals, value = item.text().partition("=")
        if not equals:
            item.refuse(f"a variable is written NAME=value, not {item.text()[:40]!r}")
        yield name, value


_AMOUNT = re.compile(r"(\d+)([kmgt]?)b?", re.IGNORECASE)
_CLOCK = re.compile(r"(?:walltime=)?(\d+(?::\d+){0,3})")


def _processor(given: Value) -> dict[str, Any]:
    """Cores, memory and GPUs of what PBS is asked for: ``nodes=1:ppn=4``, ``ncpus=4,mem=6gb``, ``vmem=6g``."""
    asks: dict[str, Any] = {}
    for word in re.split(r"[,:\s]+", given.text().removeprefix("-l").strip()):
        name, _, value = word.partition("=")
        if name in ("nodes", "select") and value.isdecimal() and int(value):
            asks["nodes"] = int(value)
        elif name in ("ppn", "ncpus") and value.isdecimal() and int(value):
            asks["cores"] = int(value)
        elif name in ("gpus", "ngpus") and value.isdecimal():
            asks["gpus"] = int(value)
        elif name in ("mem", "vmem", "pmem") and (amount := _AMOUNT.fullmatch(value)):
            asks["memory"] = f"{amount[1]}{amount[2].upper()}{'i' if amount[2] else ''}B"
        else:
            given.refuse(f"{word!r} cannot be read; write such as nodes=1:ppn=4, ncpus=4, mem=6gb, gpus=1")
    return asks


def _walltime(given: Value) -> str:
    """Hours, minutes and seconds as a duration."""
    if (clock := _CLOCK.fullmatch(given.text().strip())) is None:
        given.refuse(f"{given.text()[:40]!r} is no wall time; write such as walltime=0:10:00")
    parts = [int(part) for part in clock[1].split(":")][::-1]
    return f"{sum(part * unit for part, unit in zip(parts, (1, 60, 3600, 86400), strict=False))}s"


# states and the graph


def _states(given: Value, executables: Mapping[str, Executable]) -> list[State]:
    """The states of a workflow, each after its parents."""
    states: dict[str, State] = {}
    for value in given.field("states").items():
        state = _state(value, executables)
        if state.key in states:
            value.refuse(f"the state {state.key!r} is there twice")
        states[state.key] = state
    if not states:
        given.field("states").refuse("a workflow has one or more states")
    lines = given.fields().get("graph")
    named: set[str] = set()
    for line in lines.items() if lines is not None else ():
        named |= _connect(line, states)
    if lost := [state for state in states.values() if named and state.key not in named]:
        lost[0].given.refuse(f"no line of the graph names the state {lost[0].key!r}, so nothing would lead to it")
    ordered = list(_ordered(list(states.values())))
    for state in ordered:
        state.subject = state.subject or (state.parents[0].subject if state.parents else "")
    return ordered


def _state(given: Value, executables: Mapping[str, Executable]) -> State:
    fields = given.fields(_STATE)
    texts = {name: fields[name].text() if name in fields else "" for name in ("class", "enqueued_class", "manual")}
    executable = None
    if "executable" in fields:
        name = fields["executable"].text()
        if name not in executables:
            fields["executable"].refuse(f"there is no executable {name!r}{nearest(name, executables)}")
        executable = executables[name]
    return State(
        given,
        given.field("key").text(),
        texts["class"],
        texts["enqueued_class"],
        executable,
        fields["batch_size"].number(1) if "batch_size" in fields else BATCH,
        fields["max_retries"].number(0) if "max_retries" in fields else 0,
        texts["manual"].lower() in ("true", "yes", "on"),
    )


def _connect(line: Value, states: Mapping[str, State]) -> set[str]:
    """Take in a line of the graph, ``[parent, [children]]``; answers the keys that it names."""
    if len(line.items()) != 2:
        line.refuse("a line of the graph is [parent, [children]]")
    first, second = line.items()
    named = [first, *(second.items() if isinstance(second.content, list) else [second])]
    for value in named:
        if value.text() not in states:
            value.refuse(f"there is no state {value.text()!r}{nearest(value.text(), states)}")
    parent = states[first.text()]
    for value in named[1:]:
        child = states[value.text()]
        if parent in child.parents:
            value.refuse(f"{child.key!r} is already a child of {parent.key!r}")
        child.parents.append(parent)
    return {value.text() for value in named}


def _ordered(states: list[State]) -> Iterator[State]:
    """Each after its parents, else as they stand in the file."""
    done: set[str] = set()
    while states:
        ready = [state for state in states if all(parent.key in done for parent in state.parents)]
        if not ready:
            states[0].given.refuse(f"the graph leads from {states[0].key!r} back to itself, or to it from such a state")
        yield from ready
        done |= {state.key for state in ready}
        states = [state for state in states if state.key not in done]


# from states to nodes


@dataclass(frozen=True, slots=True)
class Region:
    """The states that a parent's list of subjects goes through, each subject for itself."""

    parent: State
    states: list[State]
    name: str


def _built(given: Value, name: str, states: list[State], guide: Guide) -> Workflow:
    """A workflow of the states whose subject is that of the first one, with a part for each region of others."""
    try:
        flow = Workflow(name, on_failure="finish")
    except DefinitionError as error:
        given.refuse(str(error))
    regions, mine = _regions(states), {state.key for state in states}
    parts = {state.key: region.name for region in regions for state in region.states}
    acting: dict[str, Acting] = {}
    for state in (state for state in states if state.key not in parts):
        acts = guide.acting(state)
        try:
            _add(flow, state, [_upstream(parent, parts) for parent in state.parents if parent.key in mine], acts)
            for region in (region for region in regions if region.parent is state):
                part = _built(given, f"{name}.{region.name}", region.states, guide)
                flow.subworkflow(region.name, part, map={"message": state.key})
        except DefinitionError as error:
            state.given.refuse(str(error))
        if acts is not None:
            acting[state.key] = acts
    heard = {key: acts for key, acts in acting.items() if acts.kind.on_failure is not Strategy.on_failure}
    if heard:
        flow.node(failing(heard), name="on_failure", on="failed")
    flow.data = not acting and not flow.parts
    return flow


def _upstream(parent: State, parts: Mapping[str, str]) -> Branch:
    return Branch(parts.get(parent.key, parent.key), PASS if parent.manual and parent.key not in parts else "")


def _regions(states: list[State]) -> list[Region]:
    """What lies between an edge on which the subject changes and those on which it changes back."""
    regions: list[Region] = []
    subject = states[0].subject
    for state in (state for state in states if state.subject != subject):
        inside = [region for region in regions if any(parent in region.states for parent in state.parents)]
        outside = [parent for parent in state.parents if parent.subject == subject]
        parents = {id(each): each for each in (*outside, *(region.parent for region in inside))}
        if len(parents) != 1 or len(inside) > 1:
            state.given.refuse(
                f"its subjects are of {state.subject!r}, of which there are lists from several states; "
                "have one state give them"
            )
        if inside:
            inside[0].states.append(state)
        else:
            [parent] = parents.values()
            regions.append(Region(parent, [state], _short(state.subject)))
    return regions


def _short(subject: str) -> str:
    """The class's own name, as a node may be called."""
    return re.sub(r"[^A-Za-z0-9_]", "_", subject.rpartition(".")[2]).lower() or "subject"


def _add(flow: Workflow, state: State, after: list[Branch], acts: Acting | None) -> None:
    """The node of a state."""
    options: dict[str, Any] = {"after": list(dict.fromkeys(after))} if after else {}
    if state.manual:
        flow.review(state.key, choices=(PASS, FAIL), **options)
        return
    options |= {"limit": state.limit, "retry": state.retries}
    program = state.executable
    if program is None and acts is None:
        state.given.refuse(f"the state {state.key!r} has neither an executable nor a strategy, so it would do nothing")
    if program is None:
        assert acts is not None
        flow.node(acts.alone(), name=state.key, **options)
        return
    options |= {"queue": program.queue, "resources": program.resources, "env": program.env, "outputs": "output.json"}
    calls: dict[str, Any] = {} if acts is None else {"prepare": acts.prepare(), "finish": acts.finish()}
    flow.job(state.key, list(program.command), **options, **calls)
