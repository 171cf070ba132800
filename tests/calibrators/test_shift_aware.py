"""Shift-aware calibration: shifts that were fitted, shifts that were not, and no shift at all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from gatekeeper.calibrators import IsotonicCalibrator, ShiftAwareCalibrator
from gatekeeper.errors import InputError
from gatekeeper.metrics import expected_calibration_error
from tests.contracts.calibrator import CalibratorContract


class TestContract(CalibratorContract):
    # The lines between the pools of its curve move the mean, as those of isotonic calibration.
    mean_gap = 0.007
    turned_round_message = "discounts must be at least 0"

    def build(self):
        return ShiftAwareCalibrator()

    def turned_round(self, state):
        return {"discount": state["discount"] - 1.0}


def stream(rng, kinds, n=4_000):
    """Images of some kinds of shift, or clean (kind 0), each with a strength.

    Six signals: two rise with the strength whatever the kind, three tell the kinds apart, one is
    noise. The classifier's log-odds are overstated the more, the stronger the shift.
    """
    kind = rng.choice(kinds, n)
    strength = np.where(kind == 0, 0.0, rng.uniform(0.2, 1.0, n))
    truth = rng.normal(2.5, 1.5, n) * (1.0 - 0.8 * strength) - 1.0 * strength
    signals = np.column_stack(
        [
            strength + 0.1 * rng.normal(size=n),
            2.0 * strength + 0.2 * rng.normal(size=n),
            *(strength * (kind == k) + 0.1 * rng.normal(size=n) for k in (1, 2, 3)),
            rng.normal(size=n),
        ]
    )
    overstated = (truth + 1.0 * strength) / (1.0 - 0.8 * strength)
    return overstated, rng.random(n) < special.expit(truth), signals, kind


def error_of(calibrator, test, rows, *, in_context):
    scores, correct, signals, _ = (part[rows] for part in test)
    context = signals if in_context else None
    return expected_calibration_error(calibrator.reliability(scores, context=context), correct)


def test_it_is_calibrated_on_clean_and_on_shifted_images_where_one_curve_is_not(rng):
    scores, correct, signals, _ = stream(rng, [0, 0, 1, 2, 3])
    test = stream(rng, [0, 1, 2, 3], n=12_000)
    ours = ShiftAwareCalibrator().fit(scores, correct, context=signals)
    one = IsotonicCalibrator().fit(scores, correct)
    for rows in (test[3] == 0, test[3] == 1, test[3] == 3):
        blind = error_of(one, test, rows, in_context=False)
        assert error_of(ours, test, rows, in_context=True) < min(0.05, 0.7 * blind)


def test_it_is_calibrated_on_a_shift_that_it_was_never_fitted_on(rng):
    scores, correct, signals, _ = stream(rng, [0, 0, 1, 2])
    test = stream(rng, [3], n=4_000)
    ours = ShiftAwareCalibrator().fit(scores, correct, context=signals)
    one = IsotonicCalibrator().fit(scores, correct)
    every = np.ones(4_000, dtype=bool)
    blind = error_of(one, test, every, in_context=False)
    assert blind > 0.1
    assert error_of(ours, test, every, in_context=True) < 0.6 * blind


def test_context_without_meaning_does_no_harm(rng):
    scores, context = rng.normal(1.0, 2.0, 4_000), rng.normal(size=(4_000, 10))
    correct = rng.random(4_000) < special.expit(scores)
    ours = ShiftAwareCalibrator().fit(scores, correct, context=context)
    plain = IsotonicCalibrator().fit(scores, correct)
    fresh, beside = rng.normal(1.0, 2.0, 3_000), rng.normal(size=(3_000, 10))
    found = ours.reliability(fresh, context=beside)
    assert np.abs(found - plain.reliability(fresh)).mean() < 0.02


def test_contexts_beyond_all_that_were_seen_are_trusted_less(rng):
    """Left-out regions are worse than what is around them suggests, so further ones will be."""
    centres = rng.normal(0.0, 2.0, (6, 4))
    region = rng.integers(0, 6, 3_000)
    context = centres[region] + 0.2 * rng.normal(size=(3_000, 4))
    scores = rng.normal(2.0, 1.0, 3_000)
    heights = np.array([1.5, -2.0, 0.0, -2.5, 1.0, -1.5])
    correct = rng.random(3_000) < special.expit(scores + heights[region])
    ours = ShiftAwareCalibrator().fit(scores, correct, context=context)
    assert ours.discount_.shrink + ours.discount_.lower > 0.0
    good = context[region == 0]
    far = good + 4.0 * np.sign(good)
    assert ours.surroundings_.excess(ours.coordinates_(far)).min() > 1.0
    grid = np.full(len(good), 1.0)
    near, beyond = (ours.reliability(grid, context=where).mean() for where in (good, far))
    assert beyond < near - 0.05


def test_few_rows_or_no_context_make_it_isotonic(rng):
    scores, context = rng.normal(size=150), rng.normal(size=(150, 3))
    correct = rng.random(150) < special.expit(2.0 * scores)
    expected = IsotonicCalibrator().fit(scores, correct).reliability(scores)
    few = ShiftAwareCalibrator().fit(scores, correct, context=context)
    none = ShiftAwareCalibrator().fit(scores, correct)
    np.testing.assert_allclose(few.reliability(scores, context=9.0 * context), expected, atol=1e-9)
    np.testing.assert_allclose(none.reliability(scores), expected, atol=1e-9)
    assert few.ridge_ == none.ridge_ == np.inf


def test_a_constant_context_changes_nothing(rng):
    scores = rng.normal(size=400)
    correct = rng.random(400) < special.expit(scores)
    ours = ShiftAwareCalibrator().fit(scores, correct, context=np.full((400, 2), 0.1))
    plain = IsotonicCalibrator().fit(scores, correct)
    np.testing.assert_allclose(
        ours.reliability(scores, context=np.full((400, 2), 7.0)),
        plain.reliability(scores),
        atol=1e-9,
    )


def test_a_row_is_the_same_to_the_last_bit_in_any_batch(rng):
    scores, correct, signals, _ = stream(rng, [0, 1, 2], n=600)
    ours = ShiftAwareCalibrator().fit(scores, correct, context=signals)
    whole = ours.reliability(scores, context=signals)
    for rows in (np.arange(599, -1, -1), np.arange(1), np.arange(250, 261)):
        np.testing.assert_array_equal(
            ours.reliability(scores[rows], context=signals[rows]), whole[rows]
        )


def test_the_seed_draws_the_regions(rng):
    scores, correct, signals, _ = stream(rng, [0, 1, 2], n=600)
    first, again, other = (
        ShiftAwareCalibrator(seed=seed).fit(scores, correct, context=signals).state()
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first["references"], again["references"])
    assert not np.array_equal(first["references"], other["references"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": np.ones(5)}, "got scale of another length"),
        ({"axes": np.ones(7)}, "got axes of another length"),
        ({"score": np.ones(3)}, "got score of another length"),
        ({"height": np.ones(2)}, "got height of another length"),
        ({"tilt": np.zeros(0)}, "of another length"),
        ({"ordinary": np.zeros(0)}, "got ordinary of another length"),
        ({"references": np.zeros(7)}, "got references of another length"),
        ({"references": np.zeros(0)}, "got references of another length"),
        ({"discount": np.zeros(1)}, "got discount of another length"),
        ({"values": np.array([0.9, 0.1])}, "expected a state with"),
    ],
)
def test_a_state_that_does_not_fit_together_is_refused(rng, changes, message):
    scores, correct, signals, _ = stream(rng, [0, 1], n=300)
    state = ShiftAwareCalibrator().fit(scores, correct, context=signals).state()
    with pytest.raises(InputError, match=message):
        ShiftAwareCalibrator.from_state({**state, **changes})
