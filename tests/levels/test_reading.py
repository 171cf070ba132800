"""Levels and map read off signals: the rule's own numbers, the same after a round trip."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gatekeeper.corruptions import GROUPS
from gatekeeper.errors import InputError
from gatekeeper.levels import (
    COORDINATES,
    FAMILIES_OF,
    LevelEstimator,
    LevelReader,
    LevelStudy,
    distort,
    families_of,
    fixed_set,
    parse_space,
)
from gatekeeper.signals import read_signals
from tests import small_gate


@pytest.fixture(scope="module")
def reader(study: LevelStudy) -> LevelReader:
    images = fixed_set(small_gate.digits(), small_gate.splits().fit[:80], seed=0)
    return LevelReader(study, LevelEstimator(study.space).fit(images))


@pytest.fixture(scope="module")
def signals() -> np.ndarray:
    images = small_gate.digits().batch(small_gate.splits().test[:12])
    noisy = distort(images[6:], {"noise_sigma": 0.25}, np.arange(6))
    return np.concatenate([read_signals(images[:6]), read_signals(noisy)])


def test_it_reads_the_estimators_level_and_the_rules_probability(reader, signals) -> None:
    found = reader.read(signals)
    assert found.shape == (12, 4)
    assert reader.n_columns == 4
    np.testing.assert_array_equal(found[:, :3], reader.estimator.point_of(signals))
    np.testing.assert_array_equal(found[:, 3], reader.study.rule.probability(found[:, :3]))
    # Noise is told, and the map knows what it does to the classifier.
    assert found[6:, 2].mean() > found[:6, 2].mean() + 0.5
    assert found[6:, 3].mean() < found[:6, 3].mean()


def test_a_row_depends_on_its_own_signals_alone(reader, signals) -> None:
    alone = np.concatenate([reader.read(signals[row : row + 1]) for row in range(12)])
    np.testing.assert_allclose(alone, reader.read(signals), atol=1e-12)


def test_it_is_rebuilt_from_plain_arrays(reader, signals) -> None:
    state = reader.state()
    assert all(np.asarray(array).dtype == np.float64 for array in state.values())
    again = LevelReader.from_state(state)
    np.testing.assert_allclose(again.read(signals), reader.read(signals), atol=1e-12)
    assert again.study.space == reader.study.space
    assert again.study.n_correct.tolist() == reader.study.n_correct.tolist()


def test_a_study_is_read_back_from_its_json(study) -> None:
    again = LevelStudy.from_json(json.loads(json.dumps(study.to_json())))
    points = np.random.default_rng(0).random((50, 3))
    np.testing.assert_allclose(
        again.rule.probability(points), study.rule.probability(points), atol=1e-9
    )
    assert again.options.threshold == study.options.threshold
    assert again.n_images == study.n_images
    with pytest.raises(InputError, match="without what is needed"):
        LevelStudy.from_json({"space": []})
    with pytest.raises(InputError, match="KeyError: 'process'"):
        LevelStudy.from_json({k: v for k, v in study.to_json().items() if k != "process"})


def test_every_coordinate_has_its_families() -> None:
    assert set(FAMILIES_OF) == set(COORDINATES)
    assert all(family in GROUPS for names in FAMILIES_OF.values() for family in names)
    space = parse_space("shift_x=0:0.2,brightness=0.5:1.5")
    assert families_of(space) == {"shift", "brightness", "dark"}


def test_an_estimator_of_other_levels_is_refused(study) -> None:
    other = LevelEstimator(parse_space("noise_sigma=0:0.3"))
    with pytest.raises(InputError, match="expected an estimator of the levels rotation"):
        LevelReader(study, other)
