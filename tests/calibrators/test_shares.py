"""Shares of pools by hand: only the ends are counted up, and no end overtakes its neighbour."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.calibrators.shares import without_certainty


@pytest.mark.parametrize(
    ("right", "sizes", "expected"),
    [
        ([0, 5, 4], [8, 10, 4], [1 / 10, 1 / 2, 5 / 6]),
        ([1, 5, 3], [8, 10, 4], [1 / 8, 1 / 2, 3 / 4]),
        ([0, 1], [1, 10], [1 / 10, 1 / 10]),  # 1/3 would pass the pool above
        ([9, 1], [10, 1], [9 / 10, 9 / 10]),  # 2/3 would fall below the pool beneath
        ([0], [3], [1 / 5]),
        ([3], [3], [4 / 5]),
        ([0, 2], [2, 2], [1 / 4, 3 / 4]),
    ],
)
def test_by_hand(right, sizes, expected):
    found = without_certainty(np.array(right, dtype=float), np.array(sizes, dtype=float))
    np.testing.assert_allclose(found, expected)
