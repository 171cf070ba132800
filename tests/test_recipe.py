"""Recipes: the defaults of the demo, what is refused, and that the sentence names the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.errors import RecipeError
from gatekeeper.recipe import Recipe, load_recipe, parse_recipe

SMALLEST = {"name": "x", "classifier": {"kind": "timm"}}


def parse(**changes: object) -> Recipe:
    return parse_recipe({**SMALLEST, **changes}, source="recipe.toml", folder=Path("/recipes"))


def test_the_defaults_are_the_declared_ones() -> None:
    recipe = parse()
    assert recipe.seed == 0
    assert recipe.policy.target_risk == 0.05
    assert recipe.policy.confidence_level == 0.95
    assert recipe.policy.doubt_below == 0.99
    assert recipe.conditions.clean_share == 0.5
    assert set(recipe.conditions.seen) == {
        "gaussian", "impulse", "periodic", "gaussian_blur", "dark",
    }  # fmt: skip
    assert set(recipe.conditions.held_out) == {"contrast", "horizontal_shift", "speckle"}
    assert recipe.restorers.restorer_of["impulse"] == "median"


def test_a_file_is_read_and_relative_weights_start_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        """
        name = "mine"
        [classifier]
        kind = "onnx"
        options = { path = "weights/net.onnx", checkpoint = "/elsewhere/net.safetensors" }
        [policy]
        target_risk = 0.02
        """,
        encoding="utf-8",
    )
    recipe = load_recipe(path)
    assert recipe.policy.target_risk == 0.02
    assert recipe.classifier.options == {
        "path": str(tmp_path / "weights" / "net.onnx"),
        "checkpoint": "/elsewhere/net.safetensors",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"nmae": "y"},
            r"recipe\.toml cannot be followed: nmae: there is no such key, did you mean 'name'\?",
        ),
        ({"policy": {"target_rsk": 0.1}}, r"policy\.target_rsk: .* mean 'target_risk'\?"),
        (
            {"data": {"splits": {"zzz": 1}}},
            r"data\.splits\.zzz: there is no such key, expected one of calibrate, certify, fit, ",
        ),
        ({"name": "Not A Name"}, "name: "),
        ({"policy": {"target_risk": 0}}, r"policy\.target_risk: .*greater than 0"),
        ({"policy": {"confidence_level": 1}}, r"policy\.confidence_level: .*less than 1"),
        ({"policy": {"switch_margins": [2]}}, r"policy\.switch_margins\.0"),
        ({"schema_version": 2}, "schema_version"),
        ({"classifier": {"kind": "keras"}}, r"classifier\.kind"),
        ({"data": {"dataset": "imagenet"}}, "dataset must be one of .*got 'imagenet'"),
        ({"data": {"splits": {"fit": 0}}}, r"data\.splits\.fit"),
        ({"conditions": {"seen": ["gausian"]}}, "'gausian'; did you mean gaussian"),
        ({"conditions": {"seen": []}, "restorers": {"restorer_of": {}}}, "at least one corrup"),
        ({"conditions": {"seen": ["dark"], "held_out": ["dark"]}}, r"got both for \['dark'\]"),
        (
            {"conditions": {"held_out": ["speckle", "gaussian"]}},
            r"families must be seen or held out, got both for \['gaussian'\]",
        ),
        (
            {"restorers": {"restorer_of": {"speckle": "median"}}},
            r"seen corruptions only, got \['speckle'\]",
        ),
        (
            {"restorers": {"restorer_of": {"dark": "unet"}}},
            r"restorer_of\.dark must be one of autoencoder, .*got 'unet': give",
        ),
        ({"restorers": {"records": {"../unet": "u"}}}, r"restorers\.records\.\.\./unet"),
        ({"restorers": {"records": {"gate": "u"}}}, r"must not be called \['gate'\]"),
        ({"restorers": {"records": {"median": "u"}}}, r"\['median'\], which need no record"),
        ({"restorers": {"steps": 0}}, "names the autoencoder, whose steps are 0"),
        ({"restorers": {"max_attempts": 2}}, "read by the arbiter: set arbitrate = true"),
        ({"restorers": {"max_cost": 3.0}}, "read by the arbiter: set arbitrate = true"),
        ({"restorers": {"costs": {"median": 1.0}}}, "read by the arbiter: set arbitrate = true"),
        (
            {"restorers": {"arbitrate": True, "costs": {"unet": 1.0}}},
            r"costs must name restorers of restorer_of, got \['unet'\]",
        ),
        ({"restorers": {"arbitrate": True, "max_attempts": 0}}, r"restorers\.max_attempts"),
        ({"restorers": {"arbitrate": True, "costs": {"median": -1.0}}}, r"restorers\.costs"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(changes: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(**changes)


def test_a_record_gives_a_restorer_its_name_and_saves_the_training() -> None:
    named = {"restorer_of": {"dark": "unet", "impulse": "median"}, "records": {"unet": "u-1"}}
    recipe = parse(restorers=named)
    assert recipe.restorers.records == {"unet": "u-1"}
    assert not recipe.restorers.trains
    own = {"restorer_of": {"dark": "autoencoder"}, "records": {"autoencoder": "a-1"}, "steps": 0}
    assert not parse(restorers=own).restorers.trains
    assert parse(restorers={"restorer_of": {"dark": "autoencoder"}}).restorers.trains


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe"])
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match="expected a TOML file"):
        load_recipe(path)


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="expected a TOML file"):
        load_recipe(tmp_path)
