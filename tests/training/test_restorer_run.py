"""From a restorer's recipe to its record; a training that was cut short ends the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gatekeeper.classifiers import load_safetensors
from gatekeeper.errors import InputError, RecipeError, TrainingError
from gatekeeper.images import make_splits
from gatekeeper.training import restorer_data as reading
from gatekeeper.training import restorer_of_record, run_restorer_training
from gatekeeper.training import restorer_run as running
from gatekeeper.training.restorer_data import ImagesUsed
from gatekeeper.training.restorer_recipe import RestorerRecipe
from gatekeeper.training.restorer_run import check_splits
from tests import small_gate

SPLITS = {"train": 60, "validation": 20, "fit": 10, "calibrate": 10, "certify": 10, "test": 10}
BODY = {
    "id": "tiny",
    "kind": "restorer",
    "method": "autoencoder",
    "data": {"dataset": "digits", "splits": SPLITS},
    "corruptions": [{"name": "gaussian", "level": [0.1, 0.3]}, {"name": "impulse"}],
    "network": {"encoder": [4, 4, 4, 4, 8, 8], "decoder": [8, 4, 4], "dropout": 0.2},
    "training": {"steps": 6, "batch_size": 8, "checkpoint_every": 2, "learning_rate": 1e-2},
}

RESSHIFT = {
    "steps": 2,
    "mask": True,
    "network": {"width": 8, "multipliers": [1, 2], "swin_width": 16, "window": 2},
    "autoencoder": {"width": 8, "multipliers": [1, 2], "codes": 8},
}


def recipe(**changes: object) -> RestorerRecipe:
    return RestorerRecipe.model_validate({**BODY, **changes})


def with_classifier() -> dict[str, object]:
    spec = small_gate.spec()
    return {"kind": spec.kind, "options": dict(spec.options)}


@pytest.fixture(autouse=True)
def _read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits and their digests are read once for all tests."""
    monkeypatch.setattr(reading, "load_dataset", lambda spec, **_: small_gate.digits())


def right_of_validation() -> int:
    data = small_gate.digits()
    rows = make_splits(
        data.labels, data.digests, test_index=data.test_index, sizes=SPLITS, seed=0
    ).validation
    answers = small_gate.classifier().look(data.batch(rows)).logits.argmax(axis=1)
    return int((answers == data.labels[rows]).sum())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate(((30, 41), (25, 24), (33, 28), (24, 24))):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_the_record_rebuilds_the_restorer_that_was_trained(tmp_path: Path) -> None:
    told: list[str] = []
    followed = recipe(classifier=with_classifier())
    trained = run_restorer_training(
        followed, out=tmp_path / "out", work=tmp_path / "work", announce=told.append
    )
    rebuilt = restorer_of_record(tmp_path / "out", device="cpu")
    assert rebuilt.digest == trained.restorer.digest
    images = small_gate.digits().batch(np.arange(4))
    seeds = np.arange(4)
    assert torch.equal(
        rebuilt.restore(images, seeds=seeds), trained.restorer.restore(images, seeds=seeds)
    )
    assert [line.partition(":")[0] for line in told] == ["step 2", "step 4", "step 6"]
    assert trained.classifier == ("tiny", small_gate.classifier().digest)
    assert trained.families == ("gaussian", "impulse")
    judged = {one.condition: one for one in trained.judgements}
    assert list(judged) == ["clean", "gaussian", "impulse"]
    assert judged["clean"].n == 20
    assert judged["clean"].right_before == right_of_validation()


@pytest.mark.parametrize("method", ["autoencoder", "noise_adaptation", "resshift", "unet"])
def test_a_training_that_was_cut_short_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch, method: str
) -> None:
    changes: dict = {"method": method, "classifier": with_classifier()}
    if method == "unet":
        changes |= {"network": {"widths": [4, 8]}, "objective": {"recognition_weight": 0.1}}
    if method == "resshift":
        changes |= {"network": RESSHIFT, "objective": {"autoencoder_steps": 3}}
        changes |= {"training": {**BODY["training"], "steps": 3, "crop_px": 16}}
    if method == "noise_adaptation":
        denoiser = {"width": 4, "multipliers": [1, 2], "groups": 2, "dropout": 0.2}
        changes |= {"network": {"unet": {"widths": [4, 8]}, "denoiser": denoiser}}
        changes |= {"unlabelled": [{"name": "camera"}], "classifier": None}
    followed = recipe(**changes)
    whole = run_restorer_training(followed, out=tmp_path / "whole", work=tmp_path / "a")
    step = running.Batches.step

    def interrupted(self, number: int):
        if number == 5:
            raise KeyboardInterrupt
        return step(self, number)

    paths = {"out": tmp_path / "cut", "work": tmp_path / "b"}
    monkeypatch.setattr(running.Batches, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_restorer_training(followed, **paths)
    asked: list[int] = []

    def counting(self, number: int):
        asked.append(number)
        return step(self, number)

    monkeypatch.setattr(running.Batches, "step", counting)
    torch.manual_seed(77)  # nothing may depend on the global generator
    resumed = run_restorer_training(followed, **paths, resume=True)
    assert asked == [4, 5]
    assert resumed.restorer.digest == whole.restorer.digest
    kept = [load_safetensors(tmp_path / w / "checkpoint.safetensors") for w in ("a", "b")]
    assert kept[0].keys() == kept[1].keys()
    for name, tensor in kept[0].items():
        assert torch.equal(tensor, kept[1][name]), name


def test_without_resume_it_starts_anew_and_another_training_is_not_gone_on_with(
    tmp_path: Path,
) -> None:
    paths = {"out": tmp_path / "out", "work": tmp_path / "work"}
    first = run_restorer_training(recipe(), **paths)
    assert run_restorer_training(recipe(), **paths).restorer.digest == first.restorer.digest
    with pytest.raises(InputError, match="of this very training"):
        run_restorer_training(recipe(seed=1), **paths, resume=True)


def test_a_loss_that_is_not_finite_stops_and_keeps_what_was_reached(
    tmp_path: Path, monkeypatch
) -> None:
    degrade = running.Batches.step

    def poisoned(self, number: int):
        batch = degrade(self, number)
        if number == 3:
            batch.degraded[0] = float("nan")
        return batch

    monkeypatch.setattr(running.Batches, "step", poisoned)
    with pytest.raises(TrainingError, match=r"step 4: .*finite.* after step 2 is kept in .*/work"):
        run_restorer_training(recipe(), out=tmp_path / "out", work=tmp_path / "work")
    kept = load_safetensors(tmp_path / "work" / "checkpoint.safetensors")
    assert int(kept["steps_done"]) == 2
    assert all(bool(torch.isfinite(tensor.double()).all()) for tensor in kept.values())
    assert not (tmp_path / "out" / "model.toml").exists()


def test_a_folder_of_clean_images_takes_the_place_of_the_data(tmp_path: Path, photos) -> None:
    trained = run_restorer_training(
        recipe(data=None, training={**BODY["training"], "steps": 2, "crop_px": 24}),
        out=tmp_path / "out",
        work=tmp_path / "work",
        clean=photos,
    )
    used = trained.images
    assert (used.name, used.n_train, used.n_validation) == ("photos", 3, 1)
    assert all(one.right_after is None for one in trained.judgements)
    card = " ".join((tmp_path / "out" / "CARD.md").read_text(encoding="utf-8").split())
    assert "recipe.toml --clean DIR`" in card


def test_a_camera_is_learned_from_noisy_images_alone(tmp_path: Path, photos) -> None:
    noisy = tmp_path / "cam"
    shutil.copytree(photos, noisy)
    followed = recipe(
        method="noise_adaptation",
        network={
            "unet": {"widths": [4, 4]}, "denoiser": {"width": 4, "multipliers": [1], "groups": 2},
        },
        data=None,
        training={**BODY["training"], "steps": 2, "crop_px": 24},
    )  # fmt: skip
    trained = run_restorer_training(
        followed, out=tmp_path / "out", work=tmp_path / "work", clean=photos, noisy=noisy
    )
    assert (trained.images.n_unlabelled, trained.images.unlabelled) == (4, "the folder cam")
    rebuilt = restorer_of_record(tmp_path / "out", device="cpu")
    assert rebuilt.name == "unet"
    assert rebuilt.digest == trained.restorer.digest
    assert not any("denoiser" in name for name in rebuilt.state())
    card = " ".join((tmp_path / "out" / "CARD.md").read_text(encoding="utf-8").split())
    assert "A restorer of the method `noise_adaptation`" in card
    assert "--clean DIR --noisy DIR`" in card


def test_the_same_folder_elsewhere_gives_the_same_restorer(tmp_path: Path, photos) -> None:
    followed = recipe(data=None, training={**BODY["training"], "steps": 2, "crop_px": 24})
    moved = tmp_path / "elsewhere"
    shutil.copytree(photos, moved)
    (moved / "0.png").rename(moved / "z.png")
    digests = [
        run_restorer_training(
            followed, out=tmp_path / f"out{k}", work=tmp_path / "work", clean=folder
        ).restorer.digest
        for k, folder in enumerate((photos, moved))
    ]
    assert digests[0] == digests[1]


def test_a_classifier_that_knows_the_validation_images_is_refused() -> None:
    used = ImagesUsed(
        name="digits",
        licence="",
        train_digest="ab",
        n_train=1,
        validation_digest="",
        n_validation=1,
    )
    check_splits({"id": "c", "dataset": "digits", "train_digest": "ab"}, used)
    check_splits({"id": "c", "dataset": "cifar10", "train_digest": "cd"}, used)
    with pytest.raises(RecipeError, match="train split of c, got another part of digits"):
        check_splits({"id": "c", "dataset": "digits", "train_digest": "cd"}, used)


def test_what_does_not_fit_together_is_refused(tmp_path: Path, photos) -> None:
    paths = {"out": tmp_path / "out", "work": tmp_path / "work"}
    with pytest.raises(RecipeError, match=r"\[data\] in the recipe or a folder with --clean"):
        run_restorer_training(recipe(data=None), **paths)
    with pytest.raises(RecipeError, match="autoencoder learns from no unlabelled images"):
        run_restorer_training(recipe(), **paths, noisy=photos)
    other = with_classifier()
    other["options"] = {**other["options"], "class_names": ["a", "b"]}
    with pytest.raises(InputError):
        run_restorer_training(recipe(classifier=other), **paths)
