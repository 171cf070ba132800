"""What a restorer's recipe may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatekeeper.errors import RecipeError
from gatekeeper.training.methods import METHODS, Frozen, method
from gatekeeper.training.recipe import TrainingRecipe, load_training_recipe
from gatekeeper.training.restorer_recipe import CorruptionDraw, RestorerRecipe
from gatekeeper.training.restorer_run import SHIPPED_BYTES

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """
id = "tiny"
kind = "restorer"
method = "autoencoder"
[classifier]
kind = "module"
[classifier.options]
module = "somewhere:network"
checkpoint = "weights.safetensors"
[[corruptions]]
name = "gaussian"
level = [0.05, 0.3]
[[corruptions]]
name = "motion_blur+jpeg_compression"
severity = [1, 3]
[objective]
recognition_weight = 0.1
[training]
steps = 12
"""


def load(tmp_path: Path, text: str) -> TrainingRecipe | RestorerRecipe:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return load_training_recipe(path)


def test_the_kind_says_what_is_trained(tmp_path: Path) -> None:
    found = load(tmp_path, RECIPE)
    assert isinstance(found, RestorerRecipe)
    assert found.training.steps == 12
    assert [draw.strength for draw in found.corruptions] == [(0.05, 0.3), (1, 3)]
    assert found.classifier is not None
    assert found.classifier.options["checkpoint"] == str(tmp_path / "weights.safetensors")
    other = load(tmp_path, 'id = "c"\narchitecture = "resnet18"\n[data]\ndataset = "digits"')
    assert isinstance(other, TrainingRecipe)


def test_severities_are_the_default() -> None:
    assert CorruptionDraw(name="fog").strength == (0.5, 5.5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"autoencoder"', '"autoencodr"', r"got 'autoencodr'; did you mean autoencoder"),
        ('"gaussian"', '"gausian"', r"corruptions\.0: .*did you mean gaussian"),
        ("[0.05, 0.3]", "[0.3, 0.05]", r"gaussian: expected the milder end first"),
        ("[1, 3]", "[0, 3]", r"expected severities in 0\.5…5\.5, got 0\.0 and 3\.0"),
        ("[1, 3]", "[1, 3]\nlevel = [1, 2]", "give severities or levels, not both"),
        ("recognition_weight", "recognise", r"unknown option 'recognise'"),
        ("steps = 12", "steps = 0", r"training\.steps"),
        ("steps = 12", "step = 12", r"training\.step: there is no such key, did you mean 'steps'"),
        ('id = "tiny"', 'id = "../tiny"', "id: "),
        ('kind = "module"', "training = {}", "frozen: leave out its training"),
        ("[training]", '[[unlabelled]]\nname = "camera"\n[training]', "leave out unlabelled"),
        (RECIPE[RECIPE.index("[[") :], "corruptions = []", "corruptions: "),
    ],
)
def test_what_cannot_be_followed_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in RECIPE
    text = RECIPE.replace(old, new, 1)
    if new == "corruptions = []":
        text = f"{new}\n" + RECIPE.replace(old, "")
    with pytest.raises(RecipeError, match=message):
        load(tmp_path, text)


def test_the_recipe_in_the_documents_can_be_followed(tmp_path: Path) -> None:
    text = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    told = [block for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "kind" in block]
    assert len(told) == 1
    found = load(tmp_path, told[0])
    assert isinstance(found, RestorerRecipe)
    assert found.method == "unet"
    of_the_classifier = ROOT / "models" / found.classifier.record / "recipe.toml"
    assert found.data.splits == load_training_recipe(of_the_classifier).data.splits


SHIPPED = sorted((ROOT / "models").glob("*.toml"))
OF_CIFAR10 = [path for path in SHIPPED if path.stem.endswith("cifar10")]


def test_recipes_of_every_method_ship() -> None:
    assert {load_training_recipe(path).method for path in OF_CIFAR10} == set(METHODS)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_recipe_that_ships_can_be_followed(path: Path) -> None:
    found = load_training_recipe(path)
    assert isinstance(found, RestorerRecipe)
    assert found.id == path.stem
    trained_here = found.data is not None
    assert trained_here == (path in OF_CIFAR10)
    assert trained_here != ("Not trained here" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", OF_CIFAR10, ids=lambda path: path.stem)
def test_what_ships_is_below_15_megabytes_and_knows_no_other_split(path: Path) -> None:
    found = load_training_recipe(path)
    for record in ("resnet18-cifar10", "mobilenetv2-cifar10"):
        of_the_classifier = load_training_recipe(ROOT / "models" / record / "recipe.toml")
        assert found.data.splits == of_the_classifier.data.splits
        assert found.seed == of_the_classifier.seed
    chosen = method(found.method)
    training = chosen.build(
        chosen.network_options(found.network),
        chosen.objective_options(found.objective, found.training),
        Frozen(recognise=lambda x: x, features=lambda x: x, seed=0, device="cpu"),
    )
    n_bytes = sum(t.numel() * t.element_size() for t in training.export().state().values())
    assert n_bytes < SHIPPED_BYTES
