"""Corruption errors by hand, and references from earlier evaluations."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.evaluation import Grid, Reference
from gatekeeper.evaluation.redraws import redraws
from gatekeeper.evaluation.reference import corruption_errors_against

GRID = Grid(("fog", "snow"), (1, 5))


def wrong(*shares: float) -> np.ndarray:
    """Ten images; of each condition the first are wrong."""
    return np.array([[image < share * 10 for image in range(10)] for share in shares])


def against(ours, reference, names=("fog", "snow")):
    times = redraws(10, n_draws=50, seed=0)
    return corruption_errors_against(ours, reference, GRID, names, times)


def test_both_errors_by_hand():
    ours, theirs = wrong(0.1, 0.2, 0.4, 0.3, 0.5), wrong(0.2, 0.4, 0.6, 0.5, 0.5)
    reference = Reference(name="r", errors=theirs.mean(axis=1), wrong=theirs)
    found = against(ours, reference)
    # fog 0.6 / 1.0, snow 0.8 / 1.0; relative: (0.6 - 0.2) / (1 - 0.4), (0.8 - 0.2) / (1 - 0.4).
    assert found["mce"].value == pytest.approx(0.7)
    assert found["relative_mce"].value == pytest.approx((0.4 / 0.6 + 1.0) / 2)
    assert found["mce"].low < 0.7 < found["mce"].high
    assert against(ours, reference, ("fog",))["mce"].value == pytest.approx(0.6)


def test_the_reference_has_an_error_of_one_with_no_spread():
    theirs = wrong(0.2, 0.4, 0.6, 0.5, 0.5)
    paired = against(theirs, Reference(name="r", errors=theirs.mean(axis=1), wrong=theirs))
    assert paired["mce"].value == pytest.approx(1.0)
    assert paired["mce"].low == pytest.approx(1.0)
    # From a file its answers are not known: the model alone is redrawn.
    recorded = against(theirs, Reference(name="r", errors=theirs.mean(axis=1)))
    assert recorded["mce"].low < 0.95


def test_a_reference_that_never_errs_defines_nothing():
    theirs = wrong(0.0, 0.0, 0.0, 0.5, 0.5)
    found = against(wrong(0.1, 0.2, 0.4, 0.3, 0.5), Reference(name="r", errors=theirs.mean(axis=1)))
    assert found["mce"].value is None
    assert found["relative_mce"].value is None


def record(**changes):
    body = {
        "models": [{"name": "old", "raw_errors": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}],
        "data": {"digest": "d"},
        "conditions": [["", 0], ["frost", 1], ["fog", 1], ["fog", 5], ["snow", 1], ["snow", 5]],
    }
    return {**body, **changes}


def test_a_reference_is_read_off_an_earlier_record_by_condition():
    found = Reference.of_record(record(), GRID, "d")
    assert found.name == "old"
    assert found.errors.tolist() == [0.1, 0.3, 0.4, 0.5, 0.6]
    assert found.wrong is None


@pytest.mark.parametrize(
    ("changes", "digest"),
    [({}, "other"), ({"conditions": [["", 0], ["fog", 1]]}, "d"), ({"models": []}, "d")],
)
def test_a_reference_on_other_images_or_conditions_is_refused(changes, digest):
    with pytest.raises(InputError):
        Reference.of_record(record(**changes), GRID, digest)
