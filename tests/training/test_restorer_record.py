"""A restorer's record says what was trained on what, and rebuilds it or refuses."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gatekeeper.classifiers import load_safetensors, save_safetensors
from gatekeeper.errors import BundleError, DataError
from gatekeeper.paths import shipped
from gatekeeper.restorers import AutoencoderRestorer
from gatekeeper.restorers.autoencoder import AutoencoderConfig, SkipAutoencoder
from gatekeeper.training import TrainedRestorer, restorer_of_record, write_restorer_record
from gatekeeper.training.judgement import Judgement
from gatekeeper.training.restorer_data import ImagesUsed
from gatekeeper.training.restorer_recipe import RestorerRecipe
from gatekeeper.training.restorer_record import known_failures, read_restorer_record

USED = ImagesUsed(
    name="digits", licence="CC BY", train_digest="ab" * 32, n_train=1234,
    validation_digest="cd" * 32, n_validation=200,
)  # fmt: skip


def judged(condition: str = "gaussian", **changes: object) -> Judgement:
    facts = {
        "condition": condition, "n": 100, "psnr_before_db": 15.0, "psnr_after_db": 22.5,
        "right_before": 40, "right_after": 80,
    }  # fmt: skip
    return Judgement(**{**facts, **changes})


@pytest.fixture(scope="module")
def trained() -> TrainedRestorer:
    torch.manual_seed(0)
    config = AutoencoderConfig((4, 4, 4, 4, 4, 4), (4, 4, 4))
    recipe = {
        "id": "tiny", "kind": "restorer", "method": "autoencoder", "terms": "Free.",
        "corruptions": [{"name": "gaussian", "level": [0.1, 0.2]}, {"name": "impulse"}],
    }  # fmt: skip
    return TrainedRestorer(
        recipe=RestorerRecipe.model_validate(recipe),
        restorer=AutoencoderRestorer(SkipAutoencoder(config), device="cpu"),
        images=USED,
        families=("gaussian", "impulse"),
        classifier=("judge", "ef" * 32),
        judgements=(judged("clean", psnr_before_db=math.inf, right_before=90), judged()),
        versions={"torch": "2.9"},
    )


def test_model_toml_says_what_was_made_of_what(trained, tmp_path: Path) -> None:
    write_restorer_record(trained, tmp_path)
    record = tomllib.loads((tmp_path / "model.toml").read_text(encoding="utf-8"))
    assert (record["id"], record["kind"], record["method"]) == ("tiny", "restorer", "autoencoder")
    assert record["digest"] == trained.restorer.digest
    assert record["train_digest"] == "ab" * 32
    assert record["families"] == ["gaussian", "impulse"]
    assert (record["classifier"], record["classifier_digest"]) == ("judge", "ef" * 32)
    assert record["versions"] == {"torch": "2.9"}
    assert record["config"]["encoder"] == [4] * 6
    assert "unlabelled" not in record
    assert restorer_of_record(tmp_path, device="cpu").digest == trained.restorer.digest


def test_the_card_says_it_to_people(trained, tmp_path: Path) -> None:
    used = replace(USED, unlabelled="the folder cam", n_unlabelled=5, unlabelled_digest="99" * 32)
    write_restorer_record(replace(trained, images=used), tmp_path)
    text = (tmp_path / "CARD.md").read_text(encoding="utf-8")
    assert max(len(line) for line in text.splitlines()) <= 100
    card = " ".join(text.split())
    assert "| gaussian | 15.00 dB | 22.50 dB | 40.0% (30.3%–50.3%) | 80.0% (70.8%–87.3%) |" in card
    assert "| clean | – | 22.50 dB |" in card
    assert "`gaussian`, level 0.1–0.2; `impulse`, severity 0.5–5.5" in card
    assert "1,234 images" in card
    assert "Unlabelled noisy images: the folder cam (5, digest `9999999999999999`)" in card
    assert "as the code. Free." in card
    record = tomllib.loads((tmp_path / "model.toml").read_text(encoding="utf-8"))
    assert (record["n_unlabelled"], record["unlabelled_digest"]) == (5, "99" * 32)


def test_failures_are_named(trained) -> None:
    judgements = (
        judged("clean", right_before=90, right_after=88),
        judged("gaussian", psnr_after_db=15.0),
        judged("impulse", right_before=None, right_after=None),
    )
    said = known_failures(replace(trained, judgements=judgements))
    assert said == [
        "Clean images: 2 of 100 right answers fewer after restoration.",
        "`gaussian`: no closer to the clean image than before.",
        "Trained for gaussian, impulse on digits; nothing is claimed for others.",
    ]


def test_other_weights_than_the_records_are_refused(trained, tmp_path: Path) -> None:
    write_restorer_record(trained, tmp_path)
    weights = load_safetensors(tmp_path / "weights.safetensors")
    save_safetensors(
        {**weights, "head.bias": weights["head.bias"] + 1}, tmp_path / "weights.safetensors"
    )
    with pytest.raises(BundleError, match="the weights that its record speaks about, got others"):
        restorer_of_record(tmp_path, device="cpu")
    del weights["head.bias"]
    save_safetensors(weights, tmp_path / "weights.safetensors")
    with pytest.raises(BundleError, match=r"weights of a skip autoencoder .* got others"):
        restorer_of_record(tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected the record of a model"),
        ("kind = ", "expected the record of a model"),
        ('kind = "classifier"', "got kind 'classifier'"),
        ('kind = "restorer"\nmethod = "unet"', "expected config, digest in"),
    ],
)
def test_what_is_no_record_of_a_restorer_is_refused(tmp_path: Path, text, message) -> None:
    if text is not None:
        (tmp_path / "model.toml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        restorer_of_record(tmp_path)


def test_a_method_that_nobody_knows_is_refused(trained, tmp_path: Path) -> None:
    write_restorer_record(trained, tmp_path)
    path = tmp_path / "model.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"autoencoder"', '"autoencodr"'), encoding="utf-8")
    with pytest.raises(BundleError, match="got 'autoencodr'; did you mean autoencoder"):
        restorer_of_record(tmp_path)


def test_the_record_that_ships_is_read() -> None:
    restorer = restorer_of_record(shipped("models", "skip-autoencoder-fashion-mnist"), device="cpu")
    assert restorer.name == "autoencoder"


def test_the_record_that_ships_says_what_a_gate_asks_of_it() -> None:
    folder = shipped("models", "skip-autoencoder-fashion-mnist")
    record = read_restorer_record(folder)
    assert {"id", "dataset", "families", "train_digest"} <= record.keys()
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    said = ", ".join(f"`{family}`" for family in record["families"])
    assert f"trained for\n{said}." in card
