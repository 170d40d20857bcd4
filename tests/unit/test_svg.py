"""Pictures of graphs: right before a run and after, safe for any text, the same every time, and quick."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest

from examples.wildfire import fire as wildfire
from heliostat import Workflow
from heliostat.exporters.dot import dot
from heliostat.exporters.lettering import measured
from heliostat.exporters.mermaid import mermaid
from heliostat.exporters.picture import duration, headline
from heliostat.exporters.svg import svg
from heliostat.graph import Arity, Edge, Graph, Kind, Node, On
from heliostat.task import TaskState

S = TaskState
SPACE = "{http://www.w3.org/2000/svg}"

FIRE = Graph(
    "wildfire",
    (
        Node("terrain"),
        Node("weather"),
        Node("spread", kind=Kind.job, edges=(Edge("terrain"), Edge("weather")), queue="cluster"),
        Node("picture", edges=(Edge("spread"), Edge("weather", "weather", optional=True))),
        Node("publish", edges=(Edge("picture", choice="publish"),)),
        Node("report", edges=(Edge("spread", on=On.failed),)),
        Node("goodbye", epilogue=On.ended),
    ),
)
SORT = Graph(
    "quicksort",
    (
        Node("begin", Arity.handler, entry=True),
        Node("sort", Arity.handler),
        Node("merge", Arity.handler, serial=True),
    ),
)
TILES = Graph("tiles", (Node("split"), Node("render", Arity.each, edges=(Edge("split", "tile", each=True),))))

HOSTILE = [
    "<script>alert(1)</script>",
    "a\"b'c&d",
    "]]>",
    "x\0\x1b[31m\u202ey",
    "\ud800",
    "日本語の名前",
    "w" * 400,
    "{{x}}",
]


def elements(picture: str) -> Iterator[ET.Element]:
    """All elements of a picture, which is well-formed."""
    return ET.fromstring(picture).iter()


def texts(picture: str) -> list[str]:
    """What can be read in a picture."""
    return ["".join(element.itertext()) for element in elements(picture) if element.tag == f"{SPACE}text"]


def cards(picture: str) -> dict[str, ET.Element]:
    """The groups that are nodes, by the name that stands in each."""
    found = {}
    for element in elements(picture):
        if element.get("role") == "graphics-symbol":
            name = next(text for text in element.iter(f"{SPACE}text") if text.get("class") == "hs-x")
            found["".join(name.itertext())] = element
    return found


def looks(picture: str, kind: str = "hs-e") -> list[str]:
    """The classes of all lines (hs-e), heads (hs-a) or labels (hs-k)."""
    classes = [element.get("class", "").split() for element in elements(picture)]
    return [" ".join(word for word in found if word != kind) for found in classes if kind in found]


def test_a_graph_before_a_run_shows_what_its_nodes_are() -> None:
    """Each node has a card with its name, what it is, and no state."""
    picture = svg(FIRE)
    assert list(cards(picture)) == [node.name for node in FIRE]
    assert {card.get("class") for card in cards(picture).values()} == {"hs-new"}
    assert "job · cluster" in texts(picture)
    assert FIRE.label.split()[1] in "".join(texts(picture))


def test_a_graph_after_a_run_shows_states_by_colour_and_glyph() -> None:
    """A state is a class that colours the card, a mark on it, a word in it and in its label for who cannot see."""
    picture = svg(FIRE, {"terrain": {S.succeeded: 1}, "weather": {S.failed: 1}, "spread": {S.skipped: 1}})
    found = cards(picture)
    assert [found[name].get("class") for name in ("terrain", "weather", "spread")] == [
        "hs-succeeded",
        "hs-failed",
        "hs-skipped",
    ]
    assert found["weather"].get("aria-label") == "weather: function, 1 failed"
    assert found["weather"].find(f".//{SPACE}circle[@class='hs-m']") is not None
    assert "failed" in texts(picture)


def test_each_state_has_a_mark_of_its_own() -> None:
    """Nobody has to tell colours apart: all marks differ."""
    marks = set()
    for state in TaskState:
        card = cards(svg(Graph("g", (Node("n"),)), {"n": {state: 1}}))["n"]
        glyph = card.find(f".//{SPACE}path[@class='hs-g']")
        marks.add(None if glyph is None else glyph.get("d"))
    assert len(marks) == len(TaskState)


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"terrain": {S.succeeded: 1}}, "not reached"),
        ({"terrain": {S.running: 1}}, "not yet"),
    ],
)
def test_a_node_without_a_task_says_so(states: dict[str, dict[TaskState, int]], words: str) -> None:
    """As long as anything is open it may still come; afterwards the run did not reach it."""
    picture = svg(FIRE, states)
    assert cards(picture)["publish"].get("class") == "hs-none"
    assert words in texts(picture)


def test_a_node_with_many_tasks_shows_counts_and_shares() -> None:
    """Counts have separators, a bar shows each state, and the cards are stacked."""
    picture = svg(TILES, {"split": {S.succeeded: 1}, "render": {S.succeeded: 9999, S.running: 1}})
    assert "9,999/10,000" in texts(picture)
    card = cards(picture)["render"]
    shares = [path.get("class") for path in card.iter(f"{SPACE}path") if "hs-s" in path.get("class", "")]
    assert shares == ["hs-s hs-succeeded", "hs-s hs-running"]
    assert len([rect for rect in card.iter(f"{SPACE}rect") if rect.get("class") == "hs-c"]) == 3
    assert len([rect for rect in cards(picture)["split"].iter(f"{SPACE}rect") if rect.get("class") == "hs-c"]) == 1


def test_durations_come_with_traffic() -> None:
    """How long a node ran is added up over all that it was caused by."""
    picture = svg(FIRE, {"spread": {S.succeeded: 1}}, [("terrain", "spread", 1, 100.0), ("weather", "spread", 1, 95.0)])
    assert "succeeded · 3 min 15 s" in texts(picture)


def test_lines_say_what_they_mean() -> None:
    """Optional ones are dashed, branches and failures have labels."""
    picture = svg(FIRE)
    assert {"hs-needs", "hs-optional", "hs-failed"} <= set(looks(picture))
    assert {"publish", "failed"} <= set(texts(picture))
    assert re.search(r"\.hs-optional\{stroke-dasharray:", picture)


def test_messages_are_dotted_with_their_number() -> None:
    """After a run it shows who really sent to whom, how often, even to itself and from outside."""
    traffic = [
        (None, "begin", 3, 0.0),
        ("begin", "sort", 1, 0.0),
        ("sort", "sort", 1254, 0.0),
        ("sort", "merge", 7, 0.0),
    ]
    picture = svg(SORT, {"sort": {S.succeeded: 1255}}, traffic)
    assert {"×3", "×1", "×1,254", "×7"} <= set(texts(picture))
    assert set(looks(picture)) == {"hs-message"}
    assert re.search(r"\.hs-message\{[^}]*stroke-dasharray:\.1 ", picture)
    assert set(looks(svg(SORT))) == {"hs-needs"}  # before a run, only where the run's message goes


def test_what_ordinary_nodes_were_caused_by_is_no_message() -> None:
    """Tasks of nodes that wait are caused by others too; their line is the declared one."""
    assert "hs-message" not in looks(svg(FIRE, {}, [("terrain", "spread", 1, 0.0), (None, "terrain", 1, 0.0)]))


def test_lines_on_which_nothing_went_are_faint() -> None:
    """An edge into a node that was skipped or not reached is drawn as idle."""
    picture = svg(FIRE, {"spread": {S.succeeded: 1}, "picture": {S.succeeded: 1}, "report": {S.skipped: 1}})
    assert "hs-failed hs-idle" in looks(picture)
    assert "hs-needs" in looks(picture)


def test_what_runs_after_the_end_stands_apart() -> None:
    """Epilogue nodes are under a rule of their own."""
    picture = svg(FIRE)
    assert "after the run's end" in texts(picture)
    assert "after the run's end" not in texts(svg(SORT))


def test_the_legend_explains_what_occurs_and_nothing_else() -> None:
    """A glyph that is not in the picture is not in its legend."""
    assert "job" in texts(svg(FIRE))
    assert "job" not in texts(svg(SORT))
    assert "messages sent" not in texts(svg(FIRE))


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_becomes_markup(name: str) -> None:
    """Whatever a node, a choice, a workflow or a caption is called, the picture is XML without scripts or links."""
    graph = Graph(name, (Node(name), Node("after", edges=(Edge(name, choice=name),), queue=name)), version=name)
    traffic = [(name, "after", 3, 1.0), (name, name, 2, 1.0)]
    for picture in (svg(graph, caption=name), svg(graph, {name: {S.failed: 2}}, traffic, caption=name)):
        picture.encode()
        found = list(elements(picture))
        assert {element.tag.removeprefix(SPACE) for element in found} <= {
            "svg", "title", "style", "g", "rect", "path", "circle", "text", "tspan",
        }  # fmt: skip
        assert not [key for element in found for key in element.keys() if key.startswith("on") or "href" in key]  # noqa: SIM118


def test_a_long_name_is_shortened_and_stands_whole_in_the_tooltip() -> None:
    """A card shows beginning and end of a long name, its title all of it."""
    name = "a" * 60 + "_the_end"
    picture = svg(Graph("g", (Node(name),)))
    (shown,) = cards(picture)
    assert len(shown) < 30
    assert shown.endswith("the_end")
    assert f"<title>{name}: function</title>" in picture


def test_it_is_light_or_dark_and_scales() -> None:
    """Colours follow the reader, and the picture shrinks to where it stands."""
    picture = svg(FIRE)
    assert "@media (prefers-color-scheme:dark)" in picture
    root = ET.fromstring(picture)
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert root.get("aria-label") == "workflow wildfire, 7 nodes"


def test_every_kind_of_node_is_drawn_in_every_format() -> None:
    """With a glyph of its own, and a line in the legend."""
    workflow = Workflow("all")
    workflow.review("ask", choices=("yes", "no"))
    workflow.job("work", "true")
    inner = Workflow("inner")
    inner.node(lambda: None, name="think")
    workflow.subworkflow("run", inner)
    workflow.node(lambda: None, name="think")
    workflow.node(lambda: None, name="tidy", on="ended")
    workflow.handler(lambda: None, name="hear")
    assert {node.kind for node in workflow.graph} == set(Kind)
    drawn = [draw(workflow.graph) for draw in (svg, dot, mermaid)]
    assert all(node.name in text for node in workflow.graph for text in drawn)
    assert "waits for a person" in drawn[0]


def test_an_empty_graph_has_a_picture() -> None:
    """A workflow without nodes yet is no special case."""
    assert "empty" in texts(svg(Graph("empty", ())))[0]


DRAW = """
from heliostat.exporters.svg import svg
from heliostat.graph import Edge, Graph, Node
nodes = [Node(f"n{i}", edges=tuple(Edge(f"n{j}") for j in range(max(0, i - 3), i))) for i in range(20)]
print(svg(Graph("same", tuple(nodes))))
"""


def test_the_same_graph_gives_the_same_picture_in_every_process() -> None:
    """Not even the order of hashing shows."""
    pictures = set()
    for seed in "123":
        environment = os.environ | {"PYTHONHASHSEED": seed}
        pictures.add(
            subprocess.run([sys.executable, "-c", DRAW], env=environment, capture_output=True, check=True).stdout
        )
    assert len(pictures) == 1


def test_everything_joined_to_everything_stays_small() -> None:
    """Where nodes each wait for the same others, lines run together in a joint: 160 curves, and not 6,400."""
    first = [Node(f"a{n}") for n in range(80)]
    second = [Node(f"b{n}", edges=tuple(Edge(f"a{m}") for m in range(80))) for n in range(80)]
    picture = svg(Graph("mesh", (*first, *second)))
    lines = [element.get("d", "") for element in elements(picture) if element.get("class") == "hs-e hs-needs"]
    assert sum(len(re.findall("[CH]", line)) for line in lines if "C" in line) <= 161


def test_three_hundred_nodes_take_less_than_a_second() -> None:
    """A large graph is drawn in a second of this machine's time."""
    nodes = [Node("n0")]
    nodes += [Node(f"n{n}", edges=(Edge(f"n{n * 7 % n}"), Edge(f"n{n // 2}", "p"))) for n in range(1, 300)]
    graph = Graph("large", tuple(nodes))
    began = time.process_time()
    svg(graph, {node.name: {S.succeeded: 1} for node in graph})
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ({}, ""),
        ({S.succeeded: 0}, ""),
        ({S.succeeded: 5, S.failed: 1}, S.failed),
        ({S.succeeded: 5, S.running: 1, S.ready: 3}, S.running),
        ({S.succeeded: 5, S.waiting: 1, S.ready: 3}, S.waiting),
        ({S.succeeded: 5, S.skipped: 1}, S.succeeded),
        ({S.skipped: 2}, S.skipped),
        ({S.succeeded: 1, S.cancelled: 1}, S.cancelled),
    ],
)
def test_one_state_stands_for_a_node(counts: dict[TaskState, int], state: str) -> None:
    """What needs attention first."""
    assert headline(counts) == state


def test_a_failure_that_may_be_is_no_headline() -> None:
    """Where a node may fail and others of its tasks did not, those speak for it."""
    assert headline({S.succeeded: 5, S.failed: 1}, may_fail=True) == S.succeeded
    assert headline({S.failed: 1}, may_fail=True) == S.failed


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "< 1 ms"),
        (0.0123, "12 ms"),
        (0.35, "0.3 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (86400 * 400 + 3600, "400 d 1 h"),
    ],
)
def test_durations_have_two_figures(seconds: float, words: str) -> None:
    """People read no more than two units."""
    assert duration(seconds) == words


def test_mermaid_has_the_nodes_the_edges_and_the_states() -> None:
    """Text for Markdown says the same as the picture."""
    text = mermaid(FIRE, {"terrain": {S.succeeded: 1}})
    assert text.startswith("flowchart LR\n")
    assert '    n1("✓ <b>terrain</b><br/>succeeded")' in text
    assert "    n1 --> n3" in text
    assert "    n2 -. optional .-> n4" in text
    assert '    n4 -->|"publish"| n5' in text
    assert "    class n1 succeeded" in text
    assert '-.->|"×4"| n2' in mermaid(SORT, {}, [("begin", "sort", 4, 0.0)])


def test_dot_has_the_nodes_the_edges_and_the_states() -> None:
    """Text for Graphviz says the same as the picture."""
    text = dot(FIRE, {"terrain": {S.succeeded: 1}})
    assert text.startswith('digraph "wildfire" {')
    assert '"terrain" [label="✓ terrain\\nsucceeded"' in text
    assert '"picture" -> "publish" [style=solid, label="publish"]' in text
    assert '"weather" -> "picture" [style=dashed]' in text


@pytest.mark.parametrize("name", HOSTILE)
def test_other_formats_escape_too(name: str) -> None:
    """No name ends a label of Mermaid or a string of Graphviz."""
    graph = Graph("g", (Node(name), Node("after", edges=(Edge(name, choice=name),))))
    for line in mermaid(graph).splitlines()[1:]:
        assert line.count('"') in (0, 2)
        assert "<script" not in line
    for line in dot(graph).splitlines():
        assert len(re.findall(r'(?<!\\)(?:\\\\)*"', line)) % 2 == 0


CHOICES = Graph(
    "choices",
    (
        Node("look"),
        Node("other"),
        Node("third"),
        *(
            Node(name, edges=(Edge("look", choice=name), Edge("other", "other"), Edge("third", "third")))
            for name in ("clear", "cloudy", "closed")
        ),
        Node("epilogue_f", epilogue=On.failed),
    ),
)


def test_a_picture_has_a_size_for_programs_that_know_no_automatic_one() -> None:
    """CairoSVG takes height:auto for no height; only on a screen does a picture shrink with its page."""
    picture = svg(FIRE)
    root = ET.fromstring(picture)
    assert "style" not in root.attrib
    assert float(root.attrib["height"]) > 100
    outside_media = re.sub(r"@media[^{]*\{(?:[^{}]*\{[^{}]*\})*\s*\}", "", picture)
    assert "height:auto" not in outside_media
    assert "@media screen{.hs{max-width:100%;height:auto}}" in picture


def test_labels_of_choices_do_not_lie_where_lines_meet() -> None:
    """Each is moved along its own line to where the fewest others run: here away from the middle."""
    labels = [
        (float(element.attrib["x"]), float(element.attrib["y"]))
        for element in elements(svg(CHOICES))
        if "hs-k" in element.attrib.get("class", "")
    ]
    assert len(labels) == 3
    (_, clear), (cloudy_x, _), (closed_x, closed) = labels
    assert clear < closed
    assert cloudy_x != closed_x, "both in the middle, where six lines cross"


Box = tuple[float, float, float, float]


def boxes(element: ET.Element, look: dict[str, str], left: float = 0.0, top: float = 0.0) -> Iterator[Box]:
    """Left, top, right and bottom of all rectangles of a look within an element."""
    if moved := re.match(r"translate\((\S+) (\S+)\)", element.get("transform", "")):
        left, top = left + float(moved[1]), top + float(moved[2])
    for child in element:
        if child.tag == f"{SPACE}rect" and look.items() <= child.attrib.items():
            x, y, width, height = (float(child.get(name, 0)) for name in ("x", "y", "width", "height"))
            yield left + x, top + y, left + x + width, top + y + height
        yield from boxes(child, look, left, top)


@pytest.mark.parametrize("absent", [node.name for node in wildfire.graph])
def test_a_label_does_not_lie_on_a_card(absent: str) -> None:
    """Where few lines cross is no better place if the plate would hide a part of a node."""
    states = {node.name: {S.succeeded: 1} for node in wildfire.graph if node.name != absent}
    traffic = [(None, node.name, 1, 0.05) for node in wildfire.graph]
    root = ET.fromstring(svg(wildfire.graph, states, traffic))
    plates, found = list(boxes(root, {"class": "hs-paper", "rx": "8"})), list(boxes(root, {"class": "hs-c"}))
    assert (len(plates), len(found)) == (2, len(wildfire.graph.nodes))
    for left, top, right, bottom in plates:
        assert all(right <= x or left >= r or bottom <= y or top >= b for x, y, r, b in found)


def test_words_stay_inside_their_card_in_a_wider_font() -> None:
    """Where no Helvetica or its likes is there, DejaVu stands in, which is a seventh wider."""
    card = next(e for e in elements(svg(CHOICES)) if e.attrib.get("aria-label", "").startswith("epilogue_f"))
    (width,) = {float(e.attrib["width"]) for e in card.iter(f"{SPACE}rect") if "hs-c" in e.attrib["class"]}
    assert width - 52 - 1.15 * measured("if the run failed", 11) >= 12
