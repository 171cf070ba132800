from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from gatekeeper.errors import DataError
from gatekeeper.images.elpv import load_elpv


def test_cells_are_defective_where_the_probability_exceeds_a_half(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 6), dtype=np.uint8)
    package, utils = ModuleType("elpv_dataset"), ModuleType("elpv_dataset.utils")
    utils.load_dataset = lambda: (images, np.array([0, 1 / 3, 2 / 3, 1.0]), np.array(["mono"] * 4))
    monkeypatch.setitem(sys.modules, "elpv_dataset", package)
    monkeypatch.setitem(sys.modules, "elpv_dataset.utils", utils)
    data = load_elpv()
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert data.class_names == ("functional", "defective")
    assert np.array_equal(data.images, images)
    assert "non-commercial" in data.licence
    assert "0.5" in data.note


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "elpv_dataset", None)
    monkeypatch.setitem(sys.modules, "elpv_dataset.utils", None)
    with pytest.raises(DataError, match=r"vision-gatekeeper\[elpv\]"):
        load_elpv()
