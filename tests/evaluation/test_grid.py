"""Conditions, the declared mix, and which images are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gatekeeper.errors import DataError, InputError, SplitOverlapError
from gatekeeper.evaluation import (
    PUBLISHED,
    Grid,
    Mix,
    declared_mix,
    held_out_of,
    images_to_judge,
)
from gatekeeper.images import seeds_for
from tests import small_gate


def test_a_grid_is_clean_first_and_then_corruption_by_corruption():
    grid = Grid(("fog", "snow"), (1, 5))
    assert grid.conditions == (("", 0), ("fog", 1), ("fog", 5), ("snow", 1), ("snow", 5))
    assert len(grid) == 5
    assert grid.of(["snow"]).tolist() == [3, 4]
    assert len(Grid(PUBLISHED)) == 1 + 19 * 5


@pytest.mark.parametrize(
    ("names", "severities", "message"),
    [
        (("fogg",), (1,), "did you mean fog"),
        (("fog", "fog"), (1,), "each once"),
        ((), (1,), "at least one corruption"),
        (("fog",), (0, 1), "1…5"),
        (("fog",), (2, 1), "rising"),
        (("fog",), (), "1…5"),
    ],
)
def test_a_grid_with_holes_is_refused(names, severities, message):
    with pytest.raises(InputError, match=message):
        Grid(names, severities)


def test_a_plan_has_every_image_once_with_seeds_of_image_and_condition():
    data, positions = small_gate.digits(), np.array([5, 9, 7])
    plan = Grid(("fog",), (2,)).plan(data, positions, 1, seed=3)
    assert plan.positions.tolist() == [5, 9, 7]
    assert set(plan.corruptions) == {"fog"}
    assert set(plan.severities.tolist()) == {2}
    expected = seeds_for(3, data.digests[positions], "evaluate/fog/2")
    assert plan.seeds.tolist() == expected.tolist()


def test_the_mix_is_read_off_a_certificate_that_fitting_wrote():
    certificate = small_gate.small().result.fitted.certificate
    assert declared_mix(certificate) == Mix(("impulse", "dark", "gaussian"), 0.5)
    assert declared_mix({"conditions": ["whatever the user sends"]}) is None
    assert declared_mix({}) is None
    # What is stated outright counts; a sentence rounds the share.
    stated = {**certificate, "seen": ["fog"], "clean_share": 0.125}
    assert declared_mix(stated) == Mix(("fog",), 0.125)


def test_held_out_is_what_has_a_family_that_was_not_fitted_on():
    mix = Mix(("impulse", "dark", "gaussian"), 0.5)
    grid = Grid(("impulse_noise", "contrast", "gaussian", "dark+shot_noise"))
    assert held_out_of(grid, mix) == ("contrast", "dark+shot_noise")


def test_the_images_of_a_gate_are_those_that_its_fitting_kept():
    data, fitted = small_gate.digits(), small_gate.small().result.fitted
    judged = images_to_judge(data, [(fitted.seed, fitted.certificate)])
    assert judged.positions.tolist() == small_gate.splits().test.tolist()
    assert "kept for its test" in judged.which
    # On other data its splits cannot be drawn again, and nothing is known about overlap.
    other = replace(data, images=255 - data.images)
    assert "not known" in images_to_judge(other, [(0, fitted.certificate)]).which


def test_images_without_a_gate_are_the_official_test_part_or_all_and_distinct():
    data = small_gate.digits()
    twice = replace(data, images=np.concatenate([data.images[:6], data.images[:2]]),
                    labels=np.concatenate([data.labels[:6], data.labels[:2]]))  # fmt: skip
    assert len(images_to_judge(twice).positions) == 6
    official = replace(twice, test_index=np.array([4, 5, 6]))
    assert images_to_judge(official).positions.tolist() == [4, 5, 6]
    assert images_to_judge(official).which == "the official test part"


def test_a_limit_takes_images_by_digest_not_by_position():
    data = small_gate.digits()
    few = images_to_judge(data, limit=40)
    assert len(few.positions) == 40
    turned = replace(data, images=data.images[::-1], labels=data.labels[::-1])
    again = images_to_judge(turned, limit=40)
    assert set(turned.digests[again.positions]) == set(data.digests[few.positions])
    with pytest.raises(DataError, match="at least one image"):
        images_to_judge(data, limit=0)


def test_gates_that_kept_different_images_cannot_be_judged_together():
    data, fitted = small_gate.digits(), small_gate.small().result.fitted
    from gatekeeper.images import make_splits

    other = make_splits(
        data.labels, data.digests, test_index=data.test_index, sizes=small_gate.SIZES, seed=5
    )
    certificate = {**fitted.certificate, "splits": other.to_json(data.digests)}
    with pytest.raises(SplitOverlapError, match="2 different sets"):
        images_to_judge(data, [(0, fitted.certificate), (5, certificate)])
