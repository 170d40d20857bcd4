"""Jobs: templates, quoting, outputs, states and observations."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from heliostat.batch import JOB_MOVES, JobState, Observation, later
from heliostat.errors import BadInput, DefinitionError
from heliostat.job import JobSpec, Placeholder, Value, names, parse, render, uses

HOSTILE = [
    "'; touch pwned; #",
    '"; touch pwned; "',
    "$(touch pwned)",
    "`touch pwned`",
    "a\ntouch pwned\n",
    "\\",
    "'",
    "'\"'\"'",
    "~",
    "*",
    "",
    " ",
    "\t",
    "A=1",
    "if",
    "-n",
    "naïve 🛰 日本",
    "{message}",
    "%s",
    "!!",
    "$'\\n'",
    "a[$(touch pwned)]",
]

SHELLS = [shell for shell in ("dash", "bash", "busybox sh", "mksh", "zsh") if shutil.which(shell.split()[0])]

# What a command line or a file name can hold: any text without NUL and lone surrogates.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def run(command: str | tuple[str, ...], directory: Path, shell: str = "sh") -> list[str]:
    """Run a command as a job would be and give back the words that it printed, each ended by NUL."""
    arguments = [*shell.split(), "-c", command] if isinstance(command, str) else list(command)
    done = subprocess.run(arguments, cwd=directory, capture_output=True, check=True, timeout=200)
    return done.stdout.decode().split("\0")[:-1]


# --- templates


def test_a_template_is_parsed_into_text_and_placeholders() -> None:
    """Placeholders name a value and perhaps fields of it; everything else stays as it is."""
    found = parse("simulate --dem {terrain} --days {message.days}\n")
    assert found == (
        "simulate --dem ",
        Placeholder(("terrain",)),
        " --days ",
        Placeholder(("message", "days")),
        "\n",
    )


def test_doubled_braces_are_braces() -> None:
    """``{{`` and ``}}`` are what the shell and awk see as braces, inside quotes or not."""
    assert parse("awk '{{print $1}}' {file} ${{HOME}}") == ("awk '{print $1}' ", Placeholder(("file",)), " ${HOME}")


@pytest.mark.parametrize(
    ("template", "spot", "what"),
    [
        ("run {", "column 5", "a lone {"),
        ("run }", "column 5", "a lone }"),
        ("run {terrain", "column 5", "a lone {"),
        ("run {}", "column 5", "{} is no placeholder"),
        ("run { x }", "column 5", "{ x } is no placeholder"),
        ("run {x.}", "column 5", "{x.} is no placeholder"),
        ("run {x!r}", "column 5", "{x!r} is no placeholder"),
        ("run {x:03d}", "column 5", "{x:03d} is no placeholder"),
        ("run {0}", "column 5", "{0} is no placeholder"),
        ("one\ntwo {x y}", "line 2, column 5", "{x y} is no placeholder"),
        ("run {input.days}", "column 5", "input is a file"),
        ("run \0", "column 5", "NUL"),
    ],
)
def test_a_brace_that_is_no_placeholder_is_refused_with_its_spot(template: str, spot: str, what: str) -> None:
    """The author learns the line and column, and what would be right."""
    with pytest.raises(DefinitionError) as refused:
        parse(template)
    assert f"command, {spot}: " in str(refused.value)
    assert what in str(refused.value)


@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("echo '{x}'", "inside quotes"),
        ("echo 'a\n{x}'", "inside quotes"),
        ('echo "{x}"', "inside quotes"),
        ('echo "a \\" {x}"', "inside quotes"),
        ('echo "$(date) {x}"', "inside quotes"),
        ("echo \"$(echo '{x}')\"", "inside quotes"),
        ("echo `cat {x}`", "write $( )"),
        ('echo "`cat {x}`"', "write $( )"),
        ("echo \\{x}", "backslash"),
        ("echo ${x}", "write ${{NAME}}"),
        ("echo ${{y:-{x}}}", "after '${'"),
        ("echo $(({x} + 1))", "after '$(('"),
        ("(({x} > 1))", "after '(('"),
        ("[[ {x} -eq 1 ]]", "after '[['"),
        ("a[{x}]=1", "after '['"),
        ("a[b[0]={x}", "after '['"),
        ("a=({x})", "after '=('"),
        ("echo 1 >&{x}", "after '>&'"),
        ("echo $[{x}]", "after '$['"),
        ("echo $'a' {x}", 'after "$\'"'),
        ("true # {x}", "in a comment"),
        ("true;#{x}", "in a comment"),
        ("(true)#{x}", "in a comment"),
        ("true \\\n# {x}", "in a comment"),
        ("cat <<END\n{x}\nEND", "after '<<'"),
        ("cat <<END > {x}\nEND", "after '<<'"),
        ("cat <<< {x}", "after '<<'"),
        ('echo "$(case a in a) echo "{x}";; esac)"', "after 'case'"),
        ("echo $(true # it's\n) {x}", 'after "# it\'s"'),
        ("echo `echo \\`date\\`` {x}", "after '`echo"),
    ],
)
def test_a_placeholder_where_quoting_is_not_safe_is_refused(template: str, what: str) -> None:
    """Wherever the shell does not read a quoted word as one word, data could become syntax."""
    with pytest.raises(DefinitionError) as refused:
        JobSpec(shell=template)
    assert "{x}" in str(refused.value)
    assert what in str(refused.value)


@pytest.mark.parametrize(
    "template",
    [
        "printf '%s\\0' {x}",
        "printf '%s\\0' {x} # it's here",
        "# it's here\nprintf '%s\\0' {x}",
        "printf '%s\\0' $(: \"(\" 'b') {x}",
        "printf '%s\\0' \"$(printf %s {x})\"",
        "case a in a) printf '%s\\0' {x};; esac",
        "(printf '%s\\0' {x})",
        "for i in {x}; do printf '%s\\0' \"$i\"; done",
        "if true; then printf '%s\\0' {x}; fi 2>&1",
        "a={x}; printf '%s\\0' \"$a\"",
        "printf '%s\\0' \\\n {x}",
        "printf '%s\\0' ${{NOTHING:-}} $((1 + 1)) {x} | tail -z -n 1",
        "echo $# a#b >/dev/null; printf '%s\\0' {x}",
        "{{ printf '%s\\0' {x}; }} 2>&1",
        "printf '%s\\0' {x} && cat <<END >/dev/null\nit's\nEND",
        ": $(:)#it; printf '%s\\0' {x}",
        "`true`printf '%s\\0' {x}",
        "true tile[0-9].tif; printf '%s\\0' {x}",
    ],
)
@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_accepted_keeps_data_data(template: str, shell: str, tmp_path: Path) -> None:
    """Hostile values come out as they went in, in each shell of this machine, and do nothing."""
    value = "".join(HOSTILE)
    command = render(JobSpec(shell=template), {"x": value})
    assert run(command, tmp_path, shell) == [value]
    assert list(tmp_path.iterdir()) == []


def test_a_quote_that_is_never_closed_is_refused() -> None:
    """The shell would refuse it at run time; the author learns it at definition."""
    for template in ("echo 'a", 'echo "a', "echo $(a", "echo `a", "(echo", "echo '"):
        with pytest.raises(DefinitionError, match="never closed"):
            JobSpec(shell=template)


def test_quotes_mean_nothing_in_a_list_of_arguments() -> None:
    """Without a shell there is nothing to quote, and so nothing to refuse."""
    spec = JobSpec(argv=("say", "'{x}'", '"{x}', "${x}", "# {x}"))
    assert render(spec, {"x": "it's"}) == ("say", "'it's'", "\"it's", "$it's", "# it's")


def test_names_are_the_nodes_that_a_job_waits_for() -> None:
    """Each node once, in order; the message and the job's own files are no nodes."""
    spec = JobSpec(shell="run {b} {a.field} {b} {message.days} {input} {output}")
    assert names(spec) == ("b", "a")
    assert uses(spec, "message")
    assert not uses(spec, "files")
    assert names(JobSpec(argv=("run", "--in={c}", "{files}"))) == ("c",)
    assert names(JobSpec()) == ()


# --- rendering


@given(st.lists(texts, min_size=1, max_size=20))
@settings(max_examples=25)
def test_any_texts_come_out_of_the_shell_as_they_went_in(values: list[str]) -> None:
    """One placeholder is one word, a list is its items as words, whatever they hold."""
    directory = Path("/")
    spec = JobSpec(shell="printf '%s\\0' {one} {many} a{one}b")
    first = values[0]
    command = render(spec, {"one": first, "many": list(values)})
    assert run(command, directory) == [first, *values, f"a{first}b"]
    spec = JobSpec(argv=("printf", "%s\\0", "{one}", "{many}", "a{one}b"))
    assert run(render(spec, {"one": first, "many": list(values)}), directory) == [first, *values, f"a{first}b"]


PIECES = [
    *"'\"\\`#;|&()<>[]=!*~$\n ", "$(", "$((", "))", "{{", "}}", "${{A}}", "${{A:-", "<<E\n", "\nE\n", "<<<", ">&",
    "2>&1", " # ", "\\\n", "$'", "$#", "$[", "[[ ", " ]]", "a[", "x=(", "a", "x=", "echo ", "case a in a)",
    ";; esac", "if :; then ", "; fi", "for i in ", "; do :; done", "f() ", "{x}", " {x} ",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.lists(st.sampled_from(PIECES), max_size=4))
@settings(max_examples=100)
def test_no_command_that_is_accepted_lets_a_value_act(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], after: list[str]
) -> None:
    """However a command is put together: it is refused at definition, or a value in it does nothing."""
    try:
        spec = JobSpec(shell="".join([*before, "{x}", *after]))
    except DefinitionError:
        return
    directory = tmp_path_factory.mktemp("shell")
    command = render(spec, {"x": "".join(HOSTILE)})
    for shell in SHELLS:
        arguments = [*shell.split(), "-c", str(command)]
        subprocess.run(arguments, cwd=directory, capture_output=True, check=False, timeout=99, stdin=subprocess.DEVNULL)
        assert not (directory / "pwned").exists(), shell


@pytest.mark.parametrize(
    ("value", "word"),
    [(3, "3"), (0.1, "0.1"), (True, "true"), ("", ""), (PurePosixPath("/a b"), "/a b"), (2**62, str(2**62))],
)
def test_numbers_booleans_and_paths_are_words(value: Value, word: str) -> None:
    """Numbers and booleans are written as JSON writes them."""
    assert render(JobSpec(shell="run {x}"), {"x": value}) == f"run '{word}'"
    assert render(JobSpec(argv=("run", "{x}")), {"x": value}) == ("run", word)


def test_a_word_is_quoted_even_where_it_looks_harmless(tmp_path: Path) -> None:
    """A bare 2 before > would be a file descriptor, a bare A=1 in front an assignment, a bare if a keyword."""
    assert run(render(JobSpec(shell="printf '%s\\0' {x}>out; cat out"), {"x": 2}), tmp_path) == ["2"]
    with pytest.raises(subprocess.CalledProcessError):
        run(render(JobSpec(shell="{x} printf '%s\\0' a"), {"x": "A=1"}), tmp_path)


def test_fields_and_items_are_reached_by_their_path() -> None:
    """Dots lead into objects by name and into lists by number."""
    values: dict[str, Value] = {"message": {"days": [1, {"n": "two"}], "größe": 7}}
    assert render(JobSpec(argv=("{message.days.1.n}", "{message.größe}")), values) == ("two", "7")


def test_a_list_that_stands_alone_is_several_words() -> None:
    """An empty list is no word at all."""
    assert render(JobSpec(shell="run {x} -o {x}"), {"x": ["a b", 1]}) == "run 'a b' '1' -o 'a b' '1'"
    assert render(JobSpec(argv=("run", "{x}", "end")), {"x": []}) == ("run", "end")


@pytest.mark.parametrize(
    ("template", "values", "message"),
    [
        ("{x}", {}, "{x}: there is no value 'x'"),
        ("{terrian}", {"terrain": 1}, "did you mean 'terrain'?"),
        ("{x}", {"x": None}, "{x} is None"),
        ("{x}", {"x": {"a": 1}}, "{x} is an object; name one of its fields, such as {x.name}"),
        ("{x.b}", {"x": {"a": 1}}, "{x.b}: x has no field 'b'; there is a"),
        ("{x.a.b}", {"x": {"a": 1}}, "{x.a.b}: x.a has no field 'b'"),
        ("{x.2}", {"x": [1, 2]}, "{x.2}: x has no field '2'"),
        ("{x}", {"x": [1, None]}, "{x}[1] is None"),
        ("{x}", {"x": [[1]]}, "{x}[0] is a list within a list"),
        ("--in={x}", {"x": [1]}, "{x} is a list and glued to other text"),
        ("{x}", {"x": float("nan")}, "{x}: nan is not JSON"),
        ("{x}", {"x": "a\0b"}, "{x}: a command cannot hold a NUL"),
    ],
)
def test_a_value_that_is_no_word_is_refused(template: str, values: dict[str, Value], message: str) -> None:
    """The message names the placeholder and what is wrong with its value."""
    for spec in (JobSpec(shell=template), JobSpec(argv=(template,))):
        with pytest.raises(BadInput) as refused:
            render(spec, values)
        assert message in str(refused.value)


def test_the_jobs_own_files_have_names_unless_others_are_given() -> None:
    """``{input}``, ``{output}`` and ``{files}`` lie in the job's directory, where it runs."""
    spec = JobSpec(argv=("{input}", "{output}", "{files}"))
    assert render(spec, {}) == ("input.json", "output.json", "files")
    assert render(spec, {"input": "/tmp/i.json"}) == ("/tmp/i.json", "output.json", "files")


def test_a_job_without_template_cannot_be_rendered() -> None:
    """A function gives its command."""
    with pytest.raises(DefinitionError, match="a function gives its command"):
        render(JobSpec(), {})


# --- specs


def test_a_spec_has_a_json_form() -> None:
    """It comes back equal from JSON, as part of the graph."""
    specs = [
        JobSpec(shell="run {x}", outputs={"a": "a.tif", "b": "b/*"}, env={"A": "1"}, image="tools:1"),
        JobSpec(argv=("run", "{x}"), outputs="*.tif"),
        JobSpec(),
    ]
    adapter = TypeAdapter(JobSpec)
    for spec in specs:
        assert adapter.validate_python(json.loads(json.dumps(asdict(spec)))) == spec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shell": "a", "argv": ("a",)}, "one command"),
        ({"shell": " \n"}, "empty"),
        ({"argv": ()}, "empty"),
        ({"argv": ("run", "{")}, "a lone {"),
        ({"outputs": "/etc/passwd"}, "leads out"),
        ({"outputs": "../x"}, "leads out"),
        ({"outputs": {"a": "b/../../x"}}, "outputs a: 'b/../../x' leads out"),
        ({"outputs": ""}, "names no file"),
        ({"outputs": "maps/"}, "names no file"),
        ({"outputs": "maps/."}, "names no file"),
        ({"outputs": "a\0"}, "names no file"),
        ({"outputs": "maps/**"}, "write '**/*'"),
        ({"outputs": "maps/a**/x"}, "write '**/*'"),
        ({"outputs": {"a.b": "x"}}, "'a.b' is no name"),
        ({"outputs": {"": "x"}}, "'' is no name"),
        ({"env": {"A-B": "1"}}, "'A-B' is no environment variable"),
        ({"env": {"A": "\0"}}, "env: A: a NUL character cannot be stored"),
        ({"env": {"A": 5}}, "env: A is 5; the value of a variable is a string"),
        ({"env": {5: "A"}}, "5 is no environment variable"),
        ({"env": {"A": "\ud800"}}, "env: A: a lone surrogate is not Unicode text"),
    ],
)
def test_a_spec_that_cannot_work_is_refused_at_definition(options: dict[str, object], message: str) -> None:
    """The author learns it at the line that says so, and not after the job has run."""
    with pytest.raises(DefinitionError) as refused:
        JobSpec(**options)  # type: ignore[arg-type]
    assert message in str(refused.value)


# --- states


def test_states_only_move_on() -> None:
    """From no state is there a way back to it."""
    order = [JobState.unknown, JobState.submitted, JobState.running, JobState.lost, JobState.ended]
    assert set(JOB_MOVES) == set(order) == set(JobState)
    for old, new in itertools.product(order, repeat=2):
        assert (new in JOB_MOVES[old]) == (order.index(old) < order.index(new))


@given(st.lists(st.sampled_from(JobState), max_size=6), st.randoms())
@settings(max_examples=50)
def test_observations_count_alike_in_any_order(states: list[JobState], chance: random.Random) -> None:
    """A late or repeated observation never moves a job backwards."""

    def outcome(states: list[JobState]) -> JobState:
        seen = Observation(JobState.unknown)
        for state in states:
            seen = later(seen, Observation(state))
        return seen.state

    shuffled = list(states)
    chance.shuffle(shuffled)
    assert outcome(states) == outcome(shuffled) == outcome(states + shuffled)


def test_an_unknown_job_keeps_what_was_known() -> None:
    """Not to see a job says nothing about it."""
    running = Observation(JobState.running)
    assert later(running, Observation(JobState.unknown, reason="no answer")) is running


def test_the_reason_for_waiting_may_change_and_an_ending_may_not() -> None:
    """Of two observations of the same state the newer one counts, unless it is an ending."""
    assert later(Observation(JobState.submitted, reason="a"), Observation(JobState.submitted, reason="b")).reason == "b"
    ended = Observation(JobState.ended, 0)
    assert later(ended, Observation(JobState.ended, 1)) is ended


def test_an_exit_code_disproves_a_loss() -> None:
    """A job is lost by a conclusion from silence, and ended by what it left."""
    assert later(Observation(JobState.lost), Observation(JobState.ended, 0)).exit_code == 0
    assert later(Observation(JobState.ended, 0), Observation(JobState.lost)).exit_code == 0
