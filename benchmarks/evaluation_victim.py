"""An evaluation that is meant to be killed: digits, a double for a classifier, a cache of cells.

    python -m benchmarks.evaluation_victim FOLDER

Notes the number of rows looked at so far in ``FOLDER/rows`` and waits in the middle of a cell;
``evaluation`` kills it there and counts what a second run has to make again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gatekeeper.evaluation import Answers, Grid, Subject, gather, images_to_judge
from gatekeeper.images import load_dataset
from gatekeeper.testing import FakeClassifier

GRID = Grid(("contrast", "dark"), (1, 3, 5))
N_IMAGES = 600
ROWS, WAITS = "rows", "waits"

_CELLS_BEFORE = 3
_PATIENCE_S = 120.0


class Diary:
    """Notes how many rows were looked at, and waits in the middle of the fourth cell.

    Args:
        folder: Where it is noted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n_rows = 0

    def start(self, stage: str, total: int) -> None:
        """Nothing to note."""

    def advance(self, n: int) -> None:
        """Note the rows; wait for the end where it is to come."""
        self._n_rows += n
        (self._folder / ROWS).write_text(str(self._n_rows), encoding="utf-8")
        if self._n_rows > _CELLS_BEFORE * N_IMAGES:
            (self._folder / WAITS).touch()
            time.sleep(_PATIENCE_S)
            sys.exit("nobody killed this process")


def run(folder: Path, *, to_be_killed: bool) -> tuple[Answers, int]:
    """The evaluation, going on from the cells in the folder.

    Args:
        folder: Of cells and diary.
        to_be_killed: Whether it notes what it does and waits in the middle of a cell.

    Returns:
        The answers, and how many images the classifier looked at for them.
    """
    data = load_dataset("digits", announce=lambda line: None)
    # A hundred steps of grey levels: logits that differ from image to image.
    classifier = FakeClassifier(
        lambda mean: [(mean * 100 * (k + 1)) % 7 for k in range(10)], class_names=data.class_names
    )
    answers = gather(
        Subject(name="double", classifier=classifier, source="benchmark"),
        data,
        images_to_judge(data, limit=N_IMAGES).positions,
        GRID,
        seed=0,
        cache=folder / "cells",
        progress=Diary(folder) if to_be_killed else None,
    )
    return answers, classifier.n_looked


def main(argv: Sequence[str] | None = None) -> None:
    """Look until it is killed."""
    (folder,) = sys.argv[1:] if argv is None else argv
    run(Path(folder), to_be_killed=True)


if __name__ == "__main__":
    main()
