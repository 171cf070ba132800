from __future__ import annotations

import json

import pytest

VOLATILE = {"date", "durations", "peak_memory_gb"}


def steady(summary):
    return {key: value for key, value in summary.items() if key not in VOLATILE}


def test_a_certified_fit_is_champion(fitted):
    assert fitted.result.code == 0, fitted.result.err
    assert "CERTIFIED: accepted answers of the declared traffic are wrong at most 15 %" in (
        fitted.result.out
    )
    assert "MLflow: models:/gate-tiny/1 is champion and challenger" in fitted.result.err
    assert fitted.summary["certified"] is True


def test_it_leaves_bundle_summary_and_report(fitted):
    names = {path.name for path in fitted.folder.iterdir()}
    assert names == {"bundle", "classifier.safetensors", "report.html", "summary.json"}
    assert fitted.summary["bundle"] in (fitted.folder / "report.html").read_text(encoding="utf-8")


def test_the_same_recipe_gives_the_same_gate(fitted, fitted_again):
    assert steady(fitted_again.summary) == steady(fitted.summary)
    manifests = [(f.bundle / "MANIFEST.sha256").read_bytes() for f in (fitted, fitted_again)]
    assert manifests[0] == manifests[1]


def test_test_images_are_a_tenth(fitted):
    summary = fitted.summary
    assert summary["clean"]["n"] == summary["splits"]["test"]["n"]
    assert set(summary["families"]) == {"gaussian", "impulse", "dark", "contrast"}


def test_a_recipe_with_a_slip_names_the_key(gatekeeper, recipe_file, tmp_path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        recipe_file.read_text(encoding="utf-8").replace("target_risk", "target_rsik"),
        encoding="utf-8",
    )
    done = gatekeeper("fit", wrong, "--out", tmp_path / "out")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "policy.target_rsik" in done.err
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_is_no_toml_is_refused(gatekeeper, tmp_path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("name = tiny", encoding="utf-8")
    done = gatekeeper("fit", wrong)
    assert done.code == 2
    assert f"expected a TOML file at {wrong}" in done.err


MODULE = """
name = "{name}"
[data]
dataset = "digits"
[classifier]
kind = "module"
[classifier.options]
module = "torch.nn:Identity"
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
size = 28
checkpoint = "missing.safetensors"
class_names = {classes}
"""


def test_a_missing_checkpoint_is_looked_for_beside_the_recipe(gatekeeper, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        MODULE.format(name="mine", classes=json.dumps([str(k) for k in range(10)])),
        encoding="utf-8",
    )
    done = gatekeeper("fit", recipe, "--out", tmp_path / "out", "--no-tracking")
    assert done.code == 2
    assert str(tmp_path / "missing.safetensors") in done.err


@pytest.mark.parametrize("n_classes", [9, 11])
def test_a_classifier_of_other_classes_is_refused(gatekeeper, tmp_path, fitted, n_classes):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'name = "mine"\n[data]\ndataset = "digits"\n[classifier]\nkind = "timm"\n'
        '[classifier.options]\nname = "gatekeeper_small_resnet"\n'
        f"checkpoint = {str(tmp_path / 'few.safetensors')!r}\n"
        f"class_names = {[str(k) for k in range(n_classes)]}\n"
        "kwargs = { size = [28, 28], mean = [0.1, 0.1, 0.1], std = [0.3, 0.3, 0.3] }\n",
        encoding="utf-8",
    )
    from gatekeeper.classifiers import save_safetensors, small_resnet

    save_safetensors(small_resnet(n_classes).state_dict(), tmp_path / "few.safetensors")
    done = gatekeeper("fit", recipe, "--out", tmp_path / "out", "--no-tracking")
    assert done.code == 2
    assert f"expected a classifier of the 10 classes of digits, got {n_classes}" in done.err
