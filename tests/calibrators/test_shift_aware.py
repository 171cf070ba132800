"""Shift-aware calibration: each kind of image by its own isotonic curve, mixtures by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from gatekeeper.calibrators import IsotonicCalibrator, ShiftAwareCalibrator
from gatekeeper.errors import InputError
from tests.contracts.calibrator import CalibratorContract, outcomes_in_context


class TestContract(CalibratorContract):
    # The lines between the pools move the mean, by less than its standard error (0.007 here).
    mean_gap = 0.007
    turned_round_message = "values that rise"

    def build(self):
        return ShiftAwareCalibrator()

    def turned_round(self, state):
        return {"values": state["values"][::-1].copy()}


def two_kinds(n: int = 2_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, outcomes and a column that is 0 for easy and 1 for hard images, half of each."""
    rng = np.random.default_rng(3)
    hard = np.arange(n) % 2
    scores = rng.normal(1.0, 1.0, n)
    correct = rng.random(n) < special.expit(scores + 1.0 - 2.0 * hard)
    return scores, correct, hard[:, None].astype(float)


def test_each_kind_gets_the_isotonic_curve_of_its_own_rows() -> None:
    scores, correct, context = two_kinds()
    ours = ShiftAwareCalibrator().fit(scores, correct, context=context)
    assert len(ours.anchors_) == 2
    for kind in (0.0, 1.0):
        rows = context[:, 0] == kind
        alone = IsotonicCalibrator().fit(scores[rows], correct[rows])
        np.testing.assert_allclose(
            ours.reliability(scores[rows], context=context[rows]),
            alone.reliability(scores[rows]),
            atol=1e-12,
        )


def test_half_way_between_two_kinds_is_the_mean_of_their_curves() -> None:
    scores, correct, context = two_kinds()
    ours = ShiftAwareCalibrator().fit(scores, correct, context=context)
    at = np.linspace(-1.0, 3.0, 9)
    easy, hard, between = (
        ours.reliability(at, context=np.full((9, 1), kind)) for kind in (0.0, 1.0, 0.5)
    )
    np.testing.assert_allclose(between, (easy + hard) / 2, atol=1e-12)
    assert (easy > hard).all()


def test_a_context_never_seen_is_not_extrapolated() -> None:
    scores, correct, context = two_kinds()
    ours = ShiftAwareCalibrator().fit(scores, correct, context=context)
    at = np.linspace(-1.0, 3.0, 9)
    np.testing.assert_array_equal(
        ours.reliability(at, context=np.full((9, 1), 1.0)),
        ours.reliability(at, context=np.full((9, 1), 1e6)),
    )


def test_without_context_it_is_isotonic_calibration() -> None:
    scores, correct, _, _ = outcomes_in_context(3_000)
    ours = ShiftAwareCalibrator().fit(scores, correct)
    plain = IsotonicCalibrator().fit(scores, correct)
    np.testing.assert_array_equal(ours.reliability(scores), plain.reliability(scores))


def test_fewer_than_800_rows_make_one_curve() -> None:
    scores, correct, context = two_kinds(798)
    ours = ShiftAwareCalibrator().fit(scores, correct, context=context)
    plain = IsotonicCalibrator().fit(scores, correct)
    np.testing.assert_allclose(
        ours.reliability(scores, context=context), plain.reliability(scores), atol=1e-12
    )


def test_clean_images_are_not_understated_beside_hard_ones() -> None:
    """Equal scores, other accuracies: one curve errs on both, ours on neither."""
    scores, correct, context = two_kinds(20_000)
    ours = ShiftAwareCalibrator().fit(scores, correct, context=context)
    plain = IsotonicCalibrator().fit(scores, correct)
    for kind in (0.0, 1.0):
        rows = context[:, 0] == kind
        truth = correct[rows].mean()
        told = ours.reliability(scores[rows], context=context[rows]).mean()
        assert told == pytest.approx(truth, abs=0.005)
        assert abs(plain.reliability(scores[rows]).mean() - truth) > 0.1


def test_context_of_another_width_is_refused() -> None:
    scores, correct, context = two_kinds()
    ours = ShiftAwareCalibrator().fit(scores, correct, context=context)
    with pytest.raises(InputError, match="expected context with the 1 columns of fit, got 2"):
        ours.reliability(scores, context=np.zeros((len(scores), 2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.zeros(2)}, "one centre, spread and weight per column"),
        ({"intercept": np.zeros(2)}, "one intercept"),
        ({"anchors": np.array([1.0, 0.0])}, "strictly rising anchors"),
        ({"n_knots": np.array([1.0, 1.0])}, "whose curves have 2 knots"),
        ({"n_knots": np.array([0.0, 3.0])}, "whose curves have 3 knots"),
    ],
)
def test_a_state_out_of_order_is_refused(change: dict, message: str) -> None:
    scores, correct, context = two_kinds()
    state = ShiftAwareCalibrator().fit(scores, correct, context=context).state()
    with pytest.raises(InputError, match=message):
        ShiftAwareCalibrator.from_state({**state, **change})


def test_knots_out_of_order_are_refused() -> None:
    scores, correct, _ = two_kinds()
    state = ShiftAwareCalibrator().fit(scores, correct).state()
    with pytest.raises(InputError, match="strictly rising knots"):
        ShiftAwareCalibrator.from_state({**state, "knots": state["knots"][::-1].copy()})
