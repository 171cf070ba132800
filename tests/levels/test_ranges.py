from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.levels.ranges import SafeRange, safe_ranges, sentence
from gatekeeper.levels.space import parse_space

SPACE = parse_space("rotation=-50:50,noise_sigma=0:0.5")


class Ball:
    """Reliable within a distance of the mildest level, in unit coordinates."""

    def __init__(self, radius: float, norm: float = 2.0, centre: float = 0.5) -> None:
        self.radius, self.norm = radius, norm
        self.centre = np.array([centre, 0.0])

    def probability(self, points: np.ndarray) -> np.ndarray:
        far = np.linalg.norm(points - self.centre, ord=self.norm, axis=1)
        return np.where(far <= self.radius + 1e-9, 0.99, 0.5)

    def is_reliable(self, points: np.ndarray) -> np.ndarray:
        return self.probability(points) >= 0.5


def test_ranges_of_a_ball_by_hand():
    found = safe_ranges(Ball(0.3), SPACE)
    # 0.3 of 100 degrees on either side; 0.3 of 0.5.
    rotation, noise = found.alone
    assert (rotation.low, rotation.high) == (
        pytest.approx(-30, abs=0.3),
        pytest.approx(30, abs=0.3),
    )
    assert (noise.low, noise.high) == (0.0, pytest.approx(0.15, abs=0.003))
    # The corner of the shrunken box touches the circle: 1 / √2.
    assert found.factor == pytest.approx(1 / np.sqrt(2), abs=0.011)
    assert found.jointly[0].high == pytest.approx(30 / np.sqrt(2), abs=0.7)


def test_a_box_is_jointly_safe_as_a_whole():
    found = safe_ranges(Ball(0.3, norm=np.inf), SPACE)
    assert found.factor == 1.0
    assert found.jointly == found.alone


def test_everything_safe_reaches_the_ends():
    found = safe_ranges(Ball(5.0), SPACE)
    assert [(each.low, each.high) for each in found.alone] == [(-50.0, 50.0), (0.0, 0.5)]


def test_an_island_beyond_a_gap_does_not_count():
    class Striped(Ball):
        def probability(self, points):
            inner = np.abs(points[:, 0] - 0.5)
            return np.where((inner < 0.1) | (inner > 0.2), 0.99, 0.2)

    found = safe_ranges(Striped(1.0), SPACE)
    assert found.alone[0].high == pytest.approx(10, abs=0.3)


def test_nothing_is_safe_where_the_mildest_level_is_not():
    found = safe_ranges(Ball(0.1, centre=0.9), SPACE)
    assert (found.alone, found.jointly, found.factor) == ((), (), 0.0)
    assert found.to_json() == {
        "alone": {}, "jointly": {}, "joint_factor": 0.0, "probability": 0.95,
    }  # fmt: skip


def test_sentences():
    space = parse_space("rotation=-50:50,noise_sigma=0:0.5,jpeg_quality=10:100,shift_x=0:0.5")
    ranges = (
        SafeRange(name="rotation", low=-14.0, high=9.25),
        SafeRange(name="noise_sigma", low=0.0, high=0.0612),
        SafeRange(name="jpeg_quality", low=35.0, high=100.0),
        SafeRange(name="shift_x", low=0.0, high=0.0),
    )
    assert sentence(ranges, space) == (
        "rotation −14° to 9.25°, noise_sigma up to 0.0612, jpeg_quality down to 35, "
        "shift_x not at all"
    )
