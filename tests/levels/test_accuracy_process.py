from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.levels.accuracy_process import (
    AccuracyProcess,
    accuracy_of_angle,
    is_reliable,
    least_correct,
    stabilised,
)
from gatekeeper.levels.gaussian_process import Hyperparameters


@pytest.mark.parametrize(
    ("threshold", "n", "least"),
    [(0.95, 200, 190), (0.951, 200, 191), (1.0, 7, 7), (0.7, 10, 7), (0.29, 100, 29), (0.01, 3, 1)],
)
def test_a_level_at_the_threshold_is_reliable(threshold, n, least):
    assert least_correct(threshold, n) == least
    assert is_reliable(np.array([least - 1, least, n]), n, threshold).tolist() == [
        False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize("threshold", [0.0, 1.01, -0.5, float("nan")])
def test_a_threshold_is_a_share(threshold):
    with pytest.raises(InputError, match=r"\(0, 1\]"):
        least_correct(threshold, 10)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_the_variance_of_an_angle_does_not_depend_on_the_accuracy(share):
    n = 200
    counts = np.arange(n + 1)
    weights = binom.pmf(counts, n, share)
    angles = stabilised(counts, n)
    mean = weights @ angles
    variance = weights @ (angles - mean) ** 2
    assert variance == pytest.approx(AccuracyProcess(n).noise_variance, rel=0.01)


def test_angles_come_back():
    counts = np.array([0, 1, 57, 199, 200])
    assert accuracy_of_angle(stabilised(counts, 200), 200) == pytest.approx(counts / 200)
    assert accuracy_of_angle(np.array([-1.0, 9.0]), 200).tolist() == [0.0, 1.0]


def test_the_verdict_is_the_normal_tail_by_hand():
    points, counts = np.array([[0.1], [0.5], [0.9]]), np.array([198, 190, 120])
    chosen = Hyperparameters(signal_std=0.3, lengths=(0.4,), noise_share=0.5)
    process = AccuracyProcess(200).fit(points, counts, hyperparameters=chosen)
    new = np.array([[0.3], [0.7]])
    known = process.posterior(new)
    limit = np.arcsin(np.sqrt((179.5 + 0.375) / 200.75))
    total = np.sqrt(known.std**2 + 0.5 / 802)
    verdict = process.verdict(new, 0.9)
    assert verdict.probability == pytest.approx(norm.cdf((known.mean - limit) / total))
    assert verdict.margin == pytest.approx(known.mean - limit)
    assert verdict.std == pytest.approx(known.std)
    assert process.accuracy(new) == pytest.approx(accuracy_of_angle(known.mean, 200))


def test_levels_that_were_tried_get_their_label():
    points = np.linspace(0, 1, 9)[:, None]
    counts = np.array([199, 198, 197, 190, 180, 160, 140, 100, 60])
    process = AccuracyProcess(200).fit(points, counts)
    verdict = process.verdict(points, 0.95)
    assert (verdict.margin >= 0).tolist() == is_reliable(counts, 200, 0.95).tolist()
    assert process.hyperparameters is not None


def test_wrong_use_is_refused():
    with pytest.raises(InputError, match="at least one image"):
        AccuracyProcess(0)
    with pytest.raises(NotFittedError, match="fit before verdict"):
        AccuracyProcess(5).verdict(np.zeros((1, 1)), 0.5)
    with pytest.raises(InputError, match="0…5"):
        AccuracyProcess(5).fit(np.zeros((2, 1)), np.array([0, 6]))
