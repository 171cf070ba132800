"""Smooth calibration error: closed forms, a direct sum of Gaussians, relplot's values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gatekeeper.errors import InputError
from gatekeeper.metrics.calibration import expected_calibration_error
from gatekeeper.metrics.smooth import calibration_error_at_width, smooth_calibration_error
from tests.metrics.record_peer_calibration import OVERSTATED, WIDTHS, binary_sample
from tests.metrics.test_calibration import sample

RECORD = json.loads(Path(__file__).with_name("peer_calibration.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("overstated", OVERSTATED)
def test_values_of_relplot(overstated):
    """It searches the width to 0.001, and 0.0001 of a row are added to its density."""
    pair = binary_sample(overstated)
    recorded = RECORD["smooth"][str(overstated)]
    assert smooth_calibration_error(*pair) == pytest.approx(recorded, abs=5e-4)
    ours = [calibration_error_at_width(*pair, width=width) for width in WIDTHS]
    assert ours == pytest.approx(RECORD["at_width"][str(overstated)], abs=1e-4)


@pytest.mark.parametrize("stated", [0.0, 0.003, 0.4, 0.75, 1.0])
def test_one_stated_reliability_has_its_gap_at_any_width(stated):
    correct = np.arange(10) < 6
    gap = abs(stated - 0.6)
    for width in (0.003, 0.1, 3.0):
        error = calibration_error_at_width([stated] * 10, correct, width=width)
        assert error == pytest.approx(gap, abs=1e-9)
    assert smooth_calibration_error([stated] * 10, correct) == pytest.approx(gap, abs=2e-5)


def test_a_wide_gaussian_sees_the_difference_of_the_means_alone():
    reliability, correct = sample(300, 1, overstated=0.1)
    error = calibration_error_at_width(reliability, correct, width=20.0)
    assert error == pytest.approx(abs(reliability.mean() - correct.mean()), abs=1e-12)


@pytest.mark.parametrize("width", [0.01, 0.05, 0.3])
def test_against_a_direct_sum_of_reflected_gaussians(width):
    reliability, correct = sample(40, 2)
    places = (np.arange(20_000) + 0.5) / 20_000
    smeared = np.zeros_like(places)
    for image in range(-4, 5):
        for mirrored in (2 * image + reliability, 2 * image - reliability):
            density = stats.norm.pdf(places[:, None], mirrored, width)
            smeared += density @ (reliability - correct) / 40
    expected = np.abs(smeared).mean()
    assert calibration_error_at_width(reliability, correct, width=width) == pytest.approx(
        expected, rel=2e-3
    )


def test_opposite_gaps_cancel_only_when_the_width_joins_them():
    """Stated 0.4 and 0.6, right half the time: gaps −0.1 and 0.1, half the rows each."""
    reliability, correct = np.repeat([0.4, 0.6], 10), np.tile([True, False], 10)
    assert calibration_error_at_width(reliability, correct, width=0.01) == pytest.approx(0.1)
    # Two Gaussians of opposite sign 0.2 apart: 0.1 · (2 Φ(0.1 / width) − 1), far from the ends.
    for width in (0.05, 0.1):
        expected = 0.1 * (2.0 * stats.norm.cdf(0.1 / width) - 1.0)
        error = calibration_error_at_width(reliability, correct, width=width)
        assert error == pytest.approx(expected, rel=1e-3)


def test_the_error_equals_its_own_width():
    reliability, correct = sample(800, 3, overstated=0.04)
    error = smooth_calibration_error(reliability, correct)
    assert calibration_error_at_width(reliability, correct, width=error) == pytest.approx(
        error, abs=3e-5
    )


def test_perfect_and_worst():
    assert smooth_calibration_error([1.0, 0.0], [True, False]) == 0.0
    assert smooth_calibration_error([1.0, 1.0], [False, False]) == pytest.approx(1.0)
    assert smooth_calibration_error([0.7], [True]) == pytest.approx(0.3, abs=2e-5)


def test_a_step_over_a_bin_edge_changes_little():
    """Where ECE jumps: half the rows state just below a bin's edge, half just above."""
    correct = np.tile([True, False], 50)
    apart, joined = np.repeat([0.4999, 0.5001], 50), np.repeat([0.5001, 0.5002], 50)
    correct[:50], correct[50:] = True, False
    assert expected_calibration_error(apart, correct, n_bins=2) == pytest.approx(0.5, abs=1e-3)
    assert expected_calibration_error(joined, correct, n_bins=2) < 1e-3
    ours = [smooth_calibration_error(r, correct) for r in (apart, joined)]
    assert ours[0] == pytest.approx(ours[1], abs=0.02)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.35, 0.5, 0.9, 1.0]), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_it_lies_between_the_bias_and_the_finest_error(rows):
    reliability, correct = (np.array(column) for column in zip(*rows, strict=True))
    smooth = smooth_calibration_error(reliability, correct)
    bias = abs(float(np.mean(reliability - correct)))
    finest = sum(
        abs(float(np.sum(reliability[reliability == v] - correct[reliability == v])))
        for v in np.unique(reliability)
    ) / len(rows)
    assert bias - 2e-5 <= smooth <= finest + 2e-5


@pytest.mark.parametrize("width", [0.0, -1.0, np.nan, np.inf])
def test_a_width_that_is_none_is_refused(width):
    with pytest.raises(InputError, match="width must be positive and finite"):
        calibration_error_at_width([0.5], [True], width=width)
