"""Bootstrap intervals: the normal one for a mean, coverage, clusters, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.metrics.bootstrap import bootstrap_interval, interval_of_redraws
from gatekeeper.metrics.calibration import (
    brier_score,
    debiased_calibration_error,
    expected_calibration_error,
)
from tests.metrics.test_calibration import sample


def test_bootstrap_interval_of_a_mean_is_the_normal_one():
    reliability, correct = sample(2000, 8)
    interval = bootstrap_interval(brier_score, reliability, correct, seed=0)
    half_width = 1.96 * np.std(np.square(reliability - correct)) / math.sqrt(2000)
    assert interval.value == brier_score(reliability, correct)
    assert interval.high - interval.value == pytest.approx(half_width, rel=0.12)
    assert interval.value - interval.low == pytest.approx(half_width, rel=0.12)


def test_bootstrap_interval_covers_the_true_calibration_error():
    truth = expected_calibration_error(*sample(1_000_000, 9, overstated=0.03))
    intervals = [
        bootstrap_interval(
            debiased_calibration_error,
            *sample(1000, seed, overstated=0.03),
            n_draws=120,
            seed=seed,
        )
        for seed in range(40)
    ]
    assert sum(i.low <= truth <= i.high for i in intervals) >= 36
    assert np.mean([i.high - i.low for i in intervals]) < 0.1


def test_bootstrap_over_images_does_not_mistake_copies_for_evidence():
    reliability, correct = sample(300, 10)
    copies = 4
    repeated = (np.tile(reliability, copies), np.tile(correct, copies))
    images = np.tile(np.arange(300), copies)
    alone = bootstrap_interval(brier_score, reliability, correct, seed=1)
    whole = bootstrap_interval(brier_score, *repeated, images=images, seed=1)
    naive = bootstrap_interval(brier_score, *repeated, seed=1)
    # The same images are drawn with the same seed, so the intervals are the same.
    assert (whole.low, whole.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    assert naive.high - naive.low == pytest.approx((alone.high - alone.low) / 2, rel=0.12)


def test_bootstrap_is_cut_at_zero_and_repeats_with_its_seed():
    reliability, correct = sample(400, 13)
    first = bootstrap_interval(debiased_calibration_error, reliability, correct, n_draws=50, seed=3)
    assert first.low == 0.0
    assert first == bootstrap_interval(
        debiased_calibration_error, reliability, correct, n_draws=50, seed=3
    )


@pytest.mark.parametrize("bad", [-0.5, math.nan, math.inf])
def test_bootstrap_refuses_metrics_around_which_an_interval_means_nothing(bad):
    with pytest.raises(InputError, match="finite and at least 0"):
        bootstrap_interval(lambda *_: bad, [0.5, 0.6], [True, False], seed=0)


def test_an_interval_of_anything_that_has_rows_is_the_same():
    reliability, correct = sample(200, 11)
    losses = np.square(reliability - correct)
    direct = interval_of_redraws(lambda rows: float(losses[rows].mean()), 200, seed=5)
    assert direct == bootstrap_interval(brier_score, reliability, correct, seed=5)


def test_options_outside_their_range_are_refused():
    with pytest.raises(InputError, match="n_draws must be at least 1"):
        bootstrap_interval(brier_score, [0.5], [True], n_draws=0, seed=0)
    with pytest.raises(InputError, match="confidence_level"):
        bootstrap_interval(brier_score, [0.5], [True], confidence_level=1.0, seed=0)
