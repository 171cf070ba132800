"""Bins by hand: edges, equal numbers, ties, means."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.metrics.binning import bin_means, bin_of_row
from gatekeeper.metrics.calibration import reliability_bins


def test_an_edge_belongs_to_the_bin_above_and_one_to_the_last():
    # .29 is a value whose product 100 * .29 falls short of 29.
    for edge in (0.07, 0.29, 0.57, 0.58):
        bins = reliability_bins([edge - 0.005, edge, edge + 0.005], [True] * 3, n_bins=100)
        assert bins.count.tolist() == [1, 2]
    assert reliability_bins([0.995, 1.0], [True] * 2, n_bins=100).count.tolist() == [2]


def test_mass_bins_hold_equal_numbers_and_keep_ties_together():
    reliability = np.linspace(0.5, 0.9, 20)
    correct = np.ones(20, dtype=bool)
    bins = reliability_bins(reliability, correct, n_bins=4, binning="mass")
    assert bins.count.tolist() == [5, 5, 5, 5]
    assert bins.mean_reliability == pytest.approx(reliability.reshape(4, 5).mean(1))
    tied = reliability_bins([0.1, 0.6, 0.6, 0.6], [True] * 4, n_bins=2, binning="mass")
    assert tied.count.tolist() == [4]  # the tie begins in the lower half, so it belongs there
    coarse = reliability_bins([0.1, 0.2, 0.6, 0.6], [True] * 4, n_bins=2, binning="mass")
    assert coarse.count.tolist() == [2, 2]


def test_bins_by_hand():
    values = np.array([0.0, 0.24, 0.25, 0.5, 0.99, 1.0])
    assert bin_of_row(values, 4, "width").tolist() == [0, 0, 1, 2, 3, 3]
    assert bin_of_row(values, 3, "mass").tolist() == [0, 0, 1, 1, 2, 2]
    assert bin_of_row(values[::-1], 3, "mass").tolist() == [2, 2, 1, 1, 0, 0]
    assert bin_of_row(np.full(5, 0.3), 3, "mass").tolist() == [0] * 5


def test_means_leave_empty_bins_out():
    values, right = np.array([0.1, 0.3, 0.9]), np.array([True, False, True])
    mean, accuracy, count = bin_means(values, right, np.array([0, 0, 4]))
    np.testing.assert_allclose(mean, [0.2, 0.9])
    np.testing.assert_allclose(accuracy, [0.5, 1.0])
    assert count.tolist() == [2, 1]


def test_options_outside_their_range_are_refused():
    with pytest.raises(InputError, match="n_bins must be at least 1, got 0"):
        bin_of_row(np.array([0.5]), 0, "width")
    with pytest.raises(InputError, match='"width" or "mass", got \'kernel\''):
        bin_of_row(np.array([0.5]), 2, "kernel")
