"""A recipe that names levels: what is read, what is refused, and a gate that reads them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gatekeeper.bundle import load_bundle, save_bundle
from gatekeeper.errors import RecipeError
from gatekeeper.evidence import TableBuilder
from gatekeeper.fitting.levels import level_reader
from gatekeeper.levels import AccuracyOracle, SearchOptions, fixed_set, parse_space, run_study
from gatekeeper.recipe import parse_recipe
from gatekeeper.reliability import level_study_of
from tests import small_gate


def study_record(split: str = "fit", space: str = "noise_sigma=0:0.3,brightness=0.2:1"):
    """What ``gatekeeper levels`` writes, less what nothing here reads."""
    data, positions = small_gate.digits(), small_gate.splits()[split][:60]
    oracle = AccuracyOracle(
        small_gate.classifier(), fixed_set(data, positions, seed=0), parse_space(space)
    )
    study = run_study(oracle, SearchOptions(threshold=0.8, budget=14))
    return {
        **study.to_json(),
        "lineage": {"classifier digest": small_gate.classifier().digest},
        "image_digests": data.digests[positions].tolist(),
    }


@pytest.fixture(scope="module")
def record():
    return study_record()


def named(record, folder, **changed):
    """A recipe beside a file of levels."""
    (folder / "levels.json").write_text(json.dumps({**record, **changed}), encoding="utf-8")
    predictor = {**small_gate.RECIPE["predictor"], "levels": "levels.json"}
    body = {**small_gate.RECIPE, "predictor": predictor}
    return parse_recipe(body, source="small", folder=folder)


def reader(recipe):
    return level_reader(recipe, small_gate.digits(), small_gate.splits(), small_gate.classifier())


def test_without_levels_there_is_nothing_to_read() -> None:
    assert reader(small_gate.recipe()) is None


def test_a_gate_reads_them_and_keeps_them_in_its_bundle(record, tmp_path) -> None:
    recipe = named(record, tmp_path)
    assert recipe.predictor.levels == str(tmp_path / "levels.json")
    builder = TableBuilder(
        small_gate.digits(),
        small_gate.classifier(),
        small_gate.restorers(),
        cache=small_gate.folder() / "cells",
    )
    fitted = small_gate.fitter(builder=builder, with_recipe=recipe).run().fitted
    study = level_study_of(fitted.predictors["raw"])
    assert study is not None
    assert study.n_correct.tolist() == [each["n_correct"] for each in record["levels"]]
    assert level_study_of(small_gate.small().result.fitted.predictors["raw"]) is None
    save_bundle(fitted, tmp_path / "bundle")
    again, _ = load_bundle(tmp_path / "bundle", device="cpu")
    looks = builder.raw(small_gate.small().result.certify.plan).evidence.take(np.arange(20))
    np.testing.assert_allclose(
        again.predictors["raw"].score(looks), fitted.predictors["raw"].score(looks), atol=1e-9
    )
    before = small_gate.small().result.fitted.predictors["raw"].score(looks)
    assert not np.allclose(before, fitted.predictors["raw"].score(looks))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lineage": {"classifier digest": "0" * 64}}, "the recipe's own classifier"),
        ({"image_digests": []}, "--split fit"),
        ({"levels": None}, "cannot be read"),
    ],
)
def test_what_is_about_something_else_is_refused(record, tmp_path, changed, said) -> None:
    with pytest.raises(RecipeError, match=said):
        reader(named(record, tmp_path, **changed))


def test_levels_counted_on_images_that_certify_are_refused(record, tmp_path) -> None:
    data, splits = small_gate.digits(), small_gate.splits()
    leaked = [*record["image_digests"][1:], data.digests[splits.certify[0]]]
    with pytest.raises(RecipeError, match="the recipe's own fit images"):
        reader(named(record, tmp_path, image_digests=leaked))


def test_a_held_out_family_is_no_coordinate(tmp_path) -> None:
    record = study_record(space="contrast=0.2:1,noise_sigma=0:0.3")
    with pytest.raises(RecipeError, match=r"\['contrast'\], which the recipe holds out"):
        reader(named(record, tmp_path))


def test_a_file_that_is_missing_or_no_json_is_refused(record, tmp_path) -> None:
    recipe = named(record, tmp_path)
    for content in ("{", None):
        path = tmp_path / "levels.json"
        path.write_text(content) if content else path.unlink()
        with pytest.raises(RecipeError, match=r"expected the levels.json"):
            reader(recipe)
