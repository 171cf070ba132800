from __future__ import annotations

import json

import numpy as np
import pytest

from gatekeeper.levels import SearchOptions, fitted_process, level_maps, parse_space, profiles
from gatekeeper.levels.accuracy_process import accuracy_of_angle
from gatekeeper.levels.map import CELLS, STEPS
from gatekeeper.levels.study import LevelStudy


def test_every_pair_has_a_slice_through_the_mildest_level(study):
    maps = level_maps(study)
    assert [(m.x_name, m.y_name) for m in maps] == [
        ("rotation", "brightness"), ("rotation", "noise_sigma"), ("brightness", "noise_sigma"),
    ]  # fmt: skip
    first = maps[1]
    assert first.probability.shape == (CELLS + 1, CELLS + 1)
    assert (first.x[0], first.x[-1], first.y[-1]) == (-60.0, 60.0, 0.3)
    # Row 5 is y, column 20 is x; brightness rests at 1.
    level = study.space.to_unit(np.array([first.x[20], 1.0, first.y[5]]))
    assert first.probability[5, 20] == pytest.approx(study.rule.probability(level[None])[0])


def test_levels_tried_are_projected(study):
    found = level_maps(study)[0]
    levels = study.space.from_unit(study.points)
    assert found.points == pytest.approx(levels[:, :2])
    assert found.reliable.tolist() == study.reliable.tolist()
    assert found.in_slice.tolist() == (levels[:, 2] == 0.0).tolist()
    assert found.in_slice[0]


def test_the_spread_is_smallest_where_levels_were_tried(study):
    found = level_maps(study)[1]
    assert (found.std >= 0).all()
    middle = found.std[0, CELLS // 2]
    assert middle < 0.5 * found.std.max()


def test_a_profile_has_the_estimate_and_its_interval(study):
    rotation, _, noise = profiles(study)
    assert rotation.name == "rotation"
    assert len(noise.values) == STEPS
    for line in (rotation, noise):
        assert (line.low <= line.accuracy).all()
        assert (line.accuracy <= line.high).all()
    level = study.space.to_unit(np.array([0.0, 1.0, noise.values[7]]))
    known = study.process.posterior(level[None])
    expected = [
        accuracy_of_angle(known.mean + z * known.std, 150)[0] for z in (-1.959964, 0, 1.959964)
    ]
    assert [noise.low[7], noise.accuracy[7], noise.high[7]] == pytest.approx(expected)


def test_they_are_ready_for_json(study):
    body = [each.to_json() for each in (*level_maps(study), *profiles(study))]
    assert json.loads(json.dumps(body, allow_nan=False)) == body


def test_one_coordinate_has_no_pairs():
    points, counts = np.linspace(0, 1, 6)[:, None], np.array([90, 88, 80, 60, 40, 20])
    study = LevelStudy(
        space=parse_space("rotation=0:60"),
        options=SearchOptions(threshold=0.8, budget=6),
        n_images=100,
        points=points,
        n_correct=counts,
        n_evaluated=6,
        process=fitted_process(points, counts, 100),
    )
    assert level_maps(study) == []
    (line,) = profiles(study)
    assert line.accuracy[0] == pytest.approx(0.9, abs=0.03)
