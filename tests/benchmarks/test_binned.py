"""The calibration error of redrawn images is that of the metrics on the redrawn rows."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.binned import redrawn_errors
from benchmarks.redraws import Redraws
from gatekeeper.metrics import debiased_calibration_error, expected_calibration_error


@pytest.mark.parametrize(
    ("debiased", "metric"),
    [(False, expected_calibration_error), (True, debiased_calibration_error)],
)
@pytest.mark.parametrize("n", [5, 400])
def test_each_redraw_is_measured_as_its_rows(
    rng: np.random.Generator, debiased: bool, metric: object, n: int
) -> None:
    reliability = np.append(rng.random(n - 2), [0.2, 1.0])  # an edge and the closed end
    correct = rng.random(n) < reliability**2
    times = Redraws(n, n_draws=30).times
    found = redrawn_errors(reliability, correct, times, debiased=debiased)
    for drawn, error in zip(times.astype(int), found, strict=True):
        rows = np.repeat(np.arange(n), drawn)
        assert error == pytest.approx(metric(reliability[rows], correct[rows]), abs=1e-12)


def test_every_image_once_is_the_error_itself() -> None:
    found = redrawn_errors(
        np.array([0.95, 1.0]), np.array([True, False]), np.ones((1, 2)), debiased=False
    )
    assert found.tolist() == pytest.approx([0.475])


@pytest.mark.parametrize("correct", [True, False])
def test_all_right_or_all_wrong(correct: bool) -> None:
    found = redrawn_errors(
        np.array([0.75, 0.75]), np.array([correct, correct]), np.array([[2, 0]]), debiased=True
    )
    assert found.tolist() == pytest.approx([0.25 if correct else 0.75])
