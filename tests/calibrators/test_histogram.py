"""Histogram binning by hand, against numpy's quantiles and a binomial's spread."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from gatekeeper.calibrators import HistogramCalibrator, LogisticCalibrator
from gatekeeper.errors import InputError
from tests.contracts.calibrator import CalibratorContract


class TestContract(CalibratorContract):
    least_distinct = 8  # bins share a reliability; that is what it is

    def build(self):
        return HistogramCalibrator()


def test_by_hand():
    """Bins {0, 1}, {2, 3}, {4, 5}, {6, 7}: 1, 0, 1, 2 right of 2; the first two pool to 1 of 4."""
    correct = np.array([1, 0, 0, 0, 0, 1, 1, 1], dtype=bool)
    calibrator = HistogramCalibrator(n_bins=4).fit(np.arange(8.0), correct)
    assert calibrator.floors_.tolist() == [4.0, 6.0]
    np.testing.assert_allclose(calibrator.values_, [1 / 4, 1 / 2, 3 / 4])
    looked_up = calibrator.reliability(np.array([-9.0, 3.9, 4.0, 5.9, 6.0, 9.0]))
    np.testing.assert_allclose(looked_up, [1 / 4, 1 / 4, 1 / 2, 1 / 2, 3 / 4, 3 / 4])


def test_bins_hold_equal_numbers_and_their_shares(rng):
    scores = rng.permutation(1_000) * 0.1
    correct = rng.random(1_000) < special.expit((scores - 50.0) / 10.0)
    calibrator = HistogramCalibrator(n_bins=5).fit(scores, correct)
    np.testing.assert_allclose(calibrator.floors_, [20.0, 40.0, 60.0, 80.0])
    ordered = correct[np.argsort(scores)].reshape(5, 200).mean(axis=1)
    assert (np.diff(ordered) > 0.0).all()
    np.testing.assert_allclose(calibrator.values_[1:-1], ordered[1:-1])


def test_equal_scores_share_a_bin():
    """Of four bins the second begins within the tie: the rows at 1 all fall into the first."""
    scores = np.array([0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0])
    correct = np.array([0, 1, 0, 0, 0, 1, 1, 0], dtype=bool)
    calibrator = HistogramCalibrator(n_bins=4).fit(scores, correct)
    assert calibrator.floors_.tolist() == [2.0]
    np.testing.assert_allclose(calibrator.values_, [1 / 5, 2 / 3])
    again = HistogramCalibrator(n_bins=4).fit(scores[::-1], correct[::-1])
    np.testing.assert_array_equal(again.values_, calibrator.values_)


def test_the_error_of_a_bin_is_that_of_a_proportion(rng):
    found = []
    for _ in range(400):
        scores = rng.uniform(size=300)
        calibrator = HistogramCalibrator(n_bins=3).fit(
            scores, rng.random(300) < 0.2 + 0.3 * (scores * 3 // 1)
        )
        found.append(calibrator.reliability(np.array([0.5]))[0])
    assert np.mean(found) == pytest.approx(0.5, abs=0.006)
    assert np.std(found) == pytest.approx(np.sqrt(0.25 / 100), rel=0.12)


def test_one_bin_gives_everyone_the_same(rng):
    correct = rng.random(50) < 0.7
    calibrator = HistogramCalibrator(n_bins=1).fit(rng.normal(size=50), correct)
    np.testing.assert_array_equal(calibrator.reliability(np.array([-5.0, 5.0])), correct.mean())


def test_with_context_the_link_is_the_logistic_one(rng):
    scores, context = rng.normal(size=600), rng.normal(size=(600, 1))
    correct = rng.random(600) < special.expit(scores - context[:, 0])
    ours = HistogramCalibrator().fit(scores, correct, context=context)
    logistic = LogisticCalibrator().fit(scores, correct, context=context)
    z = special.logit(logistic.reliability(scores, context=context))
    np.testing.assert_allclose(
        ours.reliability(scores, context=context),
        HistogramCalibrator().fit(z, correct).reliability(z),
        atol=1e-9,
    )


def test_no_bin_is_refused():
    with pytest.raises(InputError, match="n_bins must be at least 1, got 0"):
        HistogramCalibrator(n_bins=0)


@pytest.mark.parametrize(
    ("floors", "values", "message"),
    [
        ([], [], "got 0 floors and 0 values"),
        ([1.0], [0.5], "got 1 floors and 1 values"),
        ([1.0, 1.0], [0.4, 0.5, 0.6], "strictly rising floors"),
        ([1.0], [0.5, 0.4], r"rise within \[0, 1\]"),
        ([1.0], [-0.1, 0.4], r"rise within \[0, 1\]"),
        ([1.0], [0.1, 1.4], r"rise within \[0, 1\]"),
    ],
)
def test_a_state_out_of_order_is_refused(floors, values, message):
    fitted = HistogramCalibrator().fit(np.array([0.1, 0.2]), np.array([False, True]))
    state = {**fitted.state(), "floors": np.array(floors), "values": np.array(values)}
    with pytest.raises(InputError, match=message):
        HistogramCalibrator.from_state(state)
