"""A recipe: the TOML file that says what is fitted, on what, for which traffic and target."""

from __future__ import annotations

from gatekeeper.recipe.reading import (
    checked,
    load_recipe,
    parse_recipe,
    read_toml,
    with_paths_from,
)
from gatekeeper.recipe.tables import (
    ClassifierRecipe,
    ClassifierTraining,
    ConditionsRecipe,
    DataRecipe,
    PolicyRecipe,
    PredictorRecipe,
    Recipe,
    RestorersRecipe,
    SecondOpinionRecipe,
    Share,
    SplitSizes,
)

__all__ = [
    "ClassifierRecipe",
    "ClassifierTraining",
    "ConditionsRecipe",
    "DataRecipe",
    "PolicyRecipe",
    "PredictorRecipe",
    "Recipe",
    "RestorersRecipe",
    "SecondOpinionRecipe",
    "Share",
    "SplitSizes",
    "checked",
    "load_recipe",
    "parse_recipe",
    "read_toml",
    "with_paths_from",
]
