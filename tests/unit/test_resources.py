"""Resources: what may be said, how it grows, and its JSON form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heliostat import Resources, Retry, Workflow
from heliostat.allotment import behind
from heliostat.errors import BadInput, DefinitionError
from heliostat.graph import Graph
from heliostat.resources import MOST_BYTES, amount, span
from heliostat.task import ENDINGS, AttemptState

OUT, LATE, FAILED = AttemptState.out_of_memory, AttemptState.timed_out, AttemptState.failed
ALL = Resources(
    cores=4,
    memory="2GiB",
    walltime="30m",
    gpus=1,
    nodes=2,
    partition="long,short",
    account="tiles@imaging",
    directives=("--constraint=avx512", "--mail-type=NONE"),
    memory_factor=2,
    walltime_factor=1.5,
)


def test_its_json_form_is_what_does_not_go_without_saying() -> None:
    """And is read back equal."""
    assert Resources().to_json() == {}
    assert Resources.from_json({}) == Resources()
    assert Resources(memory="1GiB").to_json() == {"memory": "1GiB"}
    assert Resources.from_json(ALL.to_json()) == ALL
    assert ALL.to_json()["directives"] == ["--constraint=avx512", "--mail-type=NONE"]


def test_people_read_it_in_a_line() -> None:
    """What is not said is not told, but for the cores."""
    assert str(Resources()) == "1 core"
    assert str(ALL) == (
        "2 nodes, 4 cores, 2GiB (×2), 30m (×1.5), 1 GPU, partition long,short, account tiles@imaging, "
        "--constraint=avx512, --mail-type=NONE"
    )


def test_a_walltime_is_shown_in_one_form_however_it_was_said() -> None:
    """So that two of them can be compared."""
    assert {str(Resources(walltime=said)) for said in ("600s", "10m", 600)} == {"1 core, 10m"}


def test_a_walltime_may_be_any_duration_and_is_text() -> None:
    """So that it is data; what was text stays as it was."""
    assert Resources(walltime="90m").walltime == "90m"
    assert Resources(walltime=timedelta(hours=1, minutes=30)).walltime == "1h30m"
    assert Resources(walltime=1800).walltime == "30m"
    assert Resources(walltime=1800).walltime_seconds == 1800
    assert Resources().walltime_seconds is None


def test_memory_grows_with_each_attempt_that_ran_out_of_it() -> None:
    """And with no other; the same for the time."""
    asks = Resources(memory="2GiB", walltime="30m", memory_factor=2, walltime_factor=3)
    assert asks.after([]) == Resources(memory="2GiB", walltime="30m")
    assert asks.after([OUT]).memory == "4GiB"
    assert asks.after([OUT]).walltime == "30m"
    assert asks.after([OUT, LATE, OUT, FAILED]).memory == "8GiB"
    assert asks.after([OUT, LATE, OUT, FAILED]).walltime == "1h30m"
    assert Resources(memory="2GiB", walltime="30m").after([OUT, LATE]).to_json() == {
        "memory": "2GiB",
        "walltime": "30m",
    }


@given(st.integers(1, MOST_BYTES), st.floats(1, 1000), st.lists(st.sampled_from(sorted(ENDINGS)), max_size=400))
@example((1 << 54) + 1, 1.0, [])
@example((1 << 54) + 1, 1.0, [OUT])
@example(1, 1000.0, [OUT, LATE] * 200)
def test_whatever_happened_the_next_attempt_is_given_what_can_be_said(
    size: int, factor: float, endings: list[AttemptState]
) -> None:
    """Never less than the one before, and never more than there may be."""
    asks = Resources(memory=f"{size}B", walltime="1d", memory_factor=factor, walltime_factor=factor)
    grown = asks.after(endings)
    assert Resources.from_json(grown.to_json()) == grown
    assert size <= (grown.memory_bytes or 0) <= MOST_BYTES + (1 << 20)


@pytest.mark.parametrize(
    ("size", "words"), [(1, "1MiB"), (1 << 20, "1MiB"), (3 << 29, "1536MiB"), (2 << 30, "2GiB"), (1 << 90, "1024PiB")]
)
def test_an_amount_is_said_in_the_largest_unit_that_is_exact(size: int, words: str) -> None:
    """Rounded up to whole mebibytes, which every batch system knows."""
    assert amount(size) == words


@pytest.mark.parametrize(("seconds", "words"), [(0, "0s"), (0.2, "1s"), (90, "1m30s"), (90_000, "1d1h")])
def test_a_span_is_said_in_all_units(seconds: float, words: str) -> None:
    """Rounded up to whole seconds."""
    assert span(seconds) == words


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"cores": 0}, "resources: cores is a whole number from 1, not 0"),
    ({"cores": True}, "resources: cores is a whole number from 1, not True"),
    ({"nodes": 1.5}, "resources: nodes is a whole number from 1, not 1.5"),
    ({"gpus": -1}, "resources: gpus is a whole number from 0, not -1"),
    ({"cores": 10**30}, "resources: cores is a whole number from 1, not 1000"),
    ({"memory": 2048}, "resources: memory=2048 is no amount; write \"512MiB\" or \"2GiB\""),
    ({"memory": "0GiB"}, "resources: memory='0GiB' is no amount"),
    ({"memory": "9" * 20 + "PiB"}, "is no amount"),
    ({"memory": "2GiB\n#SBATCH --x"}, "is no amount"),
    ({"walltime": "soon"}, "resources: walltime: 'soon' is no duration"),
    ({"walltime": 0}, "resources: walltime=0 would never let it end; leave it out for no limit"),
    ({"partition": "long\n#SBATCH --reservation=x"}, "partition='long\\n#SBATC...reservation=x' is no name"),
    ({"partition": "--exclusive"}, "resources: partition='--exclusive' is no name"),
    ({"account": "a b"}, "resources: account='a b' is no name; use letters, digits and _ . , : @ + / -"),
    ({"account": 5}, "resources: account=5 is no name"),
    ({"directives": "--exclusive"}, "resources: directives= takes a list of options, one line each and without"),
    ({"directives": ["--a\nrm -rf ~"]}, "resources: directives= takes a list of options, one line each"),
    ({"directives": ["#SBATCH --exclusive"]}, 'and without "#SBATCH" or "#PBS"'),
    ({"directives": [""]}, "resources: directives= takes a list of options"),
    ({"memory_factor": 2}, "resources: memory_factor=2 has nothing to begin with; say memory= too"),
    ({"walltime_factor": 1.5}, "resources: walltime_factor=1.5 has nothing to begin with; say walltime= too"),
    ({"memory": "1GiB", "memory_factor": 0.5}, "resources: memory_factor is a number from 1 to 1,000, not 0.5"),
    ({"memory": "1GiB", "memory_factor": float("nan")}, "memory_factor is a number from 1 to 1,000, not nan"),
    ({"memory": "1GiB", "memory_factor": "2"}, "resources: memory_factor is a number from 1 to 1,000, not '2'"),
]  # fmt: skip


@pytest.mark.parametrize(("given_", "sentence"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_cannot_be_meant_is_refused(given_: dict[str, Any], sentence: str) -> None:
    """Also what would be another line of a job's script."""
    with pytest.raises(DefinitionError) as refused:
        Resources(**given_)
    assert sentence in str(refused.value)


def test_another_form_is_refused_by_its_place() -> None:
    """A field that there is not, and what is no object."""
    with pytest.raises(BadInput, match="resources: there is no field 'core'; did you mean 'cores'"):
        Resources.from_json({"core": 1})
    with pytest.raises(BadInput, match=r"nodes\[3\].resources: an object is wanted, not \[\]"):
        Resources.from_json([], "nodes[3].resources")


# functions


def more(attempt: int, ended: AttemptState | None) -> Resources:
    """Give twice as much after each that ran out of memory."""
    return Resources(memory=f"{2**attempt}GiB") if ended in (None, OUT) else Resources(memory="1GiB")


def of(resources: Any) -> Workflow:
    """Make a workflow of one job with these resources."""
    flow = Workflow("flow")
    flow.job("fit", "true", resources=resources)
    return flow


def test_a_function_says_at_its_definition_what_the_first_attempt_is_given() -> None:
    """So it is seen before anything runs; the function is kept beside those of the nodes."""
    flow = of(more)
    assert flow.graph["fit"].resources == Resources(memory="2GiB")
    assert flow.graph["fit"].adapts
    assert flow.signatures[behind("fit")].function is more
    assert Graph.from_json(flow.graph.to_json()) == flow.graph


def test_a_function_of_the_workflow_holds_for_its_functions_and_jobs() -> None:
    """A node's own wins, and what has no resources has none of it."""
    flow = Workflow("flow", resources=more)
    flow.node(lambda: 1, name="a")
    flow.job("b", "true", resources=Resources(cores=2))
    flow.review("c", choices=("yes",), after="b")
    assert flow.graph["a"].adapts
    assert flow.graph["b"].resources == Resources(cores=2)
    assert not flow.graph["b"].adapts
    assert flow.graph["c"].resources is None
    assert set(flow.signatures) == {"a", behind("a")}


def nothing(attempt: int, ended: AttemptState | None) -> Any:
    """Give nothing."""


async def later(attempt: int, ended: AttemptState | None) -> Resources:
    """Give it later."""
    return Resources()


FUNCTIONS: list[tuple[Callable[..., object], str]] = [
    (dict[str, int], "job fit: resources= is a function such as `def more(attempt: int, ended: AttemptState | None)"),
    (Resources, "-> Resources`: a class or a coroutine is none"),
    (lambda: 3, "job fit: resources= is a function such as"),
    (lambda attempt: Resources(), "job fit: resources= is a function such as"),
    (lambda attempt, ended, third: Resources(), "job fit: resources= is a function such as"),
    (later, "a class or a coroutine is none"),
    (nothing, "job fit: resources= of the first attempt: its function gives a Resources(cores=…, memory=…), not None"),
    (lambda attempt, ended: Resources(cores=attempt // 2), "of the first attempt: DefinitionError: resources: cores"),
    (lambda attempt, ended: 1 // 0, "job fit: resources= of the first attempt: ZeroDivisionError: integer division"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "sentence"), FUNCTIONS)
def test_a_function_that_cannot_work_is_refused_at_its_definition(
    function: Callable[..., object], sentence: str
) -> None:
    """And leaves no node behind."""
    flow = Workflow("flow")
    with pytest.raises(DefinitionError) as refused:
        flow.job("fit", "true", resources=function)  # type: ignore[arg-type]
    assert sentence in str(refused.value)
    assert not flow.graph.nodes
    assert not flow.signatures


def test_a_function_is_no_data() -> None:
    """Factors are, and say the same for what is usual."""
    with pytest.raises(BadInput, match="resources= of fit is a function, which the JSON form cannot say; say memory"):
        of(more).to_json()
    flow = of(Resources(memory="2GiB", memory_factor=2, directives=["--exclusive"]))  # type: ignore[arg-type]
    assert Workflow.from_json(flow.to_json()).graph["fit"] == flow.graph["fit"]


# which endings are worth another try


def test_a_policy_may_name_how_attempts_end() -> None:
    """Where it names none, every ending is worth another try, as every job's failure was before there were names."""
    assert all(Retry(1, on=(OSError,)).covers(ending) for ending in ENDINGS)
    policy = Retry(1, on=("out_of_memory", "timed_out", OSError))
    assert {ending for ending in ENDINGS if policy.covers(ending)} == {OUT, LATE}
    assert policy.covers(OSError())
    assert policy.covers(MemoryError())
    assert not policy.covers(ValueError())
    assert not Retry(1, on=("timed_out",)).covers(MemoryError())
    assert Retry(limit=1, on=list(policy.on)) == policy  # type: ignore[arg-type]


def test_an_ending_that_is_none_is_refused_with_those_that_there_are() -> None:
    """An attempt that was snoozed or rescued has not failed."""
    with pytest.raises(DefinitionError, match="did you mean 'out_of_memory'"):
        Retry(1, on=("out_of_memry",))
    with pytest.raises(DefinitionError, match="on= names 'rescued', which is no exception of Python's own"):
        Retry(1, on=("rescued",))
