"""The pictures of the docs are of the examples as they are."""

from __future__ import annotations

import re

import pytest
from PIL import Image

from examples.wildfire import fire
from tests.docs.pages import ROOT
from tools.hearts import HEARTS, heart
from tools.pictures import GRAPHS, IMAGES

HEAVIEST = 1_400_000  #: bytes of a picture


@pytest.mark.parametrize("name", GRAPHS)
def test_a_drawn_run_is_as_the_example_runs_now(name: str) -> None:
    """If not: python -m tools.pictures."""
    assert GRAPHS[name]() == (IMAGES / name).read_text("utf-8"), "run: python -m tools.pictures"


def test_the_run_of_the_demonstration_is_of_the_graph_as_it_is() -> None:
    """It tells real times, so it is not drawn anew; its version stands for nodes, edges and choices."""
    picture = (IMAGES / "wildfire-run.svg").read_text("utf-8")
    version = fire.graph.label.removeprefix("wildfire ")
    assert f">{version}<" in picture, "run: python -m tools.pictures --all"
    assert len(re.findall('role="graphics-symbol"', picture)) == len(fire.graph.nodes)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("wildfire.png", (1600, 1100)),
        ("sweep.png", (1600, 1000)),
        ("julia.png", (1200, 750)),
        ("imaging.png", (1600, 690)),
        ("imaging-stack.png", (1600, 740)),
        ("imaging-cut.png", (1600, 640)),
    ],
)
def test_a_painted_picture_is_whole_and_not_too_heavy(name: str, size: tuple[int, int]) -> None:
    """As tools.pictures makes it."""
    with Image.open(IMAGES / name) as picture:
        picture.load()
        assert picture.size == size
    assert (IMAGES / name).stat().st_size < HEAVIEST


def test_no_picture_is_left_over() -> None:
    """Each is shown on a page, or on the README."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "".join(page.read_text("utf-8") for page in pages)
    for picture in IMAGES.iterdir():
        assert f"images/{picture.name}" in text, picture.name


def test_a_heart_is_cut_with_its_decorators() -> None:
    """And nothing of what stands between the definitions."""
    block = heart("etl")
    assert block.startswith("<!-- sketch -->\n```python\n@etl.node\ndef validate(")
    assert '\n\n\n@etl.node(after=validate["mendable"])\ndef mend(' in block
    assert "def peaks" not in block
    assert {"wildfire", "julia", "sweep", "etl"} < set(HEARTS)
