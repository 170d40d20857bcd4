"""The tree of errors, by who must act."""

from __future__ import annotations

import inspect

import pytest

from heliostat import errors
from heliostat.errors import HeliostatError, OperatorError, RunFailed, StoreUnavailable, nearest

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HeliostatError)]


def drawn(kind: type = HeliostatError, before: str = "") -> list[str]:
    """The tree below a class, as the docstring draws it."""
    below = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    lines = []
    for child in below:
        last = child is below[-1]
        lines += [
            f"{before}{'└' if last else '├'}── {child.__name__}",
            *drawn(child, before + ("    " if last else "│   ")),
        ]
    return lines


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    """So that whoever reads it knows all of them."""
    shown = [line.split("  ")[0] if "──" not in line else line for line in inspect.getdoc(errors).splitlines()]
    shown = [line[: line.index("──") + 3] + line.split("── ")[1].split()[0] for line in shown if "──" in line]
    assert shown == drawn()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_says_what_it_is_and_how_the_command_line_exits(kind: type[HeliostatError]) -> None:
    """Zero would be no error."""
    assert kind.__doc__
    assert 0 < kind.exit_code < 64


def test_only_what_may_pass_by_itself_is_transient() -> None:
    """A busy database may be asked again, another schema not."""
    assert [kind for kind in KINDS if issubclass(kind, OperatorError) and kind.transient] == [StoreUnavailable]


def test_a_failed_run_is_told_with_its_parts() -> None:
    """For people as a sentence, for programs as attributes."""
    error = RunFailed("0abc", "failed", "a: no light")
    assert str(error) == "run 0abc failed: a: no light"
    assert (error.run, error.state, error.reason) == ("0abc", "failed", "a: no light")


@pytest.mark.parametrize(
    ("name", "known", "clause"),
    [
        ("wether", ["terrain", "weather"], "; did you mean 'weather'?"),
        ("x", ["terrain", "weather"], "; there is terrain, weather"),
        ("x", [], ""),
        ("x", [f"n{i}" for i in range(9)], ""),
    ],
)
def test_the_nearest_name_is_offered(name: str, known: list[str], clause: str) -> None:
    """Or the few that there are, or nothing."""
    assert nearest(name, known) == clause
