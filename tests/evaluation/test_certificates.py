"""Certificates counted again: equal to what fitting wrote, and caught where they were touched."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from gatekeeper.errors import DataError
from gatekeeper.evaluation import Recount, not_recomputed, recount_certificate
from tests import small_gate


@pytest.fixture(scope="module")
def fitted():
    return small_gate.small().result.fitted


def wrong(fitted, certificate) -> dict[str, tuple]:
    found = recount_certificate(
        fitted, certificate, small_gate.digits(), cache=small_gate.folder() / "cells"
    )
    return {each.name: (each.recorded, each.recomputed) for each in found if not each.same}


def test_every_number_of_an_untouched_certificate_is_the_same(fitted) -> None:
    certificate = copy.deepcopy(dict(fitted.certificate))
    assert certificate["certified"]
    found = recount_certificate(fitted, certificate, small_gate.digits())
    assert [each for each in found if not each.same] == []
    names = {each.name for each in found}
    expected = {"n_accepted", "n_wrong", "upper_bound", "tail_probability", "certified_coverage"}
    expected |= {"classifier_digest", "accept_raw_at", "groups.clean.n_wrong"}
    expected |= {"groups.family dark.n_accepted", "variants.no_restorer.upper_bound"}
    expected |= {"walk.accept_raw_at", "walk.groups.clean.adjusted_p_value"}
    expected |= {"walk.variants.no_restorer.accept_raw_at", "bundle.doubt_below"}
    assert expected <= names
    # The counts are those of the certify images that fitting judged.
    judged = small_gate.small().result.certify
    replayed = fitted.gate.replay(judged.raw_reliability, judged.restored_reliability)
    recount = next(each for each in found if each.name == "n_accepted")
    assert recount.recomputed == replayed.accepted.sum()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("n_wrong", 1),
        ("n_accepted", 999),
        ("upper_bound", 0.01),
        ("accept_raw_at", 0.5),
        ("classifier_digest", "0" * 64),
        ("certified_coverage", 1.0),
        ("target_risk", 0.2),
    ],
)
def test_a_number_that_was_touched_is_named(fitted, place: str, value: object) -> None:
    certificate = {**copy.deepcopy(dict(fitted.certificate)), place: value}
    found = wrong(fitted, certificate)
    assert f"bundle.{place}" in found
    assert found[f"bundle.{place}"] == (value, fitted.certificate[place])


def test_a_group_and_a_variant_that_were_touched_are_named(fitted) -> None:
    certificate = copy.deepcopy(dict(fitted.certificate))
    certificate["groups"][0]["n_wrong"] += 1
    certificate["variants"]["no_restorer"]["n_accepted"] -= 1
    name = certificate["groups"][0]["name"]
    found = wrong(fitted, certificate)
    assert {f"groups.{name}.n_wrong", "variants.no_restorer.n_accepted"} <= set(found)
    recorded, recomputed = found["variants.no_restorer.n_accepted"]
    assert recorded == recomputed - 1


@pytest.mark.parametrize("place", ["p_value", "upper_bound"])
def test_a_groups_bound_that_was_touched_is_named(fitted, place: str) -> None:
    certificate = copy.deepcopy(dict(fitted.certificate))
    before = certificate["groups"][0][place]
    certificate["groups"][0][place] = before / 2 + 0.001
    found = wrong(fitted, certificate)
    name = f"walk.groups.{certificate['groups'][0]['name']}.{place}"
    assert found[name] == (before / 2 + 0.001, pytest.approx(before))


def test_a_walk_that_went_too_far_is_caught(fitted) -> None:
    # Gate and certificate agree on a more lenient threshold, whose counts are right.
    lenient = replace(
        fitted.gate, accept_raw_at=fitted.gate.accept_raw_at - 0.2, accept_restored_at=0.0
    )
    certificate = {**fitted.certificate, "accept_raw_at": lenient.accept_raw_at}
    bolder = replace(fitted, gate=lenient, certificate=certificate)
    found = wrong(bolder, certificate)
    recorded, recomputed = found["walk.accept_raw_at"]
    assert recorded == lenient.accept_raw_at
    assert recomputed == pytest.approx(fitted.gate.accept_raw_at)


def test_a_threshold_may_move_in_its_last_32_bit_digits_and_no_further(fitted) -> None:
    thresholds = {"walk.accept_raw_at", "walk.variants.no_restorer.accept_raw_at"}
    for moved, caught in ((5e-7, set()), (5e-6, thresholds)):
        certificate = copy.deepcopy(dict(fitted.certificate))
        certificate["accept_raw_at"] += moved
        certificate["variants"]["no_restorer"]["accept_raw_at"] += moved
        # The recorded gate itself is compared exactly: only the walk finds a threshold again.
        found = set(wrong(fitted, certificate)) & thresholds
        assert found == caught, moved
        assert "accept_raw_at" in wrong(fitted, certificate)


def test_a_certificate_of_before_is_counted_without_its_walk(fitted) -> None:
    new = ("seen", "held_out", "clean_share", "doubt_below")
    old = {name: value for name, value in fitted.certificate.items() if name not in new}
    before = replace(fitted, certificate=old)
    found = recount_certificate(
        before, old, small_gate.digits(), cache=small_gate.folder() / "cells"
    )
    assert [each for each in found if not each.same] == []
    assert not any(each.name.startswith("walk.") for each in found)
    assert "n_accepted" in {each.name for each in found}
    assert "doubt_below" in not_recomputed(old)[0]
    assert len(not_recomputed(fitted.certificate)) == len(not_recomputed(old)) - 1
    assert not_recomputed(old, small_gate.recipe().policy) == ()


def test_the_recipe_gives_walk_and_margin_of_a_certificate_of_before(fitted) -> None:
    old = {name: value for name, value in fitted.certificate.items() if name != "doubt_below"}
    before = replace(fitted, certificate=old)
    found = recount_certificate(
        before,
        old,
        small_gate.digits(),
        policy=small_gate.recipe().policy,
        cache=small_gate.folder() / "cells",
    )
    assert [each for each in found if not each.same] == []
    assert {"walk.accept_raw_at", "recipe.switch_margin"} <= {each.name for each in found}


def test_a_margin_that_the_rule_does_not_give_is_caught(fitted) -> None:
    margin = fitted.gate.switch_margin
    other = [m for m in small_gate.recipe().policy.switch_margins if m != margin]
    found = recount_certificate(
        fitted,
        fitted.certificate,
        small_gate.digits(),
        policy=small_gate.recipe(switch_margins=other).policy,
        cache=small_gate.folder() / "cells",
    )
    (wrong_one,) = [each for each in found if not each.same]
    assert (wrong_one.name, wrong_one.recorded) == ("recipe.switch_margin", margin)
    assert wrong_one.recomputed in other


def test_a_gate_that_does_not_do_as_certified_is_caught(fitted) -> None:
    # Certificate and bundle agree, but the classifier's answers are no longer those.
    predictor = fitted.predictors["raw"]

    class Bolder:
        def score(self, evidence):
            return predictor.score(evidence) + 1.0

    bolder = replace(fitted, predictors={**fitted.predictors, "raw": Bolder()})
    assert "n_accepted" in wrong(bolder, dict(fitted.certificate))


def test_other_images_are_not_counted(fitted) -> None:
    data = small_gate.digits()
    other = replace(data, images=255 - data.images)
    with pytest.raises(DataError, match="images of digits that were certified on"):
        recount_certificate(fitted, fitted.certificate, other)
    untold = {**fitted.certificate, "conditions": ["as it comes"]}
    del untold["seen"]
    with pytest.raises(DataError, match="name its traffic"):
        recount_certificate(fitted, untold, data)


def test_fractions_agree_up_to_rounding_and_counts_exactly() -> None:
    assert Recount(name="x", recorded=0.1 + 0.2, recomputed=0.3).same
    assert not Recount(name="x", recorded=0.3, recomputed=0.3001).same
    assert not Recount(name="x", recorded=3, recomputed=4).same
    assert not Recount(name="x", recorded=None, recomputed=0.0).same
    assert not Recount(name="x", recorded=0.5, recomputed=None).same
    assert not Recount(name="x", recorded=True, recomputed=False, within=2.0).same
    assert Recount(name="x", recorded=100, recomputed=103, within=3.0).same
    assert not Recount(name="x", recorded=100, recomputed=104, within=3.0).same
