"""What an adaptation recipe may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.adaptation.recipe import AdaptationRecipe, check_fit, load_adaptation_recipe
from gatekeeper.errors import RecipeError
from gatekeeper.recipe import parse_recipe
from tests import small_gate

FIT = 'name = "mine"\n[classifier.training]\nepochs = 1\n'


def load(tmp_path: Path, text: str):
    (tmp_path / "fit.toml").write_text(FIT, encoding="utf-8")
    (tmp_path / "adapt.toml").write_text(f'fit = "fit.toml"\n{text}', encoding="utf-8")
    return load_adaptation_recipe(tmp_path / "adapt.toml")


def test_the_champions_recipe_is_found_beside_it(tmp_path: Path) -> None:
    recipe, fit = load(tmp_path, "[promotion]\nautomatic = true\n[shares]\nlearn = 0.4\n")
    assert fit.name == "mine"
    assert recipe.promotion.automatic
    assert recipe.shares.judge == pytest.approx(0.1)
    assert recipe.restorer.training.steps == 2000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[promotion]\nautomatc = true\n", "did you mean 'automatic'"),
        ("[shares]\nlearn = 0.5\n", "leave at least 0.01 to judge"),
        ("[restorer.network]\nwidth = 3\n", "unknown option 'width'"),
        ("[restorer.objective]\nsteps = 3\n", "steps belong into training"),
        ("[restorer]\nhighest_sigma = 0\n", "highest_sigma"),
    ],
)
def test_what_cannot_be_followed_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load(tmp_path, text)


def test_a_recipe_without_the_champions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "adapt.toml"
    path.write_text('fit = "none.toml"\n', encoding="utf-8")
    with pytest.raises(RecipeError, match="expected a recipe at"):
        load_adaptation_recipe(path)


def test_an_arbiter_is_refused() -> None:
    restorers = {**small_gate.RECIPE["restorers"], "arbitrate": True}
    fit = parse_recipe({**small_gate.RECIPE, "restorers": restorers}, source="small", folder=Path())
    with pytest.raises(RecipeError, match=r"restorers\.arbitrate"):
        check_fit(fit)
    check_fit(small_gate.recipe())


def test_defaults_are_whole() -> None:
    recipe = AdaptationRecipe(fit="x")
    assert recipe.shares.judge == pytest.approx(0.2)
    assert recipe.promotion.most_harm == 0.02
