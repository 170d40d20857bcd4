"""Look whether all is well, and what is to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from heliostat.cli import output
from heliostat.cli.output import AsJson
from heliostat.cli.session import session
from heliostat.errors import BadInput, OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat.cli.session import Session
    from heliostat.cli.shapes import FindingShape
    from heliostat.finding import Finding

MARKS = {"good": ("✓", "green"), "doubtful": ("!", "yellow"), "bad": ("✗", "red")}


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Look at everything, change nothing, and say what to do; exit code 6 if work stands still or may be lost."""
    from heliostat.doctor import worst
    from heliostat.finding import Verdict

    findings = []
    for finding in _findings(session(context)):
        findings.append(finding)
        if not as_json:
            _tell(finding)
    if as_json:
        shapes: list[FindingShape] = [
            {"about": found.about, "verdict": found.verdict.value, "text": found.text, "advice": found.advice or None}
            for found in findings
        ]
        output.document(shapes)
    if worst(findings) is Verdict.bad:
        raise typer.Exit(OperatorError.exit_code)


def _findings(given: Session) -> Iterator[Finding]:
    """What is found; a configuration that means nothing is all that can be said of it."""
    from heliostat.finding import bad

    try:
        settings = given.settings()
    except BadInput as error:
        yield bad("configuration", str(error), "mend it; nothing else can be looked at before")
        return
    from heliostat import compose, doctor

    yield from doctor.examine(compose.patient(settings))


def _tell(finding: Finding) -> None:
    """A line for what was found, and one for what to do."""
    mark, colour = MARKS[finding.verdict]
    output.line(output.text(f"{mark} ", colour) + output.text(f"{finding.about:<14} {finding.text}"))
    if finding.advice:
        output.line(output.text(f"{'':<17}→ {finding.advice}"))
