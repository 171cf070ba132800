"""Training of the restorer sees *train* and its own corruptions only."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

import gatekeeper.training.restorer as training
from gatekeeper.errors import RecipeError
from gatekeeper.images import Dataset
from gatekeeper.recipe import Recipe, parse_recipe
from gatekeeper.training import train_restorer
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
