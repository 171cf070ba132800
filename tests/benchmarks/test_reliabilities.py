"""Cells, and what is measured in them, against plain loops over made-up reliabilities."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest

from benchmarks.calibrations import CALIBRATIONS
from benchmarks.ours import OURS
from benchmarks.redraws import Redraws
from benchmarks.reliabilities import Reliabilities, error_by_class, over_cells
from gatekeeper.metrics import (
    debiased_calibration_error,
    expected_calibration_error,
    noise_floor,
)
from tests.benchmarks.stub_rotation import CORRUPTIONS, N_IMAGES, StubRotation

SEEDS = (0, 2)


@pytest.fixture(scope="module")
def rotation() -> StubRotation:
    return StubRotation("first")


@pytest.fixture(scope="module")
def found(rotation: StubRotation) -> Reliabilities:
    return Reliabilities(rotation, SEEDS)


def cell_rows(rotation: StubRotation) -> list[np.ndarray]:
    """Rows of every held-out cell, in the order of groups, names and severities."""
    return [
        np.flatnonzero((rotation.kinds == name) & (rotation.grid.severities == severity))
        for names in CORRUPTIONS.values()
        for name in names
        for severity in (1, 5)
    ]


def stated(rotation: StubRotation, rows: np.ndarray, seed: int) -> np.ndarray:
    return np.clip(rotation.chance[rows] + 0.02 * (1 + seed), 0.0, 1.0)


def test_cells_pick_their_own_rows(rotation: StubRotation, found: Reliabilities) -> None:
    cells = found.held_out_cells
    assert [str(cell) for cell in cells][:2] == [
        "gaussian_noise 1 with held-out noise",
        "gaussian_noise 5 with held-out noise",
    ]
    for cell, rows in zip(cells, cell_rows(rotation), strict=True):
        assert found.of(cell, 2).tolist() == pytest.approx(stated(rotation, rows, 2).tolist())
        assert (cell.correct == rotation.correct[rows]).all()
    clean = found.clean("digital")
    assert str(clean) == "clean images with held-out digital"
    assert (clean.correct == rotation.correct[:N_IMAGES]).all()


def test_mean_and_worst_debiased_error(rotation: StubRotation, found: Reliabilities) -> None:
    errors = {
        seed: [
            debiased_calibration_error(stated(rotation, rows, seed), rotation.correct[rows])
            for rows in cell_rows(rotation)
        ]
        for seed in SEEDS
    }
    for seed in SEEDS:
        assert found.held_out_errors(seed).tolist() == pytest.approx(errors[seed])
    cell, seed, ends = found.worst(Redraws(N_IMAGES, n_draws=50))
    assert ends.value == pytest.approx(max(max(kept) for kept in errors.values()))
    assert errors[seed][[str(c) for c in found.held_out_cells].index(str(cell))] == ends.value
    assert ends.low < ends.value < ends.high


def test_redrawing_every_image_once_gives_the_mean_itself(found: Reliabilities) -> None:
    redraws = Redraws(N_IMAGES, n_draws=1)
    redraws.times = np.ones((1, N_IMAGES), dtype=np.float32)
    redrawn = found.redrawn_held_out_mean(0, redraws)
    assert redrawn.tolist() == pytest.approx([found.held_out_errors(0).mean()])


def test_clean_excess_is_the_error_beyond_its_floor(
    rotation: StubRotation, found: Reliabilities
) -> None:
    rows = np.arange(N_IMAGES)
    excesses = []
    for seed in SEEDS:
        values = stated(rotation, rows, seed)
        error = expected_calibration_error(values, rotation.correct[rows])
        excesses.append(error - noise_floor(values, n_draws=1000, seed=seed).p95)
    ends = found.clean_excess(Redraws(N_IMAGES, n_draws=50))
    assert ends.value == pytest.approx(fmean(excesses))
    assert ends.low < ends.value < ends.high


def test_accuracy_error_and_its_influence(rotation: StubRotation, found: Reliabilities) -> None:
    cells = cell_rows(rotation)

    def error(weights: np.ndarray) -> float:
        gaps = []
        for rows in cells:
            difference = stated(rotation, rows, 0) - rotation.correct[rows]
            gaps.append(abs(weights @ difference / weights.sum()))
        return fmean(gaps)

    estimate = found.accuracy_error(0)
    assert estimate.value == pytest.approx(error(np.ones(N_IMAGES)))
    step = 1e-6
    for image in (0, 17, 59):
        bump = np.zeros(N_IMAGES)
        bump[image] = step
        slope = (error(1 + bump) - error(1 - bump)) / (2 * step)
        assert estimate.influence[image] == pytest.approx(slope, abs=1e-8)


def test_rows_cover_every_way_group_and_severity(
    rotation: StubRotation, found: Reliabilities
) -> None:
    rows = found.rows()
    assert len(rows) == len(CALIBRATIONS) * len(CORRUPTIONS) * (2 + 2)
    ours = [row for row in rows if row["method"] == OURS and row["group"] == "noise"]
    whole = next(row for row in ours if row["pool"] == "held-out" and "severity" not in row)
    errors = np.mean([found.held_out_errors(seed)[:4] for seed in SEEDS], axis=0)
    assert whole["cells"] == 4
    assert whole["ece_debiased"] == pytest.approx(errors.mean(), abs=1e-5)
    assert whole["ece_debiased_worst"] == pytest.approx(errors.max(), abs=1e-5)
    accuracy = rotation.correct[np.isin(rotation.kinds, CORRUPTIONS["noise"])].mean()
    assert whole["accuracy"] == pytest.approx(accuracy, abs=1e-5)
    severe = next(row for row in ours if row.get("severity") == 5)
    assert severe["ece_debiased"] == pytest.approx(errors[[1, 3]].mean(), abs=1e-5)


def test_a_certain_answer_that_was_wrong_makes_the_likelihood_null() -> None:
    cells = [{"ece_debiased": 0.1, "nll": 0.5}, {"ece_debiased": 0.3, "nll": np.inf}]
    assert over_cells(cells, short=False) == {
        "cells": 2,
        "ece_debiased": 0.2,
        "nll": None,
        "ece_debiased_worst": 0.3,
    }


def test_error_by_answered_class_by_hand() -> None:
    """Too sure of class 4, too unsure of class 1: together they would look calibrated."""
    stated = np.array([0.7, 0.7, 0.7, 0.7])
    correct = np.array([True, True, True, False])
    assert error_by_class(stated, correct, np.array([1, 1, 1, 4])) == pytest.approx(
        (3 * 0.3 + 1 * 0.7) / 4
    )
    assert error_by_class(stated, correct, np.zeros(4, dtype=int)) == pytest.approx(0.05)
