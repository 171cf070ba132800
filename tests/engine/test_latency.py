"""The line is that of least squares, with parts that are not negative."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.engine import LatencyModel


def test_the_first_guess() -> None:
    model = LatencyModel(seconds_per_item=0.1, seconds_per_batch=0.5)
    assert model.predict(0) == 0
    assert model.predict(3) == pytest.approx(0.8)
    assert model.predict_all(7, 3) == pytest.approx(0.8 * 2 + 0.6)
    assert model.predict_all(6, 3) == pytest.approx(0.8 * 2)


def test_one_size_scales_the_guess() -> None:
    model = LatencyModel(seconds_per_item=0.1, seconds_per_batch=0.1)
    model.observe(1, 0.4)
    model.observe(1, 0.8)
    assert model.predict(1) == pytest.approx(0.6)
    assert model.predict(2) == pytest.approx(0.9)  # three times the guess


def test_it_is_least_squares_over_the_window(rng: np.random.Generator) -> None:
    model = LatencyModel(window=20)
    sizes = rng.integers(1, 17, 60)
    seconds = 0.01 * sizes + 0.2 + rng.normal(0, 0.002, 60)
    for n, s in zip(sizes, seconds, strict=True):
        model.observe(int(n), float(s))
    slope, fixed = np.polyfit(sizes[-20:], seconds[-20:], 1)
    assert model.predict(10) == pytest.approx(10 * slope + fixed)


def test_a_falling_line_becomes_flat() -> None:
    model = LatencyModel()
    model.observe(1, 0.6)
    model.observe(3, 0.4)
    assert model.predict(1) == model.predict(100) == pytest.approx(0.5)


def test_a_negative_fixed_part_becomes_a_line_through_the_origin() -> None:
    model = LatencyModel()
    model.observe(1, 0.1)
    model.observe(2, 0.5)
    assert model.predict(10) == pytest.approx(10 * (0.1 + 2 * 0.5) / (1 + 4))
