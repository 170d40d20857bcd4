"""The look of a graph: colours for light and dark, shapes of glyphs.

Colours keep apart under the common colour-vision deficiencies, after Okabe and Ito (2008): blue, vermilion, bluish
green, amber and reddish purple, of different lightness; and each state has a glyph of its own besides.
"""

from __future__ import annotations

from heliostat.task import TaskState

#: State: line and glyph in light and dark, tint in light and dark.
STATES: dict[str, tuple[str, str, str, str]] = {
    TaskState.pending: ("#6b7885", "#8d9baa", "#eef1f4", "#222c37"),
    TaskState.ready: ("#0f7f9b", "#56c5e0", "#e0f3f8", "#0f3440"),
    TaskState.running: ("#1257b0", "#6aaeff", "#e3eefc", "#142f52"),
    TaskState.waiting: ("#946200", "#f2b93b", "#fcf2d9", "#3b2e10"),
    TaskState.succeeded: ("#00785a", "#3ccb9f", "#e1f4ed", "#103429"),
    TaskState.failed: ("#c43e0b", "#ff8b5c", "#fdeae0", "#452114"),
    TaskState.cancelled: ("#963f7d", "#e394cb", "#f8e8f2", "#3b1d33"),
    TaskState.skipped: ("#7b8794", "#93a1af", "#f1f3f5", "#212a34"),
    "new": ("#41566d", "#9fb4ca", "#e9eff5", "#223041"),  # of a graph that no run is about
    "none": ("#a3aeb9", "#56636f", "#f4f6f8", "#1b242d"),  # not reached by the run
}
PAPER = ("#fbfcfd", "#0f151b")
RULE = ("#dfe5eb", "#26313c")
CARD = ("#ffffff", "#18212a")
INK = ("#15202b", "#e9eff5")
FAINT = ("#5a6978", "#94a4b4")
EDGE = ("#8594a3", "#6c7d8e")
IDLE = ("#cfd6dd", "#33404c")
MESSAGE = ("#6a4fc4", "#ac9bff")

#: Strokes in a square of 16: what a node is.
ICONS = {
    "function": "M11.7 2.9c-2-1-3.5 0-3.9 2.4l-1.3 6.4c-.4 2-1.5 2.7-3.2 1.9M4.9 7.3h6",
    "job": "M2.5 3.7l4.2 4.2-4.2 4.2M8.6 12.4h5",
    "review": "M5.6 5.2a2.4 2.4 0 1 0 4.8 0a2.4 2.4 0 1 0-4.8 0M3 13.6c.3-3.1 2.2-4.8 5-4.8s4.7 1.7 5 4.8",
    "workflow": "M2.4 3h4.8v3.6H2.4zM8.8 9.4h4.8V13H8.8zM4.8 6.6v4.6h4",
    "handler": "M3.2 3.6h9.6a1.2 1.2 0 0 1 1.2 1.2v6.4a1.2 1.2 0 0 1-1.2 1.2H3.2a1.2 1.2 0 0 1"
    "-1.2-1.2V4.8a1.2 1.2 0 0 1 1.2-1.2zM2.4 4.5l5.6 4.4 5.6-4.4",
    "epilogue": "M4 14V2.2M4 3h8.8l-2.3 3.1 2.3 3.1H4",
}

#: Strokes around the middle of a disc of radius 8: how a node stands.
MARKS = {
    TaskState.ready: "M-2.9 0a2.9 2.9 0 1 0 5.8 0a2.9 2.9 0 1 0-5.8 0",
    TaskState.running: "M-1.8-3.2l4.8 3.2-4.8 3.2z",
    TaskState.waiting: "M0-4V0l2.8 1.7",
    TaskState.succeeded: "M-3.6.2l2.6 2.6 4.6-5.3",
    TaskState.failed: "M-2.8-2.8l5.6 5.6M2.8-2.8l-5.6 5.6",
    TaskState.cancelled: "M-3 3l6-6",
    TaskState.skipped: "M-3.6-2.8l2.8 2.8-2.8 2.8M.8-2.8l2.8 2.8-2.8 2.8",
}

FONT = '"Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif'
_BASE = f"""\
.hs text{{font-family:{FONT};font-size:11px}}
.hs .hs-h{{font-size:19px;font-weight:700}}
.hs .hs-x{{font-size:13px;font-weight:600}}
.hs .hs-v{{font-weight:400}}
.hs .hs-p{{font-size:12px}}
.hs .hs-k{{font-size:10.5px;font-weight:600}}
.hs-c{{stroke-width:1.5}}
.hs-i,.hs-g{{fill:none;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}}
.hs-g{{stroke-width:2}}
.hs-e{{fill:none;stroke-width:1.6;stroke-linecap:round}}
.hs-optional{{stroke-dasharray:6 5}}
.hs-message{{stroke-width:2.2;stroke-dasharray:.1 5.5}}
.hs-pending .hs-m{{fill:none;stroke-width:2;stroke-dasharray:2.6 2.43}}
.hs-none .hs-c,.hs-pending .hs-c{{stroke-dasharray:4 3.5}}
"""


def css() -> str:
    """The style sheet, for light and for dark."""
    # On a screen it shrinks with its page; in a rule of its own, since CairoSVG takes height:auto for a height of 0.
    screen = "@media screen{.hs{max-width:100%;height:auto}}"
    return f"{_BASE}{colours(0)}\n@media (prefers-color-scheme:dark){{\n{colours(1)}\n}}\n{screen}\n"


def colours(side: int) -> str:
    """The rules of light (0) or dark (1)."""
    rules = [
        f".hs-paper{{fill:{PAPER[side]};stroke:{RULE[side]}}}",
        f".hs-r{{fill:none;stroke:{RULE[side]}}}",
        f".hs-c,.hs-q{{fill:{CARD[side]}}}",
        f".hs text{{fill:{INK[side]}}}.hs .hs-d{{fill:{FAINT[side]}}}",
        f".hs-g{{stroke:{CARD[side]}}}.hs-running .hs-g{{fill:{CARD[side]}}}",
        f".hs-z{{fill:{RULE[side]}}}",
        *(_line(name, colour[side]) for name, colour in LINES.items()),
    ]
    for name, shades in STATES.items():
        line, tint = shades[side], shades[side + 2]
        state = f".hs-{name}"
        rules.append(f"{state} .hs-c,{state} .hs-i{{stroke:{line}}}{state} .hs-t{{fill:{tint}}}")
        rules.append(f"{state} .hs-m,{state}.hs-s{{fill:{line}}}")
    rules.append(f".hs-new .hs-c{{stroke:{EDGE[side]}}}")
    rules.append(f".hs-pending .hs-m{{fill:none;stroke:{STATES[TaskState.pending][side]}}}")
    return "\n".join(rules)


LINES = {
    "needs": EDGE,
    "optional": EDGE,
    "ended": EDGE,
    "failed": (STATES[TaskState.failed][0], STATES[TaskState.failed][1]),
    "message": MESSAGE,
    "idle": IDLE,
}


def _line(name: str, colour: str) -> str:
    return f".hs-{name}.hs-e{{stroke:{colour}}}.hs-{name}.hs-a{{fill:{colour}}}.hs .hs-{name}.hs-k{{fill:{colour}}}"
