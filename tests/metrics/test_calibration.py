"""Calibration metrics by hand arithmetic, closed forms, simulation and torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from gatekeeper.errors import InputError
from gatekeeper.metrics.bootstrap import bootstrap_interval
from gatekeeper.metrics.calibration import (
    brier_score,
    debiased_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_bins,
)
from gatekeeper.metrics.noise_floor import noise_floor
from gatekeeper.metrics.smooth import calibration_error_at_width, smooth_calibration_error

SAMPLES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.29, 0.5, 0.5, 0.9, 1.0]), st.booleans()),
    min_size=1,
    max_size=40,
)


def sample(n, seed, *, overstated=0.0):
    rng = np.random.default_rng(seed)
    reliability = rng.beta(4.0, 1.5, n)
    return reliability, rng.random(n) < reliability - overstated


def test_ece_by_hand():
    # Two of ten bins: [.1, .2) states .15 and is right half the time, [.9, 1] states .95, once.
    reliability = [0.12, 0.18, 0.92, 0.94, 1.0, 0.94]
    correct = [True, False, True, True, False, False]
    expected = (2 * abs(0.15 - 0.5) + 4 * abs(0.95 - 0.5)) / 6
    assert expected_calibration_error(reliability, correct, n_bins=10) == pytest.approx(expected)


def test_ece_of_one_image_and_of_perfect_certainty():
    assert expected_calibration_error([0.7], [True]) == pytest.approx(0.3)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0.0
    assert expected_calibration_error([1.0, 0.0], [False, True]) == 1.0


def test_ece_is_that_of_torchmetrics():
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.functional.classification")
    reliability, correct = sample(2000, 1)
    expected = classification.binary_calibration_error(
        # In double precision; torchmetrics asks "is class 1 the truth" of probabilities.
        torch.tensor(reliability),
        torch.tensor(correct.astype(int)),
        n_bins=15,
    )
    assert expected_calibration_error(reliability, correct) == pytest.approx(
        float(expected), abs=1e-6
    )


def test_mass_ece_by_hand():
    reliability, correct = [0.9, 0.6, 0.7, 1.0], [True, False, True, True]
    expected = (2 * abs(0.65 - 0.5) + 2 * abs(0.95 - 1.0)) / 4
    assert expected_calibration_error(
        reliability, correct, n_bins=2, binning="mass"
    ) == pytest.approx(expected)


@given(SAMPLES, st.sampled_from(["width", "mass"]), st.randoms(use_true_random=False))
def test_ece_does_not_depend_on_row_order_and_the_debiased_one_is_never_larger(rows, how, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    here, there = (
        expected_calibration_error(*zip(*order, strict=True), n_bins=5, binning=how)
        for order in (rows, shuffled)
    )
    assert here == pytest.approx(there, abs=1e-12)
    debiased = debiased_calibration_error(*zip(*rows, strict=True), n_bins=5, binning=how)
    assert 0.0 <= debiased <= here + 1e-12


def test_debiased_error_of_one_bin_by_hand():
    # 100 rows that state .8, 70 right: gap .1, spread sqrt(.7 * .3 / 100).
    reliability, correct = np.full(100, 0.8), np.arange(100) < 70
    spread = math.sqrt(0.7 * 0.3 / 100)
    folded = stats.foldnorm(c=0.1 / spread, scale=spread).mean()
    assert debiased_calibration_error(reliability, correct) == pytest.approx(0.2 - folded)


def test_debiasing_against_sampling_as_in_the_paper():
    reliability, correct = sample(400, 2, overstated=0.05)
    bins = reliability_bins(reliability, correct)
    spread = np.sqrt(bins.accuracy * (1 - bins.accuracy) / bins.count)
    draws = np.random.default_rng(3).normal(bins.accuracy, spread, size=(40_000, len(spread)))
    weight = bins.count / bins.count.sum()
    resampled = np.mean(np.abs(draws - bins.mean_reliability) @ weight)
    plain = expected_calibration_error(reliability, correct)
    debiased = debiased_calibration_error(reliability, correct)
    assert debiased == pytest.approx(2 * plain - resampled, abs=5e-4)
    assert debiased < plain - 0.005


def test_debiased_error_is_closer_to_the_truth_and_cut_at_zero():
    truth = expected_calibration_error(*sample(1_000_000, 4, overstated=0.03))
    pairs = [sample(1000, seed, overstated=0.03) for seed in range(40)]
    plain = np.mean([expected_calibration_error(*pair) for pair in pairs])
    debiased = np.mean([debiased_calibration_error(*pair) for pair in pairs])
    assert plain > truth + 0.01
    assert abs(debiased - truth) < 0.5 * abs(plain - truth)
    # Exactly calibrated by chance: the correction would go below zero.
    assert debiased_calibration_error([0.5] * 4, [True, True, False, False]) == 0.0


def test_bins_without_spread_are_not_corrected():
    reliability, correct = [0.7, 0.2], [True, False]
    assert debiased_calibration_error(reliability, correct) == pytest.approx(0.25)


def test_brier_and_nll_are_those_of_scikit_learn():
    reliability, correct = sample(500, 6)
    assert brier_score(reliability, correct) == pytest.approx(
        sklearn_metrics.brier_score_loss(correct, reliability)
    )
    assert negative_log_likelihood(reliability, correct) == pytest.approx(
        sklearn_metrics.log_loss(correct, reliability)
    )


def test_brier_and_nll_by_hand():
    reliability, correct = [0.8, 0.4], [True, True]
    assert brier_score(reliability, correct) == pytest.approx((0.04 + 0.36) / 2)
    assert negative_log_likelihood(reliability, correct) == pytest.approx(
        -(math.log(0.8) + math.log(0.4)) / 2
    )


def test_nll_of_certainty_is_nothing_or_everything():
    assert math.copysign(1.0, negative_log_likelihood([1.0, 0.0], [True, False])) == 1.0
    assert negative_log_likelihood([1.0, 0.0], [True, False]) == 0.0
    assert negative_log_likelihood([1.0, 0.9], [False, True]) == math.inf
    assert negative_log_likelihood([0.0, 0.9], [True, True]) == math.inf


def test_reliability_bins_by_hand():
    bins = reliability_bins([0.1, 0.3, 0.8, 0.9, 0.7], [False, True, True, True, True], n_bins=2)
    assert bins.mean_reliability == pytest.approx([0.2, 0.8])
    assert bins.accuracy == pytest.approx([0.5, 1.0])
    assert bins.count.tolist() == [2, 3]
    expected = [stats.binomtest(k, n).proportion_ci(0.95, "exact") for k, n in ((1, 2), (3, 3))]
    assert bins.low == pytest.approx([end.low for end in expected])
    assert bins.high == pytest.approx([end.high for end in expected])


@pytest.mark.parametrize(
    "metric",
    [
        expected_calibration_error,
        debiased_calibration_error,
        brier_score,
        negative_log_likelihood,
        reliability_bins,
        lambda r, c: bootstrap_interval(brier_score, r, c, seed=0),
        smooth_calibration_error,
        lambda r, c: calibration_error_at_width(r, c, width=0.1),
    ],
)
@pytest.mark.parametrize(
    ("reliability", "correct"),
    [
        ([0.5, 1.01], [True, False]),
        ([0.5, -0.01], [True, False]),
        ([0.5, math.nan], [True, False]),
        ([0.5, 0.6], [True]),
        ([0.5, 0.6], [1, 0]),
        ([], []),
    ],
)
def test_bad_input_is_refused_by_every_metric(metric, reliability, correct):
    with pytest.raises(InputError):
        metric(reliability, correct)


def test_bad_options_are_refused():
    reliability, correct = [0.5, 0.6], [True, False]
    with pytest.raises(InputError, match="n_bins"):
        expected_calibration_error(reliability, correct, n_bins=0)
    with pytest.raises(InputError, match="binning"):
        expected_calibration_error(reliability, correct, binning="kernel")
    with pytest.raises(InputError, match="n_draws"):
        noise_floor(reliability, n_draws=0, seed=0)
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        noise_floor([1.2], seed=0)
    with pytest.raises(InputError, match="images"):
        bootstrap_interval(brier_score, reliability, correct, images=["a"], seed=0)
    with pytest.raises(InputError, match="confidence_level"):
        reliability_bins(reliability, correct, confidence_level=95)
