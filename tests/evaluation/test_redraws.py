"""Weighted metrics against the metrics themselves on rows that are really repeated."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.evaluation.redraws import Ranking, StatedBins, estimate, redraws
from gatekeeper.metrics import (
    RiskCoverageCurve,
    augrc,
    aurc,
    brier_score,
    debiased_calibration_error,
    expected_calibration_error,
    failure_auroc,
)


@pytest.fixture
def answers(rng):
    stated = np.round(rng.random((3, 60)), 2)  # with ties
    return stated, rng.random((3, 60)) < stated


def repeated(array, times):
    return np.repeat(array, times, axis=1).ravel()


def test_redraws_hold_as_many_images_as_there_are():
    times = redraws(50, n_draws=400, seed=1)
    assert times.shape == (400, 50)
    assert (times.sum(axis=1) == 50).all()
    # Each count is binomial(50, 1/50): mean 1, variance 0.98.
    assert times.var() == pytest.approx(0.98, abs=0.05)
    assert np.array_equal(times, redraws(50, n_draws=400, seed=1))
    assert not np.array_equal(times, redraws(50, n_draws=400, seed=2))


def test_a_ranking_measures_what_the_metrics_do_on_repeated_rows(answers):
    stated, correct = answers
    ranking = Ranking(stated, correct)
    for times in [np.ones(60, dtype=int), *redraws(60, n_draws=5, seed=0)]:
        scores, right = repeated(stated, times), repeated(correct, times)
        found = ranking.measure(times, 0.3)
        assert found["aurc"] == pytest.approx(aurc(scores, right), abs=1e-12)
        assert found["augrc"] == pytest.approx(augrc(scores, right), abs=1e-12)
        assert found["failure_auroc"] == pytest.approx(failure_auroc(scores, right), abs=1e-12)
        curve = RiskCoverageCurve.from_scores(scores, right)
        assert found["coverage_at_risk"] == pytest.approx(curve.coverage_at_risk(0.3), abs=1e-12)


def test_a_ranking_of_right_answers_alone_has_no_failure_auroc():
    found = Ranking(np.array([[0.5, 0.7]]), np.array([[True, True]])).measure(np.array([1, 1]), 0.1)
    assert np.isnan(found["failure_auroc"])
    assert found["aurc"] == found["augrc"] == 0.0
    assert found["coverage_at_risk"] == 1.0


def test_stated_bins_measure_what_the_metrics_do_on_repeated_rows(answers):
    stated, correct = answers
    times = np.concatenate([np.ones((1, 60), dtype=int), redraws(60, n_draws=5, seed=0)])
    found = StatedBins(stated, correct).measure(times)
    metrics = {
        "ece": expected_calibration_error,
        "ece_debiased": debiased_calibration_error,
        "brier": brier_score,
    }
    for row, each in enumerate(times):
        given = repeated(stated, each), repeated(correct, each)
        for name, metric in metrics.items():
            assert found[name][row] == pytest.approx(metric(*given), abs=1e-9), name


def test_an_interval_takes_the_wider_of_percentile_and_basic():
    draws = np.concatenate([np.linspace(0.2, 0.6, 1001), [np.nan]])
    found = estimate(0.3, draws)
    # Percentile 0.21 … 0.59; reflected at 0.3: 0.01 … 0.39.
    assert found.low == pytest.approx(0.01)
    assert found.high == pytest.approx(0.59)
    assert estimate(0.05, draws, lowest=0.0).low == 0.0
    assert estimate(0.3, np.array([np.nan])).low is None
