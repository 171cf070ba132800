"""From a TOML file to a checked recipe; what cannot be followed is named by its key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from gatekeeper.errors import RecipeError
from gatekeeper.recipe.tables import ClassifierRecipe, Recipe

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The content of a TOML file.

    Args:
        path: The file.
        what: What it should be, for the error.

    Raises:
        RecipeError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"expected {what} at {path}, got no such file") from error
    except (IsADirectoryError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"expected a TOML file at {path}, got something else: {error}") from error


def checked(model: type[Model], raw: dict[str, Any], *, source: str) -> Model:
    """Content as a model; what cannot be followed is named by its key.

    Raises:
        RecipeError: a key is unknown, missing or outside its range.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_problem(model, item["loc"], item) for item in error.errors())
        raise RecipeError(f"{source} cannot be followed: {problems}") from error


def _problem(model: type[BaseModel], place: tuple[int | str, ...], item: Mapping[str, Any]) -> str:
    """What is wrong with one key, in words."""
    where = ".".join(map(str, place)) or "recipe"
    if item["type"] != "extra_forbidden":
        return f"{where}: {item['msg']}"
    known = _keys_at(model, place[:-1])
    near = get_close_matches(str(place[-1]), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(known))}"
    return f"{where}: there is no such key, {hint}"


def _keys_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys of the table at a place; of the outermost where the place is no table of its own."""
    inner = model
    for part in place:
        field = inner.model_fields.get(str(part))
        kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
        tables = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        inner = tables[0] if tables else inner
    return list(inner.model_fields)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Args:
        path: A TOML file.

    Raises:
        RecipeError: the file is missing, is not TOML, or says something that cannot be followed;
            the message names the key.
    """
    raw = read_toml(path, "a recipe")
    return parse_recipe(raw, source=str(path), folder=path.resolve().parent)


def parse_recipe(raw: dict[str, Any], *, source: str, folder: Path) -> Recipe:
    """Check a recipe's content; relative paths of weights and levels start at ``folder``.

    Raises:
        RecipeError: see :func:`load_recipe`.
    """
    recipe = checked(Recipe, raw, source=source)
    located = with_paths_from(recipe.classifier, folder)
    predictor = recipe.predictor
    if predictor.levels is not None:
        predictor = predictor.model_copy(update={"levels": str(folder / predictor.levels)})
    return recipe.model_copy(update={"classifier": located, "predictor": predictor})


def with_paths_from(classifier: ClassifierRecipe, folder: Path) -> ClassifierRecipe:
    """The same with relative paths of weights taken from ``folder``."""
    options = dict(classifier.options)
    for key in ("checkpoint", "path"):
        if isinstance(options.get(key), str):
            options[key] = str(folder / options[key])
    return classifier.model_copy(update={"options": options})
