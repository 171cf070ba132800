"""Is a reliability of 0.8 right 8 times of 10, under corruptions that nothing was fitted on?

    python -m benchmarks.calibration --data cifar10:PATH [--seeds 0,1,2] [--out DIR]
    python -m benchmarks.calibration --quick

Each of six groups of corruptions is held out once from predictor and calibrators. A cell is one
corruption at one severity, or the clean images: every test image once. ECE is in 15 bins of equal
width. Intervals redraw base images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.command import run
from benchmarks.demo import Target
from benchmarks.harness import Figure
from benchmarks.held_out import Rotation
from benchmarks.redraws import Ends, Redraws, mean_ends, mean_of
from benchmarks.reliabilities import Reliabilities

TARGETS: Mapping[str, Target] = {
    "ece_held_out_mean": Target(
        0.04, "lower", "high", "debiased ECE of our reliability, mean over the held-out cells"
    ),
    "ece_held_out_worst": Target(
        0.12, "lower", "high", "the worst cell of all classifiers and seeds, with its own interval"
    ),
    "ece_clean_excess": Target(
        0.005,
        "lower",
        "high",
        "ECE on clean images − 95th percentile of its noise floor, mean over held-out groups and "
        "seeds, worst classifier",
    ),
    "accuracy_estimate_error": Target(
        0.03, "lower", "high", "|mean reliability − accuracy|, mean over the held-out cells"
    ),
}
"""What was written down before anything was measured."""

_TABLE_NOTE = (
    "means over cells and seeds; ece_classwise (ECE among the answers of each class), ece_smooth "
    "and the noise floor are of the first seed; nll is null where a certain answer was wrong; "
    "ours and the calibrators of ours without context, and scikit-learn's, are on our score; "
    "temperature and vector scaling learn from clean looks, perturb then calibrate (a temperature) "
    "from corrupted ones"
)

Found = Mapping[str, Reliabilities]


def ece_held_out_mean(found: Found, redraws: Redraws) -> tuple[Ends, str]:
    """Means over cells, classifiers and seeds."""
    seeds = next(iter(found.values())).seeds
    means = {
        name: [float(one.held_out_errors(seed).mean()) for seed in seeds]
        for name, one in found.items()
    }
    ends = []
    for position, seed in enumerate(seeds):
        redrawn = [one.redrawn_held_out_mean(seed, redraws) for one in found.values()]
        value = fmean(values[position] for values in means.values())
        ends.append(redraws.pessimistic(value, np.mean(redrawn, axis=0)))
    return mean_ends(ends), _said({name: fmean(values) for name, values in means.items()})


def ece_held_out_worst(found: Found, redraws: Redraws) -> tuple[Ends, str]:
    """The worst cell of all."""
    cells = {name: one.worst(redraws) for name, one in found.items()}
    said = [
        f"{name}: {ends.value:.4f}, {cell}, seed {seed}"
        for name, (cell, seed, ends) in cells.items()
    ]
    return max((ends for _, _, ends in cells.values()), key=lambda e: e.value), "; ".join(said)


def ece_clean_excess(found: Found, redraws: Redraws) -> tuple[Ends, str]:
    """The worst classifier."""
    ends = {name: one.clean_excess(redraws) for name, one in found.items()}
    said = _said({name: one.value for name, one in ends.items()})
    return max(ends.values(), key=lambda e: e.high), said


def accuracy_estimate_error(found: Found, redraws: Redraws) -> tuple[Ends, str]:
    """Means over cells, classifiers and seeds."""
    seeds = next(iter(found.values())).seeds
    errors = {name: [one.accuracy_error(seed) for seed in seeds] for name, one in found.items()}
    together = [mean_of(estimates) for estimates in zip(*errors.values(), strict=True)]
    ends = mean_ends([redraws.interval(estimate) for estimate in together])
    return ends, _said({name: fmean(e.value for e in kept) for name, kept in errors.items()})


def _said(values: Mapping[str, float]) -> str:
    return "; ".join(f"{name}: {value:.4f}" for name, value in values.items())


_MEASURES = {
    "ece_held_out_mean": ece_held_out_mean,
    "ece_held_out_worst": ece_held_out_worst,
    "ece_clean_excess": ece_clean_excess,
    "accuracy_estimate_error": accuracy_estimate_error,
}


def measure(
    rotations: Mapping[str, Rotation], seeds: Sequence[int]
) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Figures and table."""
    redraws = Redraws(next(iter(rotations.values())).grid.n_images)
    found = {name: Reliabilities(one, seeds) for name, one in rotations.items()}
    figures = []
    for name, wanted in TARGETS.items():
        ends, said = _MEASURES[name](found, redraws)
        figures.append(
            Figure(
                name=name,
                value=ends.value,
                low=ends.low,
                high=ends.high,
                target=wanted.target,
                direction=wanted.direction,
                judged=wanted.judged,
                note=f"{wanted.note}; {said}",
            )
        )
    notes: list[dict[str, Any]] = [{"method": "note", "note": _TABLE_NOTE}]
    return figures, [*notes, *(row for one in found.values() for row in one.rows())]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, judge, print, write."""
    run("calibration", __doc__.split("\n")[0], measure, argv)


if __name__ == "__main__":
    main()
