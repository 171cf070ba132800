"""``gatekeeper evaluate``: verdict and exit code, files, resuming, and its errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests import small_gate

QUICK = ("--corruptions", "dark,contrast", "--severities", "1,5", "--limit", "25", "--draws", "20")


@pytest.fixture(scope="session")
def plain_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network with its own weights, at 28 px."""
    folder = tmp_path_factory.mktemp("plain")
    shutil.copy(small_gate.spec().options["checkpoint"], folder / "tiny.safetensors")
    path = folder / "plain.toml"
    path.write_text(
        """
name = "plain"
[classifier]
kind = "module"
[classifier.options]
module = "tests.small_gate:tiny_network"
checkpoint = "tiny.safetensors"
mean = [0.13, 0.13, 0.13]
std = [0.31, 0.31, 0.31]
size = 28
""",
        encoding="utf-8",
    )
    return path


def requirements(folder: Path, text: str) -> Path:
    path = folder / "required.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_bundle_is_evaluated_and_judged(gatekeeper, fitted, tmp_path: Path) -> None:
    required = requirements(tmp_path, "[clean]\nmin_accuracy = 0.05\nmin_coverage = 0.0")
    out = tmp_path / "out"
    given = ("evaluate", fitted.bundle, "--data", "digits", *QUICK)
    result = gatekeeper(*given, "--requirements", required, "--out", out)
    assert result.code == 0, result.err
    assert "PASS (tiny)" in result.out
    assert "the images that fitting kept for its test; 25 of them" in result.err
    record = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert record["data"]["image_size"] == [16, 16]
    assert record["data"]["n_images"] == 25
    assert record["models"][0]["bundle"] == fitted.summary["bundle"]
    # The mix of its certificate has corruptions and severities that were not asked for.
    assert record["models"][0]["certificate"]["outcome"] == "not tested"
    assert record["held_out"] == ["contrast"]
    assert len(pd.read_parquet(out / "answers.parquet")) == 25 * 5
    assert "✓ PASS" in (out / "report.html").read_text(encoding="utf-8")
    impossible = requirements(tmp_path, "min_accuracy = 1.0")
    again = gatekeeper(*given, "--requirements", impossible, "--out", out, "--resume", "--json")
    assert again.code == 1
    printed = json.loads(again.out)
    assert printed["verdict"] == "FAIL"
    assert printed["figures"] == record["figures"]


def test_classifiers_are_compared_on_the_same_images(
    gatekeeper, plain_recipe: Path, tmp_path: Path
) -> None:
    given = (f"one={plain_recipe}", f"two={plain_recipe}", "--data", "digits", "--reference", "two")
    result = gatekeeper("evaluate", *given, *QUICK, "--out", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    record = json.loads(result.out)
    assert record["verdict"] == "NOT JUDGED"
    assert [model["kind"] for model in record["models"]] == ["classifier"] * 2
    mce = [row["value"] for row in record["figures"] if row["metric"] == "mce"]
    assert mce == [1.0, 1.0]
    differences = [row["value"] for row in record["comparisons"] if row["metric"] == "accuracy"]
    assert differences == [0.0, 0.0]
    assert "gatekeeper evaluate one=" in record["run"]["command"]
    # The record serves as the reference of a later evaluation.
    reference = tmp_path / "out" / "evaluation.json"
    later = gatekeeper(
        "evaluate", plain_recipe, "--data", "digits", *QUICK, "--reference", reference,
        "--out", tmp_path / "later", "--json",
    )  # fmt: skip
    assert later.code == 0, later.err
    assert json.loads(later.out)["reference"] == "one"


def test_finished_cells_are_kept_only_where_the_run_is_resumed(
    gatekeeper, plain_recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = ("evaluate", plain_recipe, "--data", "digits", *QUICK, "--out", out)
    assert gatekeeper(*given).code == 0
    cells = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    assert len(cells) == 5
    assert gatekeeper(*given, "--resume").code == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()} == cells
    assert gatekeeper(*given).code == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()} != cells


@pytest.mark.parametrize(
    ("text", "said"),
    [("min_coverage = 0.5", "a classifier without a gate"), ("max_mce = 1.0", "no reference")],
)
def test_what_cannot_be_judged_is_refused_before_anything_is_looked_at(
    gatekeeper, plain_recipe: Path, tmp_path: Path, text: str, said: str
) -> None:
    out = tmp_path / "out"
    result = gatekeeper(
        *("evaluate", plain_recipe, "--data", "digits", *QUICK, "--out", out),
        *("--requirements", requirements(tmp_path, text)),
    )
    assert result.code == 2
    assert said in result.err
    assert list((out / "cells").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--corruptions", "fogg"), "did you mean fog"),
        (("--severities", "one"), "severities such as 1,3,5"),
        (("--reference", "missing.json"), "evaluation.json of a reference"),
        (("--reference", "other"), "among plain"),
        (("--limit", "0"), "at least one image"),
        (("--draws", "2"), "at least 20 redraws"),
        (("--requirements", "missing.toml"), "no such file"),
        (("--corruptions", "declared"), "at least one corruption"),
    ],
)
def test_bad_options_exit_with_2_and_a_sentence(
    gatekeeper, plain_recipe: Path, tmp_path: Path, options, message: str
) -> None:
    given = ("evaluate", plain_recipe, "--data", "digits", "--limit", "5", "--draws", "20")
    result = gatekeeper(*given, *options, "--out", tmp_path / "out")
    assert result.code == 2
    assert message in result.err


def test_models_that_cannot_be_evaluated_exit_with_2(
    gatekeeper, fitted, plain_recipe: Path, recipe_file: Path, tmp_path: Path
) -> None:
    def refused(*models: object) -> str:
        result = gatekeeper("evaluate", *models, "--data", "digits", "--out", tmp_path / "out")
        assert result.code == 2
        return result.err

    assert "a name of its own" in refused(plain_recipe, plain_recipe)
    assert "still to be trained" in refused(recipe_file)
    assert "a bundle's directory" in refused(tmp_path / "nothing")
    sized = tmp_path / "sized.toml"
    text = plain_recipe.read_text(encoding="utf-8").replace(
        "[classifier]", "[data]\nimage_size=[28,28]\n[classifier]", 1
    )
    sized.write_text(text, encoding="utf-8")
    assert "one image size" in refused(fitted.bundle, sized)


def test_a_version_of_the_registry_names_its_run(gatekeeper, fitted, tmp_path: Path) -> None:
    uri = "models:/gate-tiny@challenger"
    result = gatekeeper(
        "evaluate", uri, "--data", "digits", *QUICK, "--out", tmp_path / "out", "--json"
    )
    assert result.code == 0, result.err
    (model,) = json.loads(result.out)["models"]
    assert model["source"] == uri
    assert len(model["run_id"]) == 32
