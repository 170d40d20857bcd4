"""The layered layout: nothing overlaps, lines lead to the right, crossings go where they can, and it is quick."""

from __future__ import annotations

import time
from itertools import combinations, pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from heliostat.exporters.crossings import crossings, untangle
from heliostat.exporters.layout import Box, Layout, Link, layout


def box(name: str, width: float = 100.0) -> Box:
    """A box of the usual height."""
    return Box(name, width, 50.0)


def laid(*links: str, boxes: str = "") -> Layout:
    """The layout of links written as "a b", and of further boxes."""
    pairs = [tuple(link.split()) for link in links]
    names = dict.fromkeys([*(name for pair in pairs for name in pair), *boxes.split()])
    return layout([box(name) for name in names], [Link(source, target) for source, target in pairs])


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Box], list[Link]]:
    """Boxes of any size, and firm and other links between them."""
    count = draw(st.integers(1, 12))
    sizes = st.floats(20, 200)
    boxes = [Box(f"n{n}", draw(sizes), draw(sizes), draw(st.sampled_from([0.0, 30.0]))) for n in range(count)]
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] != pair[1])
    links = []
    for one, other in draw(st.lists(ends, max_size=24)):
        firm = one < other and draw(st.booleans())
        links.append(Link(f"n{one}", f"n{other}", draw(st.sampled_from("ab")), "" if firm else "message", firm))
    return boxes, links


@given(graphs())
@settings(max_examples=60)
def test_boxes_never_overlap(graph: tuple[list[Box], list[Link]]) -> None:
    """Any two boxes are apart, sideways or above each other, with the room that one wants above it."""
    boxes, links = graph
    places = layout(boxes, links).places
    above = {each.id: each.above for each in boxes}
    for one, other in combinations(places, 2):
        a, b = places[one], places[other]
        beside = a.x + a.width <= b.x + 0.01 or b.x + b.width <= a.x + 0.01
        over = a.y + a.height <= b.y - above[other] + 0.01 or b.y + b.height <= a.y - above[one] + 0.01
        assert beside or over


@given(graphs())
@settings(max_examples=60)
def test_routes_lead_from_box_to_box(graph: tuple[list[Box], list[Link]]) -> None:
    """A route begins at its source's side and ends at its target's; a firm one leads to the right all the way."""
    boxes, links = graph
    done = layout(boxes, links)
    for link, route in zip(links, done.routes, strict=True):
        source, target = done.places[link.source], done.places[link.target]
        assert min(abs(route[0].x - x) for x in (source.x, source.x + source.width)) < 0.01
        assert min(abs(route[-1].x - x) for x in (target.x, target.x + target.width)) < 0.01
        assert source.y <= route[0].y <= source.y + source.height
        assert target.y <= route[-1].y <= target.y + target.height
        if link.firm:
            assert all(one.x <= other.x for one, other in pairwise(route))


@given(graphs())
@settings(max_examples=30)
def test_everything_lies_inside_the_picture(graph: tuple[list[Box], list[Link]]) -> None:
    """The size of a layout holds all boxes and routes."""
    done = layout(*graph)
    for place in done.places.values():
        assert place.x >= -0.01
        assert place.y >= -0.01
        assert place.x + place.width <= done.width + 0.01
        assert place.y + place.height <= done.height + 0.01
    for point in (point for route in done.routes for point in route):
        assert -0.01 <= point.x <= done.width + 0.01
        assert -0.01 <= point.y <= done.height + 0.01


def test_what_follows_stands_to_the_right() -> None:
    """A box's layer is to the right of all that it waits for."""
    places = laid("a b", "b c", "a c").places
    assert places["a"].x < places["b"].x < places["c"].x


def test_a_chain_is_straight() -> None:
    """Boxes that only follow each other stand on one line."""
    done = laid("a b", "b c", "c d")
    assert len({place.middle for place in done.places.values()}) == 1
    assert all(len(route) == 2 for route in done.routes)


def test_a_long_line_is_straight_between_its_ends() -> None:
    """A line past other layers keeps its height there."""
    done = laid("a b", "b c", "c d", "d e", "a e")
    inner = done.routes[-1][1:-1]
    assert len(inner) >= 4
    assert len({point.y for point in inner}) == 1


def test_a_box_does_not_lie_on_a_line_that_passes() -> None:
    """Long lines run between the boxes of the layers they pass."""
    done = laid("a b", "b c", "c d", "a d")
    for point in done.routes[-1][1:-1]:
        for place in done.places.values():
            assert not (place.x < point.x < place.x + place.width and place.y < point.y < place.y + place.height)


def test_lines_that_need_not_cross_do_not() -> None:
    """Two lines whose targets are defined the other way round come out side by side."""
    done = layout(
        [box(name) for name in ("root", "a", "b", "x", "y")],
        [Link("root", "a"), Link("root", "b"), Link("a", "y"), Link("b", "x")],
    )
    places = done.places
    assert (places["a"].y < places["b"].y) == (places["y"].y < places["x"].y)


def test_crossings_are_counted() -> None:
    """Two pairs crosswise cross once, three reversed thrice."""
    assert crossings([[0, 1], [2, 3]], [[3], [2], [], []], [0, 1, 0, 1]) == 1
    assert crossings([[0, 1, 2], [3, 4, 5]], [[5], [4], [3], [], [], []], [0, 1, 2, 0, 1, 2]) == 3


@given(st.integers(0, 10_000))
@settings(max_examples=40)
def test_untangling_a_tree_leaves_no_crossing(seed: int) -> None:
    """A tree can be drawn without crossings, however its layers are shuffled, and so it is."""
    chance = Random(seed)
    layers = [[0]]
    succs: list[list[int]] = [[]]
    preds: list[list[int]] = [[]]
    for _ in range(3):
        layer = []
        for parent in layers[-1]:
            for _ in range(chance.randrange(3)):
                vertex = len(succs)
                succs.append([])
                preds.append([parent])
                succs[parent].append(vertex)
                layer.append(vertex)
        layers.append(layer)
    layers = [layer for layer in layers if layer]
    for layer in layers:
        chance.shuffle(layer)
    untangle(layers, preds, succs)
    place = {vertex: number for layer in layers for number, vertex in enumerate(layer)}
    assert crossings(layers, succs, [place[vertex] for vertex in range(len(succs))]) == 0


def test_a_cycle_of_messages_turns_one_line_round() -> None:
    """Of two boxes that send to each other, the one met first stands to the left, and the answer leads back."""
    links = [Link("ask", "answer", firm=False), Link("answer", "ask", firm=False)]
    done = layout([box("ask"), box("answer")], links)
    assert done.places["ask"].x < done.places["answer"].x
    there, back = done.routes
    assert there[0].x < there[-1].x
    assert back[0].x > back[-1].x
    assert there[0].y != back[-1].y  # they leave and arrive at ports of their own


def test_what_comes_first_stands_left_in_a_cycle() -> None:
    """Where a run's message enters a cycle of handlers, there the picture begins."""
    links = [Link("terrain", "update"), Link("update", "look", firm=False), Link("look", "update", firm=False)]
    boxes = [box("terrain"), box("update"), Box("look", 100, 50, first=True)]
    places = layout(boxes, links).places
    assert places["look"].x < places["update"].x


def test_declared_lines_are_never_turned_round() -> None:
    """Where a message closes a cycle with declared lines, the message leads back."""
    links = [Link("b", "a", port="message", firm=False), Link("a", "b")]
    done = layout([box("b"), box("a")], links)
    assert done.places["a"].x < done.places["b"].x


def test_lines_of_a_group_share_their_way() -> None:
    """Three long lines from one box run as one as long as they can."""
    done = laid("s a", "a b", "b c", "c x", "c y", "c z", "s x", "s y", "s z")
    ways = [route[1:-1] for route in done.routes[-3:]]
    assert ways[0] == ways[1] == ways[2]
    assert len(ways[0]) >= 4


def test_unconnected_boxes_stand_in_rows() -> None:
    """Boxes without lines fill rows and no endless column."""
    done = laid(boxes=" ".join(f"n{n}" for n in range(24)))
    rows = {place.y for place in done.places.values()}
    assert 2 <= len(rows) <= 8


def test_almost_nothing_can_be_laid_out() -> None:
    """No box and one box are no special cases."""
    nothing, one = layout([], []), laid(boxes="a")
    assert (nothing.width, nothing.height, nothing.places) == (0, 0, {})
    assert (one.width, one.height) == (100, 50)


def test_the_same_graph_gives_the_same_layout() -> None:
    """Nothing is left to chance."""
    chance = Random(7)
    pairs = [sorted(chance.sample(range(40), 2)) for _ in range(80)]
    links = [f"n{one} n{other}" for one, other in pairs]
    assert laid(*links) == laid(*links)


def test_three_hundred_boxes_take_less_than_a_second() -> None:
    """A large graph with twice as many links is laid out in a second of this machine."""
    chance = Random(1)
    boxes = [box(f"n{number}") for number in range(300)]
    pairs = {tuple(sorted(chance.sample(range(300), 2))) for _ in range(600)}
    links = [Link(f"n{one}", f"n{other}") for one, other in sorted(pairs)]
    began = time.process_time()
    layout(boxes, links)
    assert time.process_time() - began < 1.0
