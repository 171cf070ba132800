"""The restorers of a gate: those of records, and the autoencoder that sees *train* only."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

import gatekeeper.training.restorer as training
from gatekeeper.errors import RecipeError
from gatekeeper.evidence import TableBuilder
from gatekeeper.images import Dataset, make_splits
from gatekeeper.recipe import Recipe, parse_recipe
from gatekeeper.training import restorers_of, run_restorer_training, train_restorer
from gatekeeper.training.restorer_recipe import RestorerRecipe
from tests import small_gate


class Recording(Dataset):
    """Remembers which positions were read."""

    def batch(self, indices):
        self.__dict__.setdefault("read", set()).update(np.arange(len(self))[indices].tolist())
        return super().batch(indices)


@pytest.fixture
def data() -> Recording:
    known = small_gate.digits()
    return Recording(**{f.name: getattr(known, f.name) for f in fields(Dataset)})


def restoring_recipe() -> Recipe:
    body = {
        **small_gate.RECIPE,
        "restorers": {
            "restorer_of": {"gaussian": "autoencoder", "impulse": "median"},
            "steps": 3,
            "batch_size": 8,
            "recognition_weight": 0.02,
        },
    }
    return parse_recipe(body, source="small", folder=Path())


def test_the_restorer_sees_train_and_its_own_corruptions_only(data, monkeypatch) -> None:
    asked: list[list[str]] = []
    degrade = training._degrade

    def spy(images, seeds, names):
        asked.append(names)
        return degrade(images, seeds, names)

    monkeypatch.setattr(training, "_degrade", spy)
    parts, classifier = small_gate.splits(), small_gate.classifier()
    before = {name: tensor.clone() for name, tensor in classifier._network.state_dict().items()}
    restorer = train_restorer(data, parts, classifier, restoring_recipe())
    assert restorer.name == "autoencoder"
    assert data.read
    assert data.read <= set(parts.train.tolist())
    assert asked == [["gaussian"]] * 3
    for name, tensor in classifier._network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_without_a_corruption_there_is_nothing_to_train(data) -> None:
    with pytest.raises(RecipeError, match="no corruption is routed to the autoencoder"):
        train_restorer(data, small_gate.splits(), small_gate.classifier(), small_gate.recipe())


def test_an_autoencoder_of_a_record_is_not_trained_by_mistake(data) -> None:
    body = {
        **small_gate.RECIPE,
        "restorers": {
            "restorer_of": {"gaussian": "autoencoder"}, "records": {"autoencoder": "a-1"},
        },
    }  # fmt: skip
    recipe = parse_recipe(body, source="small", folder=Path())
    with pytest.raises(RecipeError, match="takes the autoencoder from a record"):
        train_restorer(data, small_gate.splits(), small_gate.classifier(), recipe)


RECORD = {
    "id": "tiny-unet",
    "kind": "restorer",
    "method": "unet",
    "data": {"dataset": "digits", "splits": small_gate.SIZES},
    "corruptions": [{"name": "gaussian"}],
    "network": {"widths": [4, 4]},
    "training": {"steps": 2, "batch_size": 4, "validation_images": 5},
}


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shipped record of a U-Net that was trained on the small gate's own *train*."""
    folder = tmp_path / "tiny-unet"
    monkeypatch.setattr(
        "gatekeeper.training.restorer_data.load_dataset", lambda spec, **_: small_gate.digits()
    )
    followed = RestorerRecipe.model_validate(RECORD)
    run_restorer_training(followed, out=folder, work=tmp_path / "work")
    monkeypatch.setattr(training, "shipped", lambda kind, name: tmp_path / name)
    return folder


def recorded_recipe(**conditions: object) -> Recipe:
    body = {
        **small_gate.RECIPE,
        "conditions": {**small_gate.RECIPE["conditions"], **conditions},
        "restorers": {
            "restorer_of": {"gaussian": "unet", "impulse": "median"},
            "records": {"unet": "tiny-unet"},
        },
    }
    return parse_recipe(body, source="small", folder=Path())


def test_a_gate_takes_a_restorer_from_its_record_without_training_it(record, monkeypatch) -> None:
    monkeypatch.setattr(training, "train_restorer", None)
    data, parts = small_gate.digits(), small_gate.splits()
    found = restorers_of(recorded_recipe(), data, parts, small_gate.classifier())
    assert sorted(found) == ["median", "unet"]
    kept = tomllib.loads((record / "model.toml").read_text(encoding="utf-8"))
    assert found["unet"].digest == kept["digest"]


def test_the_gate_is_fitted_with_the_restorer_of_the_record(record) -> None:
    data, parts, recipe = small_gate.digits(), small_gate.splits(), recorded_recipe()
    found = restorers_of(recipe, data, parts, small_gate.classifier())
    builder = TableBuilder(data, small_gate.classifier(), found)
    fitted = small_gate.fitter(data, builder, with_recipe=recipe).run().fitted
    assert fitted.restorers["unet"] is found["unet"]
    assert fitted.router.restorer_of == {"gaussian": "unet", "impulse": "median"}


def test_a_restorer_that_saw_what_the_gate_holds_out_is_refused(record) -> None:
    data, parts = small_gate.digits(), small_gate.splits()
    body = {**RECORD, "corruptions": [{"name": "gaussian"}, {"name": "speckle"}]}
    followed = RestorerRecipe.model_validate(body)
    run_restorer_training(followed, out=record, work=record.parent / "work")
    with pytest.raises(RecipeError, match="tiny-unet, which was trained on speckle"):
        restorers_of(recorded_recipe(), data, parts, small_gate.classifier())


def test_a_restorer_of_another_part_of_the_same_data_is_refused(record) -> None:
    data = small_gate.digits()
    other = make_splits(
        data.labels, data.digests, test_index=data.test_index, sizes=small_gate.SIZES, seed=1
    )
    with pytest.raises(RecipeError, match="own train split, got another part of digits"):
        restorers_of(recorded_recipe(), data, other, small_gate.classifier())


def test_a_record_that_does_not_say_what_it_saw_is_refused(record) -> None:
    path = record / "model.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("families")]
    path.write_text("\n".join(kept), encoding="utf-8")
    with pytest.raises(RecipeError, match="without families"):
        restorers_of(
            recorded_recipe(), small_gate.digits(), small_gate.splits(), small_gate.classifier()
        )
