"""What only the recipe gives again: as fitting left it, and caught where it was touched."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from gatekeeper.cli.refits import GAIN_WITHIN, not_refitted, recipe_of, recount_refits
from gatekeeper.errors import RecipeError
from gatekeeper.paths import shipped_root
from gatekeeper.recipe import Recipe
from tests import small_gate


def arbitrating() -> Recipe:
    """The small recipe with an arbiter and a trust that is chosen, which a fit has to find."""
    plain = small_gate.recipe()
    return plain.model_copy(
        update={
            "restorers": plain.restorers.model_copy(update={"arbitrate": True, "max_attempts": 2}),
            "predictor": plain.predictor.model_copy(update={"trust": "choose"}),
        }
    )


@pytest.fixture(scope="module")
def result():
    return small_gate.fitter(with_recipe=arbitrating()).run()


@pytest.fixture(scope="module")
def again(result):
    """The recounts of a certificate with three numbers that were touched."""
    touched = copy.deepcopy(dict(result.fitted.certificate))
    touched["router"]["confusion"][1][1] -= 40
    assert touched["trust_judged"]
    touched["trust_judged"][0]["worst"] += 2 * GAIN_WITHIN
    touched["arbitration"]["cross_fitted"]["median"]["rows"] += 1000
    return recount_refits(result.fitted, touched, small_gate.digits(), arbitrating())


def test_only_what_was_touched_differs(again) -> None:
    wrong = {each.name for each in again if not each.same}
    kind = "dark"
    assert wrong == {
        f"router.{kind}.rows",
        f"router.{kind}.{kind}",
        "trust_judged.0.4.worst",
        "arbitration.median.rows",
    }


def test_every_part_is_fitted_again(again) -> None:
    names = {each.name for each in again}
    assert {"router.types", "router.clean.dark", "trust_judged", "trust_judged.1.clean"} <= names
    assert {"arbitration.costs", "arbitration.exposure.helped"} <= names


def test_declared_costs_are_not_measured_again(again, result) -> None:
    costs = next(each for each in again if each.name == "arbitration.costs")
    assert costs.same
    assert costs.recomputed == result.fitted.certificate["arbitration"]["costs"]


def test_parts_that_a_certificate_lacks_are_not_fitted(result) -> None:
    plain = {
        name: value
        for name, value in result.fitted.certificate.items()
        if name not in ("router", "trust_judged", "arbitration")
    }
    assert recount_refits(result.fitted, plain, small_gate.digits(), arbitrating()) == []
    assert not_refitted(plain) == ()
    said = not_refitted(result.fitted.certificate)
    assert [text.partition(":")[0] for text in said] == ["router", "trust_judged", "arbitration"]


@pytest.mark.parametrize("judged", [[], [{"trust": 0.4, "mean": 0, "worst": 0, "clean": 0}]])
def test_a_trust_that_the_recipe_gives_needs_no_fit(judged: list[dict[str, float]]) -> None:
    recipe = small_gate.recipe()
    traffic = {"seen": recipe.conditions.seen, "clean_share": recipe.conditions.clean_share}
    plain = {**traffic, "trust_judged": judged}
    # There is no gate to fit again.
    (found,) = recount_refits(None, plain, small_gate.digits(), recipe)
    assert (found.name, found.recomputed, found.same) == ("trust_judged", [], not judged)


def test_a_recipe_for_other_traffic_is_refused(result) -> None:
    recipe = arbitrating()
    other = recipe.model_copy(
        update={"conditions": recipe.conditions.model_copy(update={"clean_share": 0.25})}
    )
    with pytest.raises(RecipeError, match=r"0\.25 clean"):
        recount_refits(result.fitted, result.fitted.certificate, small_gate.digits(), other)


def test_only_a_bundle_that_ships_knows_its_recipe(tmp_path: Path) -> None:
    issued = shipped_root() / "calibration" / "small-resnet-fashion-mnist" / "bundle"
    found = recipe_of("demo", issued, None)
    assert found is not None
    assert found.name == "demo"
    assert recipe_of("nothing", issued, None) is None
    assert recipe_of("demo", tmp_path / "small" / "bundle", None) is None
