"""``gatekeeper registry verify`` with data: PASS, FAIL, or data not here, and never PASS unseen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from gatekeeper.bundle import GATE_FILE


def test_a_certificate_is_counted_again(gatekeeper, fitted) -> None:
    done = gatekeeper("registry", "verify", fitted.bundle, "--data", "digits", "--json")
    assert done.code == 0, done.err
    (body,) = json.loads(done.out)
    assert (body["outcome"], body["problem"]) == ("PASS", None)
    assert all(each["same"] for each in body["recounts"])
    assert len(body["recounts"]) > 30
    assert body["not_recomputed"]
    plain = gatekeeper("registry", "verify", fitted.bundle, "--data", "digits")
    assert plain.out.startswith(f"PASS: {fitted.bundle}: hashes, golden set and ")
    assert "not counted again without --recipe: switch_margin: needs" in plain.out
    assert "router: needs" in plain.out


def test_with_its_recipe_nothing_is_left_out(gatekeeper, fitted, recipe_file: Path) -> None:
    done = gatekeeper(
        *("registry", "verify", fitted.bundle, "--data", "digits"),
        *("--recipe", recipe_file, "--json"),
    )
    assert done.code == 0, done.out
    (body,) = json.loads(done.out)
    names = {each["name"] for each in body["recounts"]}
    assert {"recipe.switch_margin", "router.impulse.impulse", "router.clean.rows"} <= names
    assert body["not_recomputed"] == []


def test_a_recipe_of_another_gate_is_refused(gatekeeper, fitted, recipe_file, tmp_path) -> None:
    text = recipe_file.read_text(encoding="utf-8")
    other, traffic = tmp_path / "other.toml", tmp_path / "traffic.toml"
    other.write_text(text.replace('name = "tiny"', 'name = "other"'), encoding="utf-8")
    traffic.write_text(text.replace("clean_share = 0.7", "clean_share = 0.6"), encoding="utf-8")
    for recipe, said in (
        (other, "recipe of the gate 'tiny'"),
        (traffic, "recipe for the certificate's traffic"),
        (tmp_path / "none.toml", "none.toml"),
    ):
        done = gatekeeper(
            "registry", "verify", fitted.bundle, "--data", "digits", "--recipe", recipe
        )
        assert done.code == 2
        assert said in done.err
        assert "PASS" not in done.out
    alone = gatekeeper("registry", "verify", fitted.bundle, "--recipe", recipe_file)
    assert alone.code == 2
    assert "--data" in alone.err


def test_a_certificate_that_is_none_does_not_pass(gatekeeper, fitted, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(fitted.bundle, bundle)
    file = tmp_path / "certificate.json"
    file.write_text("{", encoding="utf-8")
    done = gatekeeper("registry", "verify", bundle, "--data", "digits")
    assert (done.code, done.out) == (2, "")
    assert "expected JSON in" in done.err
    file.write_text('{"certified": true}', encoding="utf-8")
    done = gatekeeper("registry", "verify", bundle, "--data", "digits")
    assert done.code == 1
    assert "the certificate lacks dataset, seed, splits" in done.out


def test_a_published_number_that_was_touched_fails(gatekeeper, fitted, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(fitted.bundle, bundle)
    body = json.loads((bundle / GATE_FILE).read_text(encoding="utf-8"))
    certificate = {**body["certificate"], "n_wrong": body["certificate"]["n_wrong"] + 5}
    (tmp_path / "certificate.json").write_text(json.dumps(certificate), encoding="utf-8")
    done = gatekeeper("registry", "verify", bundle, "--data", "digits")
    assert done.code == 1
    assert "n_wrong is recorded as" in done.out
    (bundle / "extra").write_text("x", encoding="utf-8")
    done = gatekeeper("registry", "verify", bundle, "--data", "digits")
    assert done.code == 1
    assert "extra" in done.out


def test_without_the_data_nothing_passes(gatekeeper, fitted) -> None:
    for given in ((fitted.bundle, "--data", "digits8"), ("--data", "digits")):
        done = gatekeeper("registry", "verify", *given)
        assert done.code == 2
        assert done.out.startswith("data not here: ")
        assert "PASS" not in done.out
    missing = gatekeeper("registry", "verify", fitted.bundle, "--data", "folder:/nowhere")
    assert missing.code == 2
    assert "PASS" not in missing.out
