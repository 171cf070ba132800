"""From a recipe to a bundle, its figures, its report and its registered version.

What the commands ``demo`` and ``fit`` share: they differ in the recipe alone.
"""

from __future__ import annotations

from gatekeeper.demonstration.running import (
    Run,
    Stopwatch,
    classifier_of,
    run,
    second_opinion_of,
    split_sizes,
    splits_of,
)
from gatekeeper.demonstration.summary import (
    noise_rows,
    peak_memory_gb,
    summarise_run,
    versions,
)
from gatekeeper.demonstration.writing import Written, reproduce, write

__all__ = [
    "Run",
    "Stopwatch",
    "Written",
    "classifier_of",
    "noise_rows",
    "peak_memory_gb",
    "reproduce",
    "run",
    "second_opinion_of",
    "split_sizes",
    "splits_of",
    "summarise_run",
    "versions",
    "write",
]
