"""Calibration of one classifier: every way to a reliability in every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.binned import N_BINS, redrawn_errors
from benchmarks.calibrations import CALIBRATIONS
from benchmarks.held_out import Rotation
from benchmarks.ours import OURS
from benchmarks.redraws import Ends, Estimate, Redraws
from gatekeeper.metrics import (
    brier_score,
    debiased_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
    noise_floor,
    smooth_calibration_error,
)
from gatekeeper.types import BoolArray, FloatArray, IntArray

Row = dict[str, Any]

_FLOOR_DRAWS = 50
_FLOOR_DRAWS_CLEAN = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """One condition of *test*, each image once, as one held-out group's fits see it.

    Attributes:
        group: The group that was held out.
        corruption: Its name, "" for clean.
        severity: 1…5, 0 where clean.
        places: Where its rows lie in the arrays of reliabilities, shape (n,), by image.
        correct: Whether each answer is right, shape (n,).
        answered: The class that was answered, shape (n,).
    """

    group: str
    corruption: str
    severity: int
    places: IntArray
    correct: BoolArray
    answered: IntArray

    def __str__(self) -> str:
        """For notes."""
        what = f"{self.corruption} {self.severity}" if self.corruption else "clean images"
        return f"{what} with held-out {self.group}"


class Reliabilities:
    """Measures one classifier.

    Args:
        rotation: Its reliabilities.
        seeds: Of our fits.
    """

    def __init__(self, rotation: Rotation, seeds: Sequence[int]) -> None:
        self.rotation = rotation
        self.seeds = seeds
        self.grid = rotation.grid
        self.groups = tuple(rotation.study.corruptions)
        answers = rotation.answers()
        self.correct = np.asarray(answers["correct"], dtype=bool)
        self.answered = np.argmax(answers["logits"], axis=1)

    @cached_property
    def stated(self) -> dict[tuple[str, int], dict[str, FloatArray]]:
        """Held-out group and seed -> way to a reliability -> reliabilities."""
        return {
            (group, seed): self.rotation.reliabilities(group, seed)
            for group in self.groups
            for seed in self.seeds
        }

    def cells(self, group: str) -> list[Cell]:
        """The held-out cells of a group."""
        return [
            self._cell(group, name, severity, rows)
            for name, severity, rows in self.grid.cells(group)
        ]

    def clean(self, group: str) -> Cell:
        """The clean images, as the fits without the group see them."""
        return self._cell(group, "", 0, np.flatnonzero(self.grid.clean))

    def _cell(self, group: str, name: str, severity: int, rows: IntArray) -> Cell:
        by_image = rows[np.argsort(self.grid.images[rows])]
        return Cell(
            group=group,
            corruption=name,
            severity=severity,
            places=np.searchsorted(self.grid.judged(group), by_image),
            correct=self.correct[by_image],
            answered=self.answered[by_image],
        )

    def of(self, cell: Cell, seed: int, way: str = OURS) -> FloatArray:
        """Reliabilities of a cell, shape (n,), float64."""
        return self.stated[cell.group, seed][way][cell.places].astype(np.float64)

    @cached_property
    def held_out_cells(self) -> list[Cell]:
        """All held-out cells, group by group."""
        return [cell for group in self.groups for cell in self.cells(group)]

    def held_out_errors(self, seed: int) -> FloatArray:
        """Debiased ECE of ours in every held-out cell."""
        return np.array(
            [
                debiased_calibration_error(self.of(cell, seed), cell.correct, n_bins=N_BINS)
                for cell in self.held_out_cells
            ]
        )

    def redrawn_held_out_mean(self, seed: int, redraws: Redraws) -> FloatArray:
        """The mean of :meth:`held_out_errors` in every redraw."""
        found = [self._redrawn(cell, seed, redraws, debiased=True) for cell in self.held_out_cells]
        return np.mean(found, axis=0)

    def worst(self, redraws: Redraws) -> tuple[Cell, int, Ends]:
        """The held-out cell and seed with the largest debiased ECE of ours, and its interval."""
        errors = {seed: self.held_out_errors(seed) for seed in self.seeds}
        seed = max(errors, key=lambda one: errors[one].max())
        position = int(np.argmax(errors[seed]))
        cell = self.held_out_cells[position]
        redrawn = self._redrawn(cell, seed, redraws, debiased=True)
        return cell, seed, redraws.pessimistic(float(errors[seed][position]), redrawn)

    def clean_excess(self, redraws: Redraws) -> Ends:
        """ECE of ours on clean images − 95th percentile of its noise floor, mean over fits."""
        ends = []
        for group in self.groups:
            cell = self.clean(group)
            for seed in self.seeds:
                stated = self.of(cell, seed)
                error = expected_calibration_error(stated, cell.correct, n_bins=N_BINS)
                floor = noise_floor(
                    stated, n_bins=N_BINS, n_draws=_FLOOR_DRAWS_CLEAN, seed=seed
                ).p95
                found = redraws.pessimistic(
                    error, self._redrawn(cell, seed, redraws, debiased=False)
                )
                ends.append((found.value - floor, found.low - floor, found.high - floor))
        value, low, high = np.mean(ends, axis=0).tolist()
        return Ends(value=value, low=low, high=high)

    def accuracy_error(self, seed: int) -> Estimate:
        """Mean over held-out cells of |mean reliability − accuracy|."""
        gaps, influences = [], []
        for cell in self.held_out_cells:
            difference = self.of(cell, seed) - cell.correct
            mean = float(difference.mean())
            gaps.append(abs(mean))
            influences.append(np.sign(mean) * (difference - mean) / len(difference))
        return Estimate(value=fmean(gaps), influence=np.mean(influences, axis=0))

    def _redrawn(self, cell: Cell, seed: int, redraws: Redraws, *, debiased: bool) -> FloatArray:
        stated = self.of(cell, seed)
        return redrawn_errors(stated, cell.correct, redraws.times, debiased=debiased)

    def rows(self) -> list[Row]:
        """Every way × group, over its cells; the same by severity; and on clean images."""
        found = []
        for group in self.groups:
            cells = self.cells(group)
            levels = sorted({cell.severity for cell in cells})
            pools: list[tuple[Row, list[Cell]]] = [
                ({"pool": "held-out"}, cells),
                ({"pool": "clean"}, [self.clean(group)]),
                *(
                    ({"pool": "held-out", "severity": s}, [c for c in cells if c.severity == s])
                    for s in levels
                ),
            ]
            for way in CALIBRATIONS:
                numbers = {
                    id(cell): self._numbers(cell, way) for _, kept in pools[:2] for cell in kept
                }
                for place, kept in pools:
                    head = {"method": way, "classifier": self.rotation.classifier, "group": group}
                    said = [numbers[id(cell)] for cell in kept]
                    found.append({**head, **place, **over_cells(said, short="severity" in place)})
        return found

    def _numbers(self, cell: Cell, way: str) -> dict[str, float]:
        """The numbers of one cell: means over the seeds, or of the first where they are slow."""
        seeds = [_quick_numbers(self.of(cell, seed, way), cell.correct) for seed in self.seeds]
        means = {key: fmean(one[key] for one in seeds) for key in seeds[0]}
        return means | _slow_numbers(self.of(cell, self.seeds[0], way), cell, self.seeds[0])


def _quick_numbers(stated: FloatArray, correct: BoolArray) -> dict[str, float]:
    return {
        "ece": expected_calibration_error(stated, correct, n_bins=N_BINS),
        "ece_mass": expected_calibration_error(stated, correct, n_bins=N_BINS, binning="mass"),
        "ece_debiased": debiased_calibration_error(stated, correct, n_bins=N_BINS),
        "brier": brier_score(stated, correct),
        "nll": negative_log_likelihood(stated, correct),
        "accuracy": float(correct.mean()),
        "mean_reliability": float(stated.mean()),
        "accuracy_error": abs(float(stated.mean() - correct.mean())),
    }


def _slow_numbers(stated: FloatArray, cell: Cell, seed: int) -> dict[str, float]:
    floor = noise_floor(stated, n_bins=N_BINS, n_draws=_FLOOR_DRAWS, seed=seed)
    return {
        "ece_classwise": error_by_class(stated, cell.correct, cell.answered),
        "ece_smooth": smooth_calibration_error(stated, cell.correct),
        "noise_floor": floor.mean,
        "noise_floor_p95": floor.p95,
    }


def error_by_class(stated: FloatArray, correct: BoolArray, answered: IntArray) -> float:
    """ECE among the answers of each class, mean weighted by their number.

    A reliability speaks of the answer alone, so classes are those that were answered.

    Args:
        stated: Reliabilities, shape (n,).
        correct: Whether each answer is right, shape (n,).
        answered: The class that was answered, shape (n,).
    """
    total = 0.0
    for label in np.unique(answered):
        of_class = answered == label
        error = expected_calibration_error(stated[of_class], correct[of_class], n_bins=N_BINS)
        total += error * int(of_class.sum())
    return total / len(answered)


_SHORT = ("ece", "ece_debiased", "brier", "accuracy", "mean_reliability", "accuracy_error")


def over_cells(cells: Sequence[Mapping[str, float]], *, short: bool) -> Row:
    """Means over cells to 5 digits, and the worst debiased ECE; null where one is infinite.

    Args:
        cells: Numbers of each cell, at least one.
        short: Whether only the most telling numbers are kept.
    """
    keys = _SHORT if short else tuple(cells[0])
    means = {key: fmean(cell[key] for cell in cells) for key in keys}
    means["ece_debiased_worst"] = max(cell["ece_debiased"] for cell in cells)
    rounded = {key: round(mean, 5) if np.isfinite(mean) else None for key, mean in means.items()}
    return {"cells": len(cells), **rounded}
