"""The look of what stands around a picture in a notebook: its frame, tables and texts, as HTML without any script.

A notebook has a theme of its own, which need not be that of the system: where it says which, that decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.exporters import theme
from heliostat.exporters.lettering import escaped
from heliostat.exporters.strokes import mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: How notebooks say that they are light or dark: JupyterLab, VS Code, Colab, others.
LIGHT = '[data-jp-theme-light="true"],.vscode-light,[theme="light"],[data-theme="light"]'
DARK = '[data-jp-theme-light="false"],.vscode-dark,[theme="dark"],[data-theme="dark"]'

_MONO = 'ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace'
_BASE = f"""\
.hs-sheet{{display:inline-block;box-sizing:border-box;max-width:100%;min-width:min(440px,100%);overflow-x:auto}}
.hs-sheet{{border:1px solid;border-radius:14px;font:12.5px/1.5 {theme.FONT}}}
.hs-sheet>svg{{display:block}}
.hs-sheet>svg .hs-paper{{stroke:none}}
.hs-sheet section{{margin:0;padding:12px 34px 16px;border-top:1px solid}}
.hs-sheet section:first-of-type{{border-top-width:0}}
.hs-sheet svg+section{{border-top-width:1px!important}}
.hs-sheet h4,.hs-sheet summary{{margin:0 0 6px;font-size:11px;line-height:1.5;font-weight:600}}
.hs-sheet summary{{margin:0;cursor:pointer}}
.hs-sheet [open] summary{{margin:0 0 6px}}
.hs-sheet pre{{margin:0;padding:0;border:0;background:none;white-space:pre-wrap;overflow-wrap:anywhere}}
.hs-sheet pre{{color:inherit;font:12px/1.5 {_MONO}}}
.hs-sheet .hs-table code{{padding:0!important;background:none!important;color:inherit;font:12px/1.5 {_MONO}}}
.hs-sheet .hs-table{{border-collapse:collapse;margin:0 0 0 -10px!important;border:0;font:inherit;color:inherit}}
.hs-sheet .hs-table thead{{border:0!important}}
.hs-sheet .hs-table th,.hs-sheet .hs-table td{{padding:3px 22px 3px 10px;border:0;text-align:left;vertical-align:top}}
.hs-sheet .hs-table th,.hs-sheet .hs-table td{{white-space:nowrap;color:inherit;background:none}}
.hs-sheet .hs-table tr:nth-child(n){{background:none}}
.hs-sheet .hs-table thead th{{font-size:11px;font-weight:600}}
.hs-sheet .hs-table .hs-right{{text-align:right;font-variant-numeric:tabular-nums}}
.hs-sheet .hs-table td.hs-long{{white-space:normal;overflow-wrap:anywhere;max-width:640px}}
.hs-sheet .hs-glyph{{width:13px;height:13px;margin:0 6px 0 0;vertical-align:-2px;overflow:visible}}
.hs-sheet figure{{margin:2px 0 8px}}
.hs-sheet img{{max-width:100%;max-height:420px;border-radius:6px}}
"""


def css() -> str:
    """The style sheet of everything that is shown in a notebook."""
    light, dark = theme.colours(0) + _colours(0), theme.colours(1) + _colours(1)
    system = f"{theme.css()}{_BASE}{_colours(0)}\n@media (prefers-color-scheme:dark){{\n{_colours(1)}\n}}\n"
    return f"{system}:is({LIGHT}){{\n{light}\n}}\n:is({DARK}){{\n{dark}\n}}\n"


def _colours(side: int) -> str:
    faint = ".hs-sheet h4,.hs-sheet summary,.hs-sheet .hs-table thead th,.hs-sheet .hs-faint"
    return "\n".join(
        [
            f".hs-sheet{{background:{theme.PAPER[side]};color:{theme.INK[side]};border-color:{theme.RULE[side]}}}",
            f".hs-sheet section{{border-color:{theme.RULE[side]}}}",
            f"{faint}{{color:{theme.FAINT[side]}}}",
            *(f".hs-sheet .hs-is-{name}{{color:{colours[side]}}}" for name, colours in theme.STATES.items()),
        ]
    )


def sheet(*parts: str) -> str:
    """Parts in a frame, with the style sheet that they need."""
    return "\n".join([f'<div class="hs-sheet"><style>\n{css()}</style>', *filter(None, parts), "</div>"])


def section(title: str, *parts: str) -> str:
    """A part with a small title; none if there is nothing in it."""
    inner = "\n".join(filter(None, parts))
    return f"<section><h4>{escaped(title)}</h4>\n{inner}</section>" if inner else ""


def folded(title: str, inner: str) -> str:
    """A part of which only the title is seen until somebody opens it."""
    return f"<section><details><summary>{escaped(title)}</summary>\n{inner}</details></section>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = (), long: int = -1) -> str:
    """A table of cells that are HTML already; ``right`` are columns of numbers, ``long`` is one of sentences."""
    classes = dict.fromkeys(right, ' class="hs-right"') | {long: ' class="hs-long"'}
    head = "".join(f'<th scope="col"{classes.get(at, "")}>{escaped(word)}</th>' for at, word in enumerate(heads))
    lines = ["".join(f"<td{classes.get(at, '')}>{cell}</td>" for at, cell in enumerate(row)) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table class="hs-table"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>' if lines else ""


def state(word: str, note: str = "") -> str:
    """A state with its glyph, in its colour."""
    look = "running" if word == "active" else word
    glyph = f'<g class="hs-{look}">{mark(look, 0, 0)}</g>'
    drawn = f'<svg class="hs-glyph" viewBox="-8 -8 16 16" aria-hidden="true">{glyph}</svg>'
    return f'{drawn}<span class="hs-is-{look}">{escaped(word + note)}</span>'
