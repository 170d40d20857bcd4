"""The workflow files of the Blue Sky engine: what they become, and what is refused with its line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import heliostat
from heliostat import Workflow
from heliostat.engine import Engine
from heliostat.errors import BadInput
from heliostat.importers import bluesky, document
from heliostat.importers.bluesky import Strategy
from heliostat.resources import Resources
from heliostat.run import RunState

#: As the engine's own documentation shows it, with a program that is everywhere.
MOCK = """\
executables:
    mock:
        name: 'Mock Executable'
        path: 'cp'
        remote_queue: 'pbs'
        pbs_queue: 'project_queue_name'
        pbs_processor: 'nodes=1:ppn=1'
        pbs_walltime: 'walltime=0:10:00'
run_states:
    - "PENDING"
workflows:
    mock_workflow:
        ingest: "blue_sky.strategies.mock_ingest.MockIngest"
        states:
            - key: "ingest_mock"
              label: "Ingest Mock"
              class: "blue_sky.strategies.mock_ingest.MockIngest"
              enqueued_class: "blue_sky.models.observation.Observation"
              executable: "mock"
            - key: "mock_analyze"
              label: "Mock Analyze"
              class: "blue_sky.strategies.mock_analyze.MockAnalyze"
              enqueued_class: "blue_sky.models.observation.Observation"
              executable: "mock"
              batch_size: 20
              max_retries: 3
        graph:
            - [ "ingest_mock", [ "mock_analyze" ] ]
"""

#: A program that adds to a number: {"n": 1} becomes {"n": 2}; what else there is stays.
ADD = "import json,sys; d = json.load(open(sys.argv[2])); d['n'] += 1; json.dump(d, open(sys.argv[4], 'w'))"


def loaded(text: str, tmp_path: Path, **given: Any) -> dict[str, Workflow]:
    """The workflows of a text."""
    (tmp_path / "flow.yaml").write_text(text, "utf-8")
    return bluesky.load(tmp_path / "flow.yaml", **given)


def lines(*states: str, graph: str = "", program: str = "path: cp") -> str:
    """A file with some states, each on a line, from line 4 on."""
    head = f"executables: {{x: {{{program}}}}}\nworkflows:\n  flow: {{graph: [{graph}], states: [\n"
    return head + ",\n".join(f"    {{{state}}}" for state in states) + "]}\n"


def test_a_class_that_does_nothing_here_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With its line; one for which there is a strategy is not, be it by its key or by the class."""
    named = {"ingest_mock": Strategy, "blue_sky.strategies.mock_analyze.MockAnalyze": Strategy}
    loaded(MOCK, tmp_path, strategies=named)
    assert caplog.messages == []
    loaded(MOCK, tmp_path, strategies={"ingest_mock": Strategy})
    [told] = caplog.messages
    where = f"{tmp_path / 'flow.yaml'}, line 22: workflows.mock_workflow.states[1].class"
    assert told == (
        f"{where}: blue_sky.strategies.mock_analyze.MockAnalyze is Python, which no file brings along, so the state is "
        "its program alone; load(file, {'mock_analyze': …}) gives it a strategy"
    )


def test_the_documented_file_becomes_two_nodes_and_an_edge(tmp_path: Path) -> None:
    """Queue, cores, wall time, throttle and retries are those of the file; without a throttle it is one."""
    graph = loaded(MOCK, tmp_path)["mock_workflow"].graph
    first, _ = graph
    assert [(edge.source, node.name) for node in graph for edge in node.edges] == [("ingest_mock", "mock_analyze")]
    assert first.job is not None
    assert first.job.argv == ("cp", "--input_json", "{input}", "--output_json", "{output}")
    assert (first.queue, first.resources) == ("project_queue_name", Resources(1, None, "600s"))
    assert [(node.limit, node.retry.limit) for node in graph] == [(1, 0), (20, 3)]
    assert graph.data


def test_several_parents_are_all_waited_for_whatever_the_order_of_the_lines(tmp_path: Path) -> None:
    """And children come after their parents in the graph, too."""
    text = lines("key: c, executable: x", "key: a, executable: x", "key: b, executable: x", graph="[a, [c]], [b, [c]]")
    graph = loaded(text, tmp_path)["flow"].graph
    assert [node.name for node in graph] == ["a", "b", "c"]
    assert [edge.source for edge in graph["c"].edges] == ["a", "b"]


def test_nothing_that_is_written_becomes_something_else_by_its_looks(tmp_path: Path) -> None:
    """A time without quotes is no number of base sixty, a word is no truth, a brace in an argument is a brace."""
    program = "path: cp, args: [yes, '{x}', 010], pbs_walltime: 1:30:00, environment: [A=b=c, ON=on]"
    [node] = loaded(lines("key: a, executable: x", program=program), tmp_path)["flow"].graph
    assert node.job is not None
    assert node.job.argv == ("cp", "yes", "{{x}}", "010", "--input_json", "{input}", "--output_json", "{output}")
    assert (node.job.env, node.resources) == ({"A": "b=c", "ON": "on"}, Resources(walltime="5400s"))
    assert node.queue == "default"


@pytest.mark.parametrize(
    ("words", "asks"),
    [
        ("nodes=1:ppn=8", Resources(cores=8)),
        ("vmem=6g", Resources(memory="6GiB")),
        ("ncpus=4,mem=512mb,gpus=2", Resources(cores=4, memory="512MiB", gpus=2)),
        ("select=1:ncpus=2:mem=4gb", Resources(cores=2, memory="4GiB")),
    ],
)
def test_what_pbs_is_asked_for_is_read(tmp_path: Path, words: str, asks: Resources) -> None:
    """In the ways that people write it."""
    text = lines("key: a, executable: x", program=f"path: cp, remote_queue: local, pbs_processor: '{words}'")
    assert loaded(text, tmp_path)["flow"].graph["a"].resources == asks


def test_defaults_may_be_merged_in_and_a_word_may_be_a_file_beside(tmp_path: Path) -> None:
    """What is given anew wins; ``./`` is where the document lies, as a job has a directory of its own."""
    text = "executables:\n  a: &a {path: python, args: [./a.py], name: A}\n  b: {<<: *a, args: [./b.py]}\n"
    text += "workflows: {flow: {states: [{key: s, executable: b}]}}\n"
    [node] = loaded(text, tmp_path)["flow"].graph
    assert node.job is not None
    assert node.job.argv is not None
    assert node.job.argv[:2] == ("python", str(tmp_path / "b.py"))


def test_of_several_that_are_merged_in_the_first_counts(tmp_path: Path) -> None:
    """As YAML has it for a list; nothing of the others is lost."""
    text = "executables:\n  a: &a {path: cp, args: [a]}\n  b: &b {path: mv, environment: {B: b}}\n"
    text += "  c: {<<: [*a, *b], name: C}\nworkflows: {flow: {states: [{key: s, executable: c}]}}\n"
    [node] = loaded(text, tmp_path)["flow"].graph
    assert node.job is not None
    assert node.job.argv is not None
    assert (node.job.argv[:2], node.job.env) == (("cp", "a"), {"B": "b"})


A, B = "key: a, executable: x", "key: b, executable: x"
MISTAKES = {
    "no queue": (MOCK.replace("        pbs_queue: 'project_queue_name'\n", ""),
                 "line 3: executables.mock: its remote_queue is 'pbs', so the key 'pbs_queue' is missing"),
    "no document": ("", "there is nothing in it"),
    "no YAML": ("a: [1,\nb: 2", "line 2: not YAML"),
    "a tab": ("executables:\n\tx: 1", "line 2: not YAML"),
    "twice": ("executables: {}\nworkflows: {}\nexecutables: {}", "line 3: the document: 'executables' is given twice"),
    "a list on top": ("- 1", "line 1: the document: keys and values are wanted, not a list"),
    "a key": (MOCK.replace("batch_size", "batchsize"),
              "line 25: workflows.mock_workflow.states[1].batchsize: there is no key 'batchsize' here; did you mean"),
    "an executable": (lines("key: a, executable: y"),
                      "line 4: workflows.flow.states[0].executable: there is no executable 'y'; there is x"),
    "a number": (lines("key: a, executable: x, batch_size: 0"),
                 "line 4: workflows.flow.states[0].batch_size: a whole number from 1 is wanted, not '0'"),
    "no key": (lines("executable: x"), "line 4: workflows.flow.states[0]: the key 'key' is missing"),
    "the same key": (lines(A, A), "line 5: workflows.flow.states[1]: the state 'a' is there twice"),
    "a name": (lines("key: 'a b', executable: x"), "line 4: workflows.flow.states[0]: 'a b' is no name for a node"),
    "a child": (lines(A, B, graph="[a, [c]]"), "line 3: workflows.flow.graph[0][1][0]: there is no state 'c'"),
    "a line": (lines(A, graph="[a]"), "line 3: workflows.flow.graph[0]: a line of the graph is [parent, [children]]"),
    "a circle": (lines(A, B, graph="[a, [b]], [b, [a]]"), "line 4: workflows.flow.states[0]: the graph leads from 'a'"),
    "a loop": (lines(A, graph="[a, [a]]"), "line 4: workflows.flow.states[0]: the graph leads from 'a' back to itself"),
    "an edge twice": (lines(A, B, graph="[a, [b, b]]"),
                      "line 3: workflows.flow.graph[0][1][1]: 'b' is already a child of 'a'"),
    "nowhere": (lines(A, B, "key: c, executable: x", graph="[a, [b]]"),
                "line 6: workflows.flow.states[2]: no line of the graph names the state 'c'"),
    "nothing to do": (lines("key: a"), "line 4: workflows.flow.states[0]: the state 'a' has neither an executable nor"),
    "a wall time": (lines(A, program="path: cp, pbs_walltime: soon"), "line 1: executables.x.pbs_walltime: 'soon' is"),
    "no time": (lines(A, program="path: cp, pbs_walltime: '0:00:00'"),
                "line 1: executables.x: resources: walltime=0 would never let it end; leave it out for no limit"),
    "no memory": (lines(A, program="path: cp, remote_queue: local, pbs_processor: 'mem=0gb'"),
                  "line 1: executables.x: resources: memory='0GiB' is no amount"),
    "no merge": ("executables:\n  x: {<<: [y], path: cp}",
                 "line 2: executables.x: << takes keys and values, or a list of such"),
    "no merged key": ("executables:\n  x: {<<: {[1]: 2}}", "line 2: executables.x: a key is a word"),
    "itself merged": ("a: &a\n  <<: [*a, *a]\n", "nested too deep, or too much of it stands for itself"),
    "no machine": (lines(A, program="path: cp, remote_queue: local, pbs_processor: 'nodes=n17:ppn=4'"),
                   "line 1: executables.x.pbs_processor: 'nodes=n17' cannot be read; write such as nodes=1:ppn=4"),
    "a variable": (lines(A, program="path: cp, environment: [A]"),
                   "line 1: executables.x.environment[0]: a variable is written NAME=value, not 'A'"),
    "itself": ("a: &a [*a]", "nested too deep, or too much of it stands for itself"),
    "a billion": ("a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)),
        "nested too deep, or too much of it stands for itself"),
    "two lists": (lines("key: a, executable: x, enqueued_class: A", "key: b, executable: x, enqueued_class: A",
                        "key: c, executable: x, enqueued_class: B", graph="[a, [c]], [b, [c]]"),
                  "line 6: workflows.flow.states[2]: its subjects are of 'B', of which there are lists from several"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_line_and_key(tmp_path: Path, mistake: str) -> None:
    """In one sentence."""
    text, sentence = MISTAKES[mistake]
    with pytest.raises(BadInput) as refused:
        loaded(text, tmp_path)
    said = str(refused.value)
    assert said.startswith(f"{tmp_path}/flow.yaml")
    assert sentence in said
    assert "\n" not in said


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine that runs jobs on this machine."""
    with heliostat.open("memory://", files=tmp_path / "files") as opened:
        yield opened


def test_all_of_a_file_is_kept_or_nothing(tmp_path: Path, engine: Engine) -> None:
    """Also where the second of two workflows cannot be data, for its subjects become others."""
    fine = loaded(MOCK, tmp_path)["mock_workflow"]
    parted = lines("key: a, executable: x, enqueued_class: A", "key: b, executable: x, enqueued_class: B",
                   graph="[a, [b]]")  # fmt: skip
    with pytest.raises(BadInput, match="workflow flow: b is a workflow, and only jobs and reviews can be written as"):
        engine.register_many([fine, loaded(parted, tmp_path)["flow"]])
    assert engine.store.graphs() == []
    engine.register_many([fine])
    assert [graph.name for graph in engine.store.graphs()] == ["mock_workflow"]


def adding(*states: str, graph: str) -> str:
    """A file whose program adds one."""
    return lines(*states, graph=graph, program=f"path: python3, args: ['-c', {json.dumps(ADD)}]").replace("''", "'")


class Parts(Strategy):
    """Its subject becomes as many as it says, and some of them are let in."""

    def subjects(self, subject: Any, results: Any) -> list[Any]:
        return [{"n": 10 * place, "of": subject["name"]} for place in range(subject["parts"])]


class Same(Strategy):
    """Its program gets the subject."""

    def get_input(self, subject: Any) -> Any:
        return subject


class Even(Same):
    """A guard."""

    def can_transition(self, subject: Any) -> bool | str:
        return subject["n"] % 20 == 0 or f"{subject['n']} is odd"


class Sum(Strategy):
    """What the parts gave is there as a list, of those that were let in."""

    def get_input(self, subject: Any) -> Any:
        return {"n": sum(part["n"] for part in self.results["b"] if part is not None), "of": subject["name"]}

    def on_finishing(self, subject: Any, results: Any) -> None:
        if results["n"] == 1:
            raise ValueError("nothing was let in")


STATES = (
    "key: one, executable: x, enqueued_class: m.A",
    "key: two, executable: x, enqueued_class: m.B",
    "key: three, executable: x, enqueued_class: m.B",
    "key: four, executable: x, enqueued_class: m.A",
)
SPREAD = "[one, [two]], [two, [three]], [three, [four]]"


class First(Parts):
    """A number to begin with."""

    def get_input(self, subject: Any) -> Any:
        return {"n": 0}


class Third(Strategy):
    """It goes on with what the second gave."""

    def get_input(self, subject: Any) -> Any:
        return self.results["two"]


STRATEGIES = {"one": First, "two": Even, "three": Third, "four": Sum}


def test_where_the_class_changes_each_subject_has_a_run_and_where_it_changes_back_all_are_waited_for(
    tmp_path: Path, engine: Engine
) -> None:
    """Five go in, three are let through; those that are not are skipped with the reason."""
    flow = loaded(adding(*STATES, graph=SPREAD), tmp_path, strategies=STRATEGIES)["flow"]
    assert [node.name for node in flow.graph] == ["one", "b", "four"]
    run = engine.run(flow, {"name": "plate", "parts": 5})
    assert run.state is RunState.succeeded, run.info.reason
    second = [part.tasks(node="two")[0] for part in run.parts()]
    assert sorted(str(task.state) for task in second) == ["skipped"] * 2 + ["succeeded"] * 3
    assert {task.reason for task in second if str(task.state) == "skipped"} == {"10 is odd", "30 is odd"}
    assert run.result("four") == {"n": 2 + 22 + 42 + 1, "of": "plate"}


def test_what_a_strategy_says_no_to_when_its_program_is_over_has_failed(tmp_path: Path, engine: Engine) -> None:
    """And it hears of its failure, when no try is left."""
    heard: list[tuple[Any, str]] = []

    class Picky(Sum):
        def on_failure(self, subject: Any, error: str) -> None:
            heard.append((subject["name"], error))

    flow = loaded(adding(*STATES, graph=SPREAD), tmp_path, strategies=STRATEGIES | {"four": Picky})["flow"]
    run = engine.run(flow, {"name": "plate", "parts": 0})
    assert run.state is RunState.failed
    assert re.match(
        r"four: after the job: ValueError: nothing was let in \(test_bluesky\.py:\d+ in on_finishing\)",
        run.info.reason or "",
    )
    assert [name for name, _ in heard] == ["plate"]
    assert heard[0][1].startswith("after the job: ValueError: nothing was let in")


def test_a_configuration_in_a_file_is_read_at_each_call(tmp_path: Path, engine: Engine) -> None:
    """An operator may edit it; what is no JSON fails the attempt in a sentence."""

    class Set(Strategy):
        def get_input(self, subject: Any) -> Any:
            return self.configuration

    place = tmp_path / "one.json"
    place.write_text('{"n": 1}', "utf-8")
    text = adding("key: one, executable: x", graph="")
    flow = loaded(text, tmp_path, strategies={"one": Set}, configurations={"one": place})["flow"]
    assert engine.run(flow).result() == {"n": 2}
    place.write_text('{"n": 5}', "utf-8")
    assert engine.run(flow).result() == {"n": 6}
    place.write_text("{", "utf-8")
    assert "no configuration can be read" in (engine.run(flow).info.reason or "")


def test_a_state_without_a_program_is_its_strategy_alone(tmp_path: Path, engine: Engine) -> None:
    """As a gate is; what it lets through goes on."""

    class Gate(Same):
        def can_transition(self, subject: Any) -> bool | str:
            return bool(subject["n"])

    text = adding("key: gate", "key: one, executable: x", graph="[gate, [one]]")
    flow = loaded(text, tmp_path, strategies={"gate": Gate, "one": Same})["flow"]
    assert engine.run(flow, {"n": 1}).result("one") == {"n": 2}
    assert engine.run(flow, {"n": 0}).tasks(node="one")[0].reason is not None


class AsGoodAsTrue:
    """Such as NumPy's."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __bool__(self) -> bool:
        return self.value > 0


@pytest.mark.parametrize("kind", [bool, int, AsGoodAsTrue])
def test_a_guard_lets_pass_by_what_is_as_good_as_true(tmp_path: Path, engine: Engine, kind: Any) -> None:
    """Comparing numbers of NumPy's gives such; all else skips, and says a sentence."""

    class Gate(Same):
        def can_transition(self, subject: Any) -> bool | str:
            return kind(subject)  # type: ignore[no-any-return]

    flow = loaded(lines("key: gate", program="path: cp"), tmp_path, strategies={"gate": Gate})["flow"]
    assert engine.run(flow, 1).tasks()[0].state == "succeeded"
    [task] = engine.run(flow, 0).tasks()
    assert (task.state, task.reason) == ("skipped", "its guard does not let it pass")


def test_a_strategy_may_be_known_by_the_class_that_the_file_names(tmp_path: Path) -> None:
    """One of a state that is not there is refused."""
    flow = loaded(MOCK, tmp_path, strategies={"blue_sky.strategies.mock_analyze.MockAnalyze": Same})["mock_workflow"]
    assert [node.job.calls for node in flow.graph if node.job] == [(), ("prepare", "finish")]
    with pytest.raises(BadInput, match="strategies: there is no state 'mock_analyse'; did you mean 'mock_analyze'"):
        loaded(MOCK, tmp_path, strategies={"mock_analyse": Same})


def test_a_subject_comes_in_once_however_often_it_is_sent(tmp_path: Path, engine: Engine) -> None:
    """With another message it is another run of the same subject."""
    flow = loaded(adding("key: one, executable: x", graph=""), tmp_path, strategies={"one": Same})["flow"]
    first, again = (bluesky.ingest(engine, flow, {"n": 1}, subject="plate 7") for _ in range(2))
    other = bluesky.ingest(engine, flow, {"n": 2}, subject="plate 7")
    assert first == again == {"workflow": "flow", "subject": "plate 7", "run": first["run"], "state": "active"}
    assert other["run"] != first["run"]
    assert len(engine.runs(flow)) == 2


def test_of_a_subject_one_run_at_most_is_under_way_where_it_is_replaced(tmp_path: Path, engine: Engine) -> None:
    """The newest message counts; the same one again is the same run."""
    flow = loaded(adding("key: one, executable: x", graph=""), tmp_path, strategies={"one": Same})["flow"]
    first = bluesky.ingest(engine, flow, {"n": 1}, subject="plate 7", replace=True)
    second, again = (bluesky.ingest(engine, flow, {"n": 2}, subject="plate 7", replace=True) for _ in range(2))
    other = bluesky.ingest(engine, flow, {"n": 2}, subject="plate 8", replace=True)
    assert second == again
    assert {run.id for run in engine.runs(flow, RunState.active)} == {second["run"], other["run"]}
    assert engine.find(first["run"]).info.reason == f"replaced by run {second['run']}"


def test_a_file_needs_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says which extra brings it."""
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(BadInput, match=re.escape("pip install 'CHECKOUT[bluesky]'")):
        document.read("a: 1", "flow.yaml")
