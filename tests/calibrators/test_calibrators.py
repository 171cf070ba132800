"""The mapping of calibrators: names, new instances, near matches."""

from __future__ import annotations

import re

import pytest

from gatekeeper.calibrators import (
    CALIBRATORS,
    BetaCalibrator,
    HistogramCalibrator,
    IsotonicCalibrator,
    LogisticCalibrator,
    ShiftAwareCalibrator,
    VennAbersCalibrator,
    calibrator,
)
from gatekeeper.errors import InputError


def test_names_mean_their_classes():
    assert {
        "beta": BetaCalibrator,
        "histogram": HistogramCalibrator,
        "isotonic": IsotonicCalibrator,
        "logistic": LogisticCalibrator,
        "shift_aware": ShiftAwareCalibrator,
        "venn_abers": VennAbersCalibrator,
    } == CALIBRATORS


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
def test_each_call_makes_a_new_one(name):
    first = calibrator(name)
    assert type(first) is CALIBRATORS[name]
    assert calibrator(name) is not first


def test_unknown_names_are_refused_with_near_matches():
    expected = (
        "one of the calibrators beta, histogram, isotonic, logistic, shift_aware, venn_abers, "
        "got 'isotnic'; did you mean isoto"
    )
    with pytest.raises(InputError, match=re.escape(expected)):
        calibrator("isotnic")
    with pytest.raises(InputError, match=r"got 'zzz'$"):
        calibrator("zzz")
