from __future__ import annotations

import json
import shutil

import pytest

SPACE = "rotation=-60:60,noise_sigma=0:0.3"
COMMON = ("--space", SPACE, "--threshold", "0.8", "--images", "120")


@pytest.fixture(scope="module")
def study(gatekeeper, fitted, in_cli_home, tmp_path_factory):
    out = tmp_path_factory.mktemp("levels") / "out"
    with in_cli_home():
        done = gatekeeper(
            "levels", fitted.bundle, *COMMON, "--data", "digits", "--budget", 20, "--out", out
        )
    assert done.code == 0, done.err
    return done, out


def record(out):
    return json.loads((out / "levels.json").read_text(encoding="utf-8"))


def test_it_prints_safe_ranges_and_the_budget(study):
    done, out = study
    body = record(out)
    low, high = body["safe_ranges"]["alone"]["rotation"]
    assert -60 < low < 0 < high < 60
    text = f"rotation {low:.3g}° to {high:.3g}°".replace("-", "−")
    assert f"Safe. Each alone, the others at their mildest: {text}" in done.out
    assert "Safe. Jointly, in every combination: rotation" in done.out
    assert "Budget spent: 20 levels × 120 images = 2,400 classifier evaluations" in done.out
    assert "of the space reaches 80" in done.out


def test_it_judges_on_images_that_fitting_left_for_the_test(study):
    body = record(study[1])
    assert body["data"].startswith("digits: the images that fitting kept for its test; 120 of")
    assert body["budget"]["classifier_evaluations"] == 2400
    assert len(body["levels"]) == 20
    assert body["levels"][0]["rotation"] == 0.0
    assert body["lineage"]["bundle"] != ""
    assert "--space" in body["lineage"]["command"]


def test_the_page_needs_nothing_else(study):
    page = (study[1] / "levels.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "://" not in page
    assert "<script" not in page


def test_a_larger_budget_goes_on_from_what_is_kept(gatekeeper, fitted, study, tmp_path):
    out = tmp_path / "more"
    shutil.copytree(study[1], out)
    arguments = ("levels", fitted.bundle, *COMMON, "--data", "digits", "--out", out)
    more = gatekeeper(*arguments, "--budget", 24, "--resume")
    assert more.code == 0, more.err
    assert "24 levels × 120 images = 2,880 classifier evaluations, of which 2,400" in more.out
    assert record(out)["levels"][:20] == record(study[1])["levels"]
    again = gatekeeper(*arguments, "--budget", 24, "--resume", "--json")
    assert json.loads(again.out) == record(out)
    assert record(out)["budget"]["evaluated_now"] == 0
    other = gatekeeper(*arguments, "--budget", 24, "--resume", "--seed", 1)
    assert other.code == 2
    assert "leave out --resume" in other.err


def test_levels_for_a_recipe_are_counted_on_fit(gatekeeper, fitted, tmp_path):
    done = gatekeeper(
        *("levels", fitted.bundle, *COMMON, "--data", "digits", "--budget", 2, "--out", tmp_path),
        *("--split", "fit"),
    )
    assert done.code == 0, done.err
    body = record(tmp_path)
    assert body["data"] == "digits: 120 of the images of the split fit"
    assert " --split fit " in body["lineage"]["command"]
    assert len(set(body["image_digests"])) == 120
    certificate = json.loads((fitted.bundle / "gate.json").read_text(encoding="utf-8"))
    assert certificate["certificate"]["splits"]["fit"]["n"] >= 120


def test_a_recipe_brings_its_data(gatekeeper, fitted, tmp_path):
    recipe = tmp_path / "mine.toml"
    options = json.loads((fitted.bundle / "gate.json").read_text(encoding="utf-8"))["classifier"]
    assert options["kind"] == "timm"
    kwargs = options["options"]["kwargs"]
    checkpoint = fitted.folder / "classifier.safetensors"
    recipe.write_text(
        f"""
name = "mine"
[data]
dataset = "digits"
image_size = [16, 16]
[classifier]
kind = "timm"
[classifier.options]
name = "gatekeeper_small_resnet"
checkpoint = "{checkpoint}"
kwargs = {{ size = {kwargs["size"]}, mean = {kwargs["mean"]}, std = {kwargs["std"]} }}
""",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    done = gatekeeper(
        "levels", recipe, "--space", "brightness=0.4:1", "--threshold", "0.99", "--budget", 4,
        "--images", 60, "--sampler", "grid", "--out", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    body = record(out)
    assert body["sampler"] == "grid"
    assert body["lineage"]["bundle"] == "none: a recipe"
    assert body["maps"] == []
    assert "Nothing is safe" in done.out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--space", "rotatoin=0:60"), "did you mean rotation"),
        (("--threshold", "1.5"), "(0, 1]"),
        (("--budget", "1"), "at least 2 levels"),
        (("--sampler", "stradle"), "did you mean straddle"),
        (("--rebalance", "smoot"), "did you mean smote"),
        ((), "expected --data SPEC"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(gatekeeper, fitted, tmp_path, changes, message):
    done = gatekeeper(
        "levels", fitted.bundle, *COMMON, "--budget", 20, "--out", tmp_path / "out", *changes
    )
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert message in done.err
    assert not (tmp_path / "out").exists()
