"""Serial sections, from a microscope's tiles to counted nuclei, as an institute runs them on its cluster.

    python examples/imaging/imaging.py                            # here; --sections 12, --slurm, --out DIR
    heliostat workflow grid imaging                               # meanwhile: which section stands where

    acquire ─ tile: flatfield ─ denoise ─ stitch ─ align ─┬─ segment ─┐
              (each tile for itself)                      └───────────┴─ quality

The graph is in workflow.yaml, as the Blue Sky engine reads it, and each step is a program in steps/ that is given
``--input_json`` and ``--output_json``. Here is what an institute adds: what each program gets, and what it waits for.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import heliostat
from heliostat import Workflow
from heliostat.importers import bluesky
from heliostat.importers.bluesky import Strategy

HERE = Path(__file__).resolve().parent
ROWS, COLUMNS = 3, 4  # tiles of a section
FRAME = (900, 1200)  # pixels of an aligned section

os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # "python" is this one


class Acquire(Strategy):
    """A section comes in, its tiles go on, each for itself."""

    def get_input(self, subject: dict[str, Any]) -> dict[str, Any]:
        return subject

    def subjects(self, subject: dict[str, Any], results: dict[str, Any]) -> list[Any]:
        return list(results["tiles"])


class Flatfield(Strategy):
    """The subject is a tile, with its calibration."""

    def get_input(self, subject: dict[str, Any]) -> dict[str, Any]:
        return subject


class Denoise(Strategy):
    """What it filters is what the step before left."""

    def get_input(self, subject: dict[str, Any]) -> dict[str, Any]:
        return subject | {"image": self.results["flatfield"]["image"]}


class Stitch(Strategy):
    """All tiles of a section are there again."""

    def get_input(self, subject: dict[str, Any]) -> dict[str, Any]:
        return {"tiles": self.results["tile"], "storage": subject["storage"]}


class Align(Strategy):
    """A section is laid on the one before it, so it waits until that one lies where it belongs."""

    every = "1s"

    def must_wait(self, subject: dict[str, Any]) -> bool:
        before = _before(subject)
        return before is not None and not before.exists()

    def get_input(self, subject: dict[str, Any]) -> dict[str, Any]:
        before, image = _before(subject), self.results["stitch"]["image"]
        return {"image": image, "before": before and str(before), "frame": FRAME, "storage": subject["storage"]}


class Segment(Strategy):
    """How nuclei look is a matter of configuration."""

    def get_input(self, subject: dict[str, Any]) -> dict[str, Any]:
        return {"image": self.results["align"]["image"], "storage": subject["storage"], **self.configuration}

    def on_finishing(self, subject: dict[str, Any], results: dict[str, Any]) -> None:
        if not results["nuclei"]:
            raise ValueError(f"{subject['name']}: there is not one nucleus on it")


class Quality(Strategy):
    """What an operator sees at the end; a picture of the section is kept under a name that everybody knows."""

    def get_input(self, subject: dict[str, Any]) -> dict[str, Any]:
        align, segment = self.results["align"], self.results["segment"]
        return {"image": align["image"], "labels": segment["labels"], "score": align["score"], **self.configuration}

    def on_finishing(self, subject: dict[str, Any], results: dict[str, Any]) -> None:
        from examples.imaging import pictures

        picture = pictures.section(self.results["align"]["image"], self.ctx.dir / "section.png")
        self.ctx.artifact(picture, media_type="image/png", tags=("well-known", str(subject["name"])))


def _before(subject: dict[str, Any]) -> Path | None:
    """Where the section before lies, once it is aligned; None for the first."""
    number = subject["number"]
    return None if number == 0 else Path(subject["storage"]).parent / f"section-{number - 1:02}" / "aligned.npy"


sys.path.insert(0, str(HERE.parents[1]))  # wherever it is started from, its neighbours are found
STRATEGIES = {
    "acquire": Acquire,
    "flatfield": Flatfield,
    "denoise": Denoise,
    "stitch": Stitch,
    "align": Align,
    "segment": Segment,
    "quality": Quality,
}
CONFIGURATIONS = {
    "segment": {"size": 7, "least": 9.0, "smallest": 14},
    "quality": {"contrast": 1.6, "nuclei": 60},
}
imaging: Workflow = bluesky.load(HERE / "workflow.yaml", STRATEGIES, configurations=CONFIGURATIONS)["imaging"]


def sections(count: int, storage: Path, **given: int) -> list[dict[str, Any]]:
    """The subjects of a stack."""
    stack = storage.absolute()
    return [
        {"name": name, "number": number, "of": count, "storage": str(stack / name), **given}
        for number, name in ((number, f"section-{number:02}") for number in range(count))
    ]


def use_slurm() -> None:
    """Have the programs run on Slurm: what heliostat.toml says of their queue is all that it takes."""
    file = Path("heliostat.toml")
    if file.exists():
        sys.exit(f'{file} is there already; have it say: queues.imaging = {{ executor = "slurm" }}')
    file.write_text('queues.imaging = { executor = "slurm" }\n', "utf-8")


def main(words: list[str]) -> None:
    """Take a stack of sections through the workflow, then draw it."""
    parser = argparse.ArgumentParser(description="Serial sections, from tiles to counted nuclei.")
    parser.add_argument("--sections", type=int, default=6)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rows", type=int, default=ROWS, help="tiles of a section, from top to bottom")
    parser.add_argument("--columns", type=int, default=COLUMNS, help="and from left to right")
    parser.add_argument("--slurm", action="store_true", help="on Slurm, and not on this machine")
    parser.add_argument("--out", type=Path, default=Path("imaging"), help="where images and pictures go")
    given = parser.parse_args(words)
    if given.slurm:
        use_slurm()
    with heliostat.open() as engine:
        stack = sections(given.sections, given.out, seed=given.seed, rows=given.rows, columns=given.columns)
        answers = [bluesky.ingest(engine, imaging, section, subject=section["name"]) for section in stack]
        runs = [engine.find(answer["run"]) for answer in answers]
        engine.work(until=lambda: all(run.over for run in runs))
        for run in runs:
            run.result()  # raises, where one has failed
        from examples.imaging import pictures

        counted = {run.name: run.result("quality") for run in runs}
        for picture in pictures.report(given.out.absolute(), [section["name"] for section in stack], counted):
            print(f"drawn: {picture}")
        print(f"{sum(each['nuclei'] for each in counted.values()):,} nuclei in {len(runs)} sections")


if __name__ == "__main__":
    main(sys.argv[1:])
