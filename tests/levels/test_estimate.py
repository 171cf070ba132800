from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.levels import LevelEstimator, distort, fixed_set, parse_space
from gatekeeper.signals import read_signals
from tests import small_gate

SPACE = parse_space("rotation=-60:60,noise_sigma=0:0.3")


@pytest.fixture(scope="module")
def estimator() -> LevelEstimator:
    images = fixed_set(small_gate.digits(), small_gate.splits().fit[:100], seed=0)
    return LevelEstimator(SPACE).fit(images)


def test_noise_is_told_and_rotation_is_admitted_not_to_be(estimator):
    rotation, noise = estimator.explained
    assert noise > 0.8
    assert rotation < 0.5


def test_it_estimates_images_that_it_has_not_seen(estimator):
    images = fixed_set(small_gate.digits(), small_gate.splits().test[:60], seed=1)
    for sigma in (0.05, 0.2):
        distorted = distort(images.images, {"noise_sigma": sigma}, images.seeds)
        levels = estimator.level_of(read_signals(distorted))
        assert levels.shape == (60, 2)
        assert float(np.median(levels[:, 1])) == pytest.approx(sigma, abs=0.04)
        assert (levels >= [-60, 0]).all()
        assert (levels <= [60, 0.3]).all()


def test_it_is_rebuilt_from_plain_arrays(estimator):
    signals = read_signals(small_gate.digits().batch(small_gate.splits().test[:5]))
    again = LevelEstimator.from_state(SPACE, estimator.state())
    assert again.level_of(signals).tolist() == estimator.level_of(signals).tolist()
    points = estimator.point_of(signals)
    assert ((points >= 0) & (points <= 1)).all()
    np.testing.assert_allclose(SPACE.from_unit(points), estimator.level_of(signals))


def test_wrong_use_is_refused():
    with pytest.raises(NotFittedError, match="fit before level_of"):
        LevelEstimator(SPACE).level_of(np.zeros((1, 100)))
    with pytest.raises(NotFittedError, match="fit before state"):
        LevelEstimator(SPACE).state()
    few = fixed_set(small_gate.digits(), small_gate.splits().fit[:8], seed=0)
    small = replace(few, images=few.images[:7], labels=few.labels[:7], seeds=few.seeds[:7])
    with pytest.raises(InputError, match="at least 8 images"):
        LevelEstimator(SPACE).fit(small)
