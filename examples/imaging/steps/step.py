"""What the programs have in common: they read an input, write an output, and leave files whole or not at all."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def main(work: Callable[[dict[str, Any]], Any]) -> None:
    """Do a step as a program: ``--input_json IN --output_json OUT``."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=work.__doc__)
    parser.add_argument("--input_json", type=Path, required=True)
    parser.add_argument("--output_json", type=Path, required=True)
    given = parser.parse_args()
    output = work(json.loads(given.input_json.read_text("utf-8")))
    given.output_json.write_text(json.dumps(output), "utf-8")


def save(path: Path, image: NDArray[Any]) -> str:
    """Keep an image; whoever looks meanwhile finds it whole, or not yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f".{path.name}.{os.getpid()}.npy")
    np.save(mine, image)
    mine.replace(path)
    return str(path)


def load(path: str) -> NDArray[Any]:
    """An image as it was kept."""
    found: NDArray[Any] = np.load(path)
    return found
