"""From a training recipe to a record that rebuilds the classifier."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from gatekeeper.errors import DataError, RecipeError
from gatekeeper.training import classifier_of_record, run_training
from gatekeeper.training.recipe import load_training_recipe
from tests import small_gate

RECIPE = """
id = "tiny-digits"
architecture = "gatekeeper_small_resnet"
terms = "Digits are free."
[kwargs]
widths = [4, 4, 8, 8]
[data]
dataset = "digits"
[data.splits]
train = 600
validation = 50
fit = 10
calibrate = 10
certify = 10
test = 10
[training]
epochs = 2
batch_size = 300
min_steps = 1
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_the_record_rebuilds_the_classifier_that_was_trained(recipe_file, tmp_path) -> None:
    told: list[str] = []
    trained = run_training(
        load_training_recipe(recipe_file), out=tmp_path / "out", work=tmp_path / "work",
        announce=told.append,
    )  # fmt: skip
    record = tomllib.loads((tmp_path / "out" / "model.toml").read_text(encoding="utf-8"))
    rebuilt = classifier_of_record(tmp_path / "out").build(device="cpu")
    assert rebuilt.digest == record["digest"] == trained.digest
    assert rebuilt.model_id == record["id"] == "tiny-digits"
    assert record["validation_accuracy"] == list(trained.validation)
    assert len(trained.validation) == 2
    assert told[-1].startswith("epoch 2: ")
    images = small_gate.digits().batch(np.arange(3))
    assert rebuilt.look(images).logits.shape == (3, 10)
    card = (tmp_path / "out" / "CARD.md").read_text(encoding="utf-8")
    assert "Digits are free." in card
    assert "n = 50" in card


def test_what_is_no_record_of_a_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected the record of a model"):
        classifier_of_record(tmp_path)
    (tmp_path / "model.toml").write_text('kind = "restorer"\n', encoding="utf-8")
    with pytest.raises(DataError, match="got kind 'restorer'"):
        classifier_of_record(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id = 'a'", "cannot be followed: data: Field required"),
        (RECIPE + "momentum = 0.9\n", "training.momentum"),
        ("not toml", "expected a TOML file"),
    ],
)
def test_a_recipe_that_cannot_be_followed_names_the_key(tmp_path, text, message) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        load_training_recipe(path)
    with pytest.raises(RecipeError, match="no such file"):
        load_training_recipe(tmp_path / "missing.toml")
