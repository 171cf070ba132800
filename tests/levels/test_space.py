from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.levels.space import (
    COORDINATES,
    Axis,
    LevelSpace,
    grid_points,
    parse_space,
    sobol_points,
)


def test_the_spec_reads_back_to_the_last_digit():
    space = parse_space("rotation=-59.9:60,noise_sigma=0:0.30000000000000004")
    assert space.spec == "rotation=-59.9:60.0,noise_sigma=0.0:0.30000000000000004"
    assert parse_space(space.spec) == space


def test_a_spec_names_coordinates_and_ranges():
    space = parse_space("rotation=-30:60, noise_sigma=0:0.3")
    assert space.names == ("rotation", "noise_sigma")
    assert space.dimension == 2
    assert [(axis.low, axis.high) for axis in space.axes] == [(-30.0, 60.0), (0.0, 0.3)]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rotation", "expected NAME=LOW:HIGH"),
        ("rotation=3", "expected NAME=LOW:HIGH"),
        ("", "expected NAME=LOW:HIGH"),
        ("rotatoin=0:60", "did you mean rotation"),
        ("rotation=a:b", "expected two numbers"),
        ("rotation=60:0", "LOW < HIGH"),
        ("rotation=0:nan", "LOW < HIGH"),
        ("noise_sigma=-1:1", "0 ≤ LOW"),
        ("jpeg_quality=10:101", "HIGH ≤ 100"),
        ("rotation=0:1,rotation=0:2", "different coordinates"),
        (",".join(f"{name}=1:1.5" for name in list(COORDINATES)[:2]), None),
        (
            "rotation=0:1,scale=1:2,shift_x=0:1,shift_y=0:1,blur_sigma=0:1,brightness=0:1,"
            "contrast=0:1",
            "1 to 6",
        ),
    ],
)
def test_what_is_no_space_is_refused(spec, message):
    if message is None:
        assert parse_space(spec).dimension == 2
        return
    with pytest.raises(InputError, match=message):
        parse_space(spec)


def test_unit_coordinates_by_hand():
    space = parse_space("rotation=-30:60,noise_sigma=0:0.2")
    assert space.to_unit(np.array([0.0, 0.05])).tolist() == pytest.approx([1 / 3, 0.25])
    assert space.from_unit(np.array([[0.0, 1.0], [1.0, 0.0]])).tolist() == [[-30, 0.2], [60, 0]]
    assert space.named(np.array([1 / 3, 0.5])) == pytest.approx(
        {"rotation": 0.0, "noise_sigma": 0.1}
    )


def test_the_mildest_level_is_the_identity_or_the_nearest_end():
    space = parse_space("rotation=-30:60,noise_sigma=0.1:0.2,brightness=0.5:0.9,jpeg_quality=5:100")
    assert space.from_unit(space.mildest).tolist() == pytest.approx([0.0, 0.1, 0.9, 100.0])


def test_identities_lie_in_the_coordinates_ranges():
    for coordinate in COORDINATES.values():
        assert coordinate.lowest <= coordinate.identity <= coordinate.highest
        assert coordinate.unit


def test_a_level_for_people():
    space = parse_space("rotation=0:60,noise_sigma=0:0.3")
    assert (
        space.text({"rotation": 14.0, "noise_sigma": 0.0612}) == "rotation 14°, noise_sigma 0.0612"
    )


def test_json_has_units():
    (axis,) = LevelSpace((Axis(COORDINATES["blur_sigma"], 0.0, 2.0),)).to_json()
    assert axis == {
        "name": "blur_sigma",
        "unit": "standard deviation, pixels",
        "symbol": "px",
        "identity": 0.0,
        "low": 0.0,
        "high": 2.0,
    }


def test_a_grid_has_all_combinations():
    points = grid_points([3, 2])
    assert points.tolist() == [[0, 0], [0, 1], [0.5, 0], [0.5, 1], [1, 0], [1, 1]]
    assert grid_points([1]).tolist() == [[0.5]]


def test_sobol_points_spread_and_go_on():
    few, many = sobol_points(2, 8, seed=3), sobol_points(2, 64, seed=3)
    assert np.array_equal(few, many[:8])
    assert not np.array_equal(few, sobol_points(2, 8, seed=4))
    # A net: each of the 64 cells of an 8 × 8 board has one point.
    assert len({tuple(cell) for cell in np.floor(many * 8).astype(int).tolist()}) == 64
    assert sobol_points(3, 1, seed=0).shape == (1, 3)
    assert sobol_points(2, 5, seed=0).shape == (5, 2)
