"""Venn–Abers against its definition by scikit-learn, by hand, and its promise by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from sklearn.isotonic import IsotonicRegression

from gatekeeper.calibrators import IsotonicCalibrator, LogisticCalibrator, VennAbersCalibrator
from gatekeeper.errors import InputError
from tests.contracts.calibrator import CalibratorContract


class TestContract(CalibratorContract):
    mean_gap = 0.004  # the answer itself moves its pool, by about one over its size
    least_distinct = 60

    def build(self):
        return VennAbersCalibrator()

    def where_all_are_right(self, n, *, in_context):
        """Only the answers below support one: p₁ = 1 and p₀ = k / (k + 1) at the k-th.

        The link has learned nothing from answers that are all right: in context all scores tie.
        """
        if in_context:
            return super().where_all_are_right(n, in_context=True)
        return (np.arange(1, n + 1) + 1) / (np.arange(1, n + 1) + 2)


def by_definition(scores, correct, score, outcome):
    """Isotonic regression that the answer itself takes part in, read at the answer."""
    joined = np.append(scores, score)
    fit = IsotonicRegression().fit(joined, np.append(correct, outcome).astype(float))
    return fit.predict([score])[0]


@pytest.mark.parametrize("decimals", [6, 1])  # with 1 decimal, most scores tie
def test_pairs_are_those_of_the_definition(rng, decimals):
    scores = np.round(rng.normal(size=80), decimals)
    correct = rng.random(80) < special.expit(2.0 * scores)
    fresh = np.concatenate([scores[:25], np.round(rng.normal(size=25), 6), [-9.0, 9.0]])
    calibrator = VennAbersCalibrator().fit(scores, correct)
    low, high = calibrator.pair(fresh)
    np.testing.assert_allclose(low, [by_definition(scores, correct, s, 0) for s in fresh])
    np.testing.assert_allclose(high, [by_definition(scores, correct, s, 1) for s in fresh])
    np.testing.assert_allclose(calibrator.reliability(fresh), high / (1.0 - low + high))


def test_by_hand():
    """Wrong at 0, right at 1. Between them p₀ = 0 of 2 and p₁ = 2 of 2: no idea, 1/2."""
    calibrator = VennAbersCalibrator().fit(np.array([0.0, 1.0]), np.array([False, True]))
    assert calibrator.knots_.tolist() == [0.0, 1.0]
    # Below 0 a right answer pools with the wrong one at 0; at 1 a wrong one with the right one.
    np.testing.assert_allclose(calibrator.lows_, [0, 0, 0, 1 / 2, 1 / 2])
    np.testing.assert_allclose(calibrator.highs_, [1 / 2, 1 / 2, 1, 1, 1])
    found = calibrator.reliability(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
    np.testing.assert_allclose(found, [1 / 3, 1 / 3, 1 / 2, 2 / 3, 2 / 3])


def test_one_of_the_pair_is_calibrated_whatever_the_distribution(rng):
    """With the outcome's own fit chosen: in each of three bins stated and observed agree."""
    chosen, outcomes = [], []
    for _ in range(600):
        scores = rng.choice([0.0, 1.0, 2.0, 3.0], size=21)
        truth = np.array([0.5, 0.2, 0.9, 0.8])[scores.astype(int)]  # not even monotone
        correct = rng.random(21) < truth
        low, high = VennAbersCalibrator().fit(scores[:-1], correct[:-1]).pair(scores[-1:])
        chosen.append((high if correct[-1] else low)[0])
        outcomes.append(correct[-1])
    chosen, outcomes = np.array(chosen), np.array(outcomes)
    for rows in np.array_split(np.argsort(chosen, kind="stable"), 3):
        spread = np.sqrt(0.25 / len(rows))
        assert chosen[rows].mean() == pytest.approx(outcomes[rows].mean(), abs=3.0 * spread)


def test_more_data_bring_the_pair_together(rng):
    gaps = []
    for n in (50, 500, 5_000):
        scores = rng.normal(size=n)
        calibrator = VennAbersCalibrator().fit(scores, rng.random(n) < special.expit(scores))
        low, high = calibrator.pair(np.linspace(-1.5, 1.5, 50))
        assert (low < high).all()
        gaps.append(np.mean(high - low))
    assert gaps[0] > 2.0 * gaps[1] > 4.0 * gaps[2]


def test_with_much_data_it_is_isotonic(rng):
    scores = rng.normal(size=4_000)
    correct = rng.random(4_000) < special.expit(scores)
    grid = np.linspace(-2.0, 2.0, 40)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, correct).predict(grid)
    ours = VennAbersCalibrator().fit(scores, correct).reliability(grid)
    assert np.abs(ours - theirs).mean() < 0.01
    smooth = IsotonicCalibrator().fit(scores, correct).reliability(grid)
    assert np.abs(ours - smooth).mean() < 0.03


def test_with_context_the_link_is_the_logistic_one(rng):
    scores, context = rng.normal(size=400), rng.normal(size=(400, 1))
    correct = rng.random(400) < special.expit(scores - context[:, 0])
    ours = VennAbersCalibrator().fit(scores, correct, context=context)
    logistic = LogisticCalibrator().fit(scores, correct, context=context)
    z = special.logit(logistic.reliability(scores, context=context))
    fresh = z[:50] + 1e-6  # between the knots, where rounding does not choose the side
    np.testing.assert_allclose(
        VennAbersCalibrator().fit(z, correct).reliability(fresh),
        ours.reliability(scores[:50] + 1e-6 / ours.link_.score_weights[0], context=context[:50]),
        atol=1e-9,
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"knots": np.zeros(2)}, "strictly rising knots"),
        ({"knots": np.zeros(0)}, "got 0, 5 and 5"),
        ({"lows": np.zeros(4)}, "got 2, 4 and 5"),
        ({"lows": np.linspace(0.2, 0.0, 5)}, "rise within"),
        ({"highs": np.linspace(1.0, 0.9, 5)}, "rise within"),
        ({"highs": np.linspace(0.5, 1.1, 5)}, "rise within"),
        ({"lows": np.linspace(-0.1, 0.2, 5)}, "rise within"),
        ({"lows": np.linspace(0.6, 0.7, 5)}, "each low below its high"),
    ],
)
def test_a_state_out_of_order_is_refused(changes, message):
    fitted = VennAbersCalibrator().fit(np.array([0.0, 1.0]), np.array([False, True]))
    with pytest.raises(InputError, match=message):
        VennAbersCalibrator.from_state({**fitted.state(), **changes})
