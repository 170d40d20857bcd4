"""What a notebook asks an object for. A face answers: it is found by its name when somebody looks.

So the machine imports no face, and a program that shows nothing loads none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Protocol

    from heliostat.handle import RunHandle

    class Progress(Protocol):
        """Shows how a run goes."""

        def tick(self) -> None:
            """Look at it, if that was not done just before."""


class Drawn:
    """Something that draws itself."""

    def _repr_html_(self) -> str:
        html: str = import_module("heliostat.exporters.notebook").html(self)
        return html

    def _repr_svg_(self) -> str | None:
        svg: str | None = import_module("heliostat.exporters.notebook").drawing(self)
        return svg


def progress(run: RunHandle) -> AbstractContextManager[Progress]:
    """What shows how a run goes: in its cell, or on standard error."""
    shown: AbstractContextManager[Progress] = import_module("heliostat.exporters.live").progress(run)
    return shown
