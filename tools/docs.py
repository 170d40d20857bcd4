"""Write into the docs what the code says better: tables of states, diagrams, errors, limits, the public face.

    python -m tools.docs            # bring the pages up to date
    python -m tools.docs --check    # say which are not, and end with status 1

A page marks such a part with ``<!-- begin: task states -->`` and ``<!-- end -->``; what stands between is replaced.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

from tools import names
from tools.hearts import HEARTS, heart
from tools.names import MACHINE
from tools.states import Chart, drawn

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "heliostat"
PART = re.compile(r"(?P<begin><!-- begin: (?P<name>[\w ]+) -->\n)(?P<text>.*?)(?P<end><!-- end -->)", re.DOTALL)


def main(options: list[str]) -> int:
    """Write the pages, or say what would be written."""
    stale = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text("utf-8")
        if (fresh := filled(text)) != text:
            stale.append(page.relative_to(ROOT))
            if "--check" not in options:
                page.write_text(fresh, "utf-8")
    for place, make in PICTURES.items():
        picture = ROOT / place
        if (fresh := make()) != (picture.read_text("utf-8") if picture.exists() else ""):
            stale.append(Path(place))
            if "--check" not in options:
                picture.write_text(fresh, "utf-8")
    for name in stale:
        print(f"{name} {'is out of date; run: python -m tools.docs' if '--check' in options else 'written'}")
    return int("--check" in options and bool(stale))


def filled(text: str) -> str:
    """A page with all its generated parts as the code has them now."""
    return PART.sub(_fresh, text)


def _fresh(found: re.Match[str]) -> str:
    part = PARTS[found["name"]]()
    return found["begin"] + (f"\n{part}\n\n" if part else "") + found["end"]


# states and their moves


def states(module: str, enum: str, moves: str) -> str:
    """A table of states: who moves in and out, as the comment at the member says, and what may follow."""
    kind: type[StrEnum] = _named(module, enum)
    table: Mapping[StrEnum, Iterable[StrEnum]] = _named(module, moves)
    said = comments(module, enum)
    rows = []
    for state in kind:
        entry, exit_ = _in_and_out(said[state.name])
        after = ", ".join(f"`{following}`" for following in _ordered(kind, table[state])) or "nothing: final"
        rows.append((f"`{state}`", entry, exit_, after))
    return _table(("state", "who moves it in", "who moves it out", "may become"), rows)


def comments(module: str, enum: str) -> dict[str, str]:
    """The comments that stand beside the members of an enumeration."""
    source = (SOURCE / f"{module}.py").read_text("utf-8")
    (body,) = [part for part in ast.parse(source).body if isinstance(part, ast.ClassDef) and part.name == enum]
    lines = source.splitlines()
    found = {}
    for statement in body.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            _, _, comment = lines[statement.lineno - 1].partition("#")
            found[statement.targets[0].id] = comment.strip()
    return found


def chart(title: str, module: str, enum: str, moves: str, begin: str) -> str:
    """The moves as a picture; ``begin`` are the states that a life may begin in."""
    return drawn(Chart(title, _named(module, enum), _named(module, moves), begin.split()))


def meanings(module: str, enum: str, heading: str) -> str:
    """A table of members and the comments beside them."""
    kind: type[StrEnum] = _named(module, enum)
    said = comments(module, enum)
    return _table((heading, "what it says"), [(f"`{state}`", said[state.name]) for state in kind])


def _in_and_out(comment: str) -> tuple[str, str]:
    entry, *rest = comment.removeprefix("in: ").split("; ")
    exit_ = next((part.removeprefix("out: ") for part in rest if part.startswith("out: ")), "nobody")
    return entry, exit_


def _ordered(kind: type[StrEnum], chosen: Iterable[StrEnum]) -> list[StrEnum]:
    return sorted(chosen, key=list(kind).index)


# errors


def error_tree() -> str:
    """The tree that the docstring of ``errors`` draws."""
    tree = (importlib.import_module("heliostat.errors").__doc__ or "").partition("\n\n")[2].strip()
    return f"```text\n{tree}\n```"


def error_table() -> str:
    """Each error: where it stands in the tree, the exit code of the command line, and what it means."""
    root = _named("errors", "HeliostatError")
    rows = [
        (f"`{kind.__name__}`", str(kind.exit_code), "yes" if getattr(kind, "transient", False) else "", _first(kind))
        for kind in _family(root)
    ]
    return _table(("error", "exit code", "worth trying again", "what it says"), rows)


def _family(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == "heliostat.errors":
            yield from _family(child)


# what is refused


def bad_input() -> str:
    """Each bad input of the suite, and the sentence that it gets, by what they are about."""
    cases = importlib.import_module("tests.docs.bad_input").CASES
    parts = []
    for about, found in cases.items():
        rows = [(f"{case.name}<br>{_typed_in(case)}", _as_text(case.said)) for case in found]
        parts.append(f"## {about}\n\n{_table(('what is typed', 'what is said'), rows)}")
    return "\n\n".join(parts)


def _typed_in(case: Any) -> str:
    """The lines of a case, as code in a cell of a table."""
    lines = f"{case.before}\n{case.done}".strip().splitlines()
    shown = [line.removeprefix("heliostat ") for line in lines if line != "# heliostat.toml"]
    return "<br>".join(f"`{line.replace('    ', ' ')}`" for line in shown)


def _as_text(said: str) -> str:
    """A sentence in which nothing is taken for markup."""
    return re.sub(r"([\\`*_{}\[\]<>#])", r"\\\1", said)


# limits


def limits() -> str:
    """What is bounded, by how much, and where the number stands."""
    rows = []
    for what, show, module, name in LIMITS:
        rows.append((what, show(_named(module, name)), f"`{module}.{name}`"))
    return _table(("what", "how much", "where it is written"), rows)


def _mebibytes(value: int) -> str:
    return f"{value >> 20} MiB ({value:,} bytes)"


def _seconds(value: float) -> str:
    return f"{value:g} s"


def _span(value: tuple[float, float]) -> str:
    return f"{value[0]:g} to {value[1]:g} s"


def _count(value: int) -> str:
    return f"{value:,}"


LIMITS: list[tuple[str, Callable[..., str], str, str]] = [
    ("a message, result or record", _mebibytes, "codec", "LIMIT_BYTES"),
    ("lists and objects inside one another", _count, "codec", "DEPTH"),
    ("attempts that one worker runs at once, unless told otherwise", _count, "compose", "SLOTS"),
    ("outcomes in one commit, and tasks taken ahead", _count, "worker", "BATCH"),
    ("pause between looks for work, growing while there is none", _span, "worker", "IDLE_SECONDS"),
    ("short work waiting behind long work before it is handed back", _seconds, "worker", "STUCK_SECONDS"),
    ("threads that outlived their time-out before a worker should be started afresh", _count, "worker", "WRITTEN_OFF"),
    ("between asking the process of a function to end and killing it", _seconds, "executors.process", "GRACE_SECONDS"),
    ("until the process of a function has loaded its workflow", _seconds, "executors.spawned", "LOAD_SECONDS"),
    ("pause between looks at local jobs", _span, "batches.local", "POLL_SECONDS"),
    ("jobs that a worker looks at in a second: the more there are, the more rarely at each", _count, "watch",
     "LOOKED_AT"),
    ("the same where jobs tell of their end, and a look is for those that cannot", _count, "watch",
     "LOOKED_AT_BESIDES"),
    ("between two looks at all of those, at most", _seconds, "watch", "LONGEST_SECONDS"),
    ("jobs submitted one by one before those that are there are looked at again", _count, "watch", "AT_ONCE"),
    ("pause between questions to a cluster's scheduler", _span, "batches.inquiry", "ASK_SECONDS"),
    ("how long files of an ended job on a cluster are waited for", _seconds, "batches.cluster", "SETTLE_SECONDS"),
    ("of what a running job prints on a cluster over ssh, all that one look brings", _mebibytes, "batches.trickle",
     "LOOK_BYTES"),
    ("between asking a job to end and killing it", _seconds, "look", "GRACE_SECONDS"),
    ("pause between tries to keep what an ended job left", _seconds, "jobs", "UNKEPT_SECONDS"),
    ("tasks that the end of a run cancels in its own commit; a sweep takes the others", _count, "stores.commit",
     "CANCEL_AT_ONCE"),
    ("waiting tasks that become ready in one transaction", _count, "stores.ledger", "PROMOTE_AT_ONCE"),
    ("missed ticks that `catch_up=\"all\"` makes up for: the newest", _count, "trigger", "CAUGHT_UP"),
    ("ticks whose runs are started in one transaction", _count, "trigger", "AT_ONCE"),
    ("after which a tick counts as missed with `catch_up=\"none\"`", _seconds, "trigger", "LATE_SECONDS"),
    ("ticks of one backfill", _count, "engine", "BACKFILLED"),
    ("lines of a traceback that are kept, the first and the last", _count, "origin", "LINES"),
    ("lines of a failed job that its reason quotes", _count, "files", "TAIL_LINES"),
]  # fmt: skip


# promises and their tests


def promise(number: int) -> str:
    """The sentences that are the names of a promise's tests, ``test_p1_…`` or ``test_p01_…``, by their files."""
    name = re.compile(rf"^def test_p0?{number}_(\w+)", re.MULTILINE)
    parts = []
    for file in sorted([*(ROOT / "tests").rglob("*.py"), *(SOURCE / "testing").rglob("*.py")]):
        if found := name.findall(file.read_text("utf-8")):
            where = ", on every store" if file.parent.name == "conformance" else ""
            head = f"In [{file.stem}](../{file.relative_to(ROOT).as_posix()}){where}:"
            parts.append("\n".join([head, "", *(f"- {test.replace('_', ' ')}" for test in found)]))
    return "\n\n".join(parts)


# the public face


def methods(module: str, name: str) -> str:
    """A table of what a class offers: how it is called, and the first sentence of its docstring."""
    rows = []
    for attribute, value in vars(_named(module, name)).items():
        if attribute.startswith("_") or attribute in MACHINE:
            continue
        if isinstance(value, property):
            rows.append((f"`{attribute}`", _first(value)))
        elif isinstance(value, FunctionType):
            rows.append((f"`{attribute}({_parameters(value)})`", _first(value)))
    return _table(("name", "what it does"), rows)


def _parameters(function: FunctionType) -> str:
    """The parameters without annotations, which would not fit a table."""
    words, keyword = [], False
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword:
            keyword = True
            words.append("*")
        star = (
            "*"
            if parameter.kind is parameter.VAR_POSITIONAL
            else "**"
            if parameter.kind is parameter.VAR_KEYWORD
            else ""
        )
        keyword = keyword or parameter.kind is parameter.VAR_POSITIONAL
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        words.append(f"{star}{parameter.name}{default}")
    return ", ".join(words)


def _first(thing: object) -> str:
    """The first sentence of a docstring, without the marks of reStructuredText."""
    doc = textwrap.dedent(inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")
    sentence = re.split(r"(?<=\.)\s(?=[A-Z`])", doc)[0]
    return sentence.replace("``", "`")


def public_names() -> str:
    """Each name of the package, with its signature and docstring."""
    package = importlib.import_module("heliostat")
    return "\n\n".join(names.entry(name, getattr(package, name)) for name in package.__all__)


def answered_names() -> str:
    """What public functions answer with, and have no name in the package."""
    kinds = (("Engine", "engine"), ("RunHandle", "engine"), ("NodeHandle", "workflow"))
    return "\n\n".join(names.entry(name, _named(module, name)) for name, module in kinds)


def testing_names() -> str:
    """What ``heliostat.testing`` offers."""
    package = importlib.import_module("heliostat.testing")
    return "\n\n".join(
        names.entry(f"testing.{name}", getattr(package, name)) for name in package.__all__ if name != "FAULTS"
    )


def faults() -> str:
    """A table of what can go wrong in a simulation."""
    found: Mapping[str, str] = _named("testing", "FAULTS")
    return _table(("word", "what happens"), [(f"`{word}`", said) for word, said in found.items()])


# the command line


def noun(name: str) -> str:
    """A table of the commands of a noun: how each is typed, and what it does."""
    group = program().commands[name]
    rows = [(f"`{name} {verb}{_typed(command)}`", _sentence(command)) for verb, command in group.commands.items()]
    return _table(("command", "what it does"), rows)


def lone(name: str) -> str:
    """A command that has no noun."""
    command = program().commands[name]
    rows = [(f"`{name}{_typed(command)}`", _sentence(command))]
    return _table(("command", "what it does"), rows)


def options() -> str:
    """The options of a program that stand before the noun."""
    chosen = [option for option in program().params if "completion" not in option.name]
    return _table(("option", "what it says"), [(f"`{_option(option)}`", option.help) for option in chosen])


def program() -> Any:
    """The command line, as the tree of commands that it is."""
    import typer

    from heliostat.cli import app

    return typer.main.get_command(app)


def _typed(command: Any) -> str:
    """What follows a command: arguments, then options."""
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    words = [_argument(argument) for argument in shown if argument.param_type_name == "argument"]
    words += [f"[{_option(option)}]" for option in shown if option.param_type_name == "option"]
    return "".join(f" {word}" for word in words)


def _argument(argument: Any) -> str:
    word = argument.metavar or argument.name.upper()
    return (word if argument.required else f"[{word}]") + ("..." if argument.nargs < 0 else "")


def _option(option: Any) -> str:
    name = max(option.opts, key=len)
    return name if option.is_flag else f"{name} {option.metavar or name.strip('-').upper()}"


def _sentence(command: Any) -> str:
    """The first paragraph of a command's help."""
    return str(command.help).partition("\n\n")[0].replace("\n", " ")


# what was measured


def measured(part: str, bench: str) -> str:
    """A part of the page about what a benchmark has measured, from the results that are kept."""
    page = importlib.import_module(f"benchmarks.{bench}.page")
    written: str = getattr(page, part)()
    return written


# tables


def _named(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"heliostat.{module}"), name)


PIPE = r"\|"  #: within a cell


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', PIPE) for cell in line)} |" for line in lines)


MEASURED = ("table", "spread", "settings", "machine")  #: the parts of a page about what was measured
NOUNS = ("run", "task", "review", "worker", "workflow", "node", "queue", "artifact", "db", "config")

PARTS: dict[str, Callable[[], str]] = {
    "task states": lambda: states("task", "TaskState", "TASK_MOVES"),
    "run states": lambda: states("run", "RunState", "RUN_MOVES"),
    "attempt states": lambda: meanings("task", "AttemptState", "an attempt was"),
    "job states": lambda: meanings("batch", "JobState", "a job is"),
    "error tree": error_tree,
    "error table": error_table,
    "bad input": bad_input,
    "limits": limits,
    "faults": faults,
    "workflow": lambda: methods("workflow", "Workflow"),
    "context": lambda: methods("context", "Context"),
    "engine": lambda: methods("engine", "Engine"),
    "run handle": lambda: methods("engine", "RunHandle"),
    "virtual engine": lambda: methods("testing.virtual", "VirtualEngine"),
    "public names": public_names,
    "answered names": answered_names,
    "testing names": testing_names,
    "global options": options,
    **{word: partial(lone, word) for word in ("demo", "doctor")},
    **{f"{word} commands": partial(noun, word) for word in NOUNS},
    **{f"peers {part}": partial(measured, part, "peers") for part in (*MEASURED, "goals")},
    **{f"jobs {part}": partial(measured, part, "jobs") for part in MEASURED},
    **{f"heart of {word}": partial(heart, word) for word in HEARTS},
    **{f"tests of P{number}": partial(promise, number) for number in range(1, 13)},
}

#: Pictures that are drawn from the code, by their paths.
PICTURES: dict[str, Callable[[], str]] = {
    "docs/images/task-states.svg": lambda: chart(
        "The states of a task", "task", "TaskState", "TASK_MOVES", "pending ready waiting"
    ),
    "docs/images/run-states.svg": lambda: chart(
        "The states of a run", "run", "RunState", "RUN_MOVES", "pending active"
    ),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
