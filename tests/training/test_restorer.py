"""Training sees *train* and seen corruptions only; flips and crops by hand."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

import gatekeeper.training.restorer as training
from gatekeeper.errors import RecipeError
from gatekeeper.images import Dataset
from gatekeeper.recipe import ClassifierTraining, Recipe, parse_recipe
from gatekeeper.training import (
    channel_statistics,
    flipped_and_cropped,
    train_restorer,
    train_classifier,
)
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


def test_the_classifier_sees_train_only(data, tmp_path: Path) -> None:
    parts = small_gate.splits()
    spec = train_classifier(
        data, parts, ClassifierTraining(epochs=1, batch_size=750),
        weights=tmp_path / "w.safetensors",
        seed=0,
    )  # fmt: skip
    assert data.read == set(parts.train.tolist())
    built = spec.build(device="cpu")
    assert built.class_names == data.class_names
    assert built.look(data.batch(parts.test[:2])).logits.shape == (2, 10)


def test_channel_statistics_by_hand(data) -> None:
    rows = small_gate.splits().train
    found = channel_statistics(data, rows)
    pixels = data.images[rows] / 255
    np.testing.assert_allclose(found.mean, [pixels.mean()] * 3, rtol=1e-5)
    np.testing.assert_allclose(found.std, [pixels.std()] * 3, rtol=1e-5)


def test_every_flip_and_crop_is_a_window_of_the_padded_image() -> None:
    image = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image, (1,) * 4)
    windows = [padded[0, :, y : y + 6, x : x + 6] for y in range(3) for x in range(3)]
    flipped = [
        torch.nn.functional.pad(image.flip(3), (1,) * 4)[0, :, y : y + 6, x : x + 6]
        for y in range(3) for x in range(3)
    ]  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        found = flipped_and_cropped(image.expand(300, -1, -1, -1), 1)
    seen = set()
    for one in found:
        matches = [i for i, window in enumerate([*windows, *flipped]) if torch.equal(one, window)]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == 18
