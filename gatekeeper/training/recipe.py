"""A training recipe: the TOML file that says which network is trained, on what, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gatekeeper.recipe import (
    ClassifierTraining,
    DataRecipe,
    checked,
    read_toml,
    with_paths_from,
)
from gatekeeper.training.restorer_recipe import RestorerRecipe


class TrainingRecipe(BaseModel):
    """What ``gatekeeper train`` follows for a classifier.

    Attributes:
        id: Name of the record; its folder below ``models/``.
        kind: What is trained.
        seed: Of initial weights, order, flips and crops; also of the splits.
        data: Which images; *train* is learned from, *validation* is watched.
        architecture: A timm architecture, or ``gatekeeper_small_resnet``.
        kwargs: Options of the architecture.
        size: Height and width of the network's input; the images' own by default.
        training: Schedule.
        terms: What the data's terms mean for the weights, for the card.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    kind: Literal["classifier"] = "classifier"
    seed: int = Field(default=0, ge=0)
    data: DataRecipe
    architecture: str
    kwargs: dict[str, Any] = {}
    size: tuple[int, int] | None = None
    training: ClassifierTraining = ClassifierTraining()
    terms: str = ""


def load_training_recipe(path: Path) -> TrainingRecipe | RestorerRecipe:
    """Read a training recipe; its ``kind`` says of what.

    Args:
        path: A TOML file; relative paths in a classifier's options start at its folder.

    Raises:
        RecipeError: the file is missing, is not TOML, or says something that cannot be followed;
            the message names the key.
    """
    raw = read_toml(path, "a training recipe")
    if raw.get("kind") != "restorer":
        return checked(TrainingRecipe, raw, source=str(path))
    recipe = checked(RestorerRecipe, raw, source=str(path))
    if recipe.classifier is None:
        return recipe
    located = with_paths_from(recipe.classifier, path.resolve().parent)
    return recipe.model_copy(update={"classifier": located})
