"""A gate that is fitted in seconds: digits, a tiny network, two restorers without weights."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gatekeeper.bundle import ClassifierSpec
from gatekeeper.classifiers import save_safetensors
from gatekeeper.evidence import TableBuilder
from gatekeeper.fitting import FitResult, Fitter
from gatekeeper.images import Dataset, Splits, make_splits
from gatekeeper.images.digits import load_digits
from gatekeeper.protocols import Classifier, Restorer
from gatekeeper.recipe import Recipe, parse_recipe
from gatekeeper.restorers import RESTORERS

SIZES = {
    "train": 1500,
    "validation": 50,
    "fit": 1000,
    "calibrate": 800,
    "certify": 1000,
    "test": 600,
}

RECIPE = {
    "name": "small",
    "classifier": {"kind": "module"},
    "data": {"dataset": "digits", "splits": SIZES},
    "conditions": {"seen": ["impulse", "dark", "gaussian"], "held_out": ["contrast", "speckle"]},
    "restorers": {
        "restorer_of": {"impulse": "median", "dark": "exposure"},
        "steps": 0,
        "clean_share_restored": 0.02,
    },
    "predictor": {"hidden": 16, "members": 1, "epochs": 2, "looks_per_image": 2},
    "policy": {"target_risk": 0.1},
}


def recipe(**policy: object) -> Recipe:
    """The recipe; arguments change its policy."""
    body = {**RECIPE, "policy": {**RECIPE["policy"], **policy}}
    return parse_recipe(body, source="small", folder=Path())


def tiny_network() -> nn.Module:
    """28 px in, ten classes out, 32 features."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 144, 32), nn.ReLU(),
        nn.Linear(32, 10),
    )  # fmt: skip


@cache
def digits() -> Dataset:
    return load_digits()


@cache
def splits() -> Splits:
    data = digits()
    return make_splits(data.labels, data.digests, test_index=data.test_index, sizes=SIZES, seed=0)


@cache
def folder() -> Path:
    """Removed with the home of the tests."""
    return Path(tempfile.mkdtemp(prefix="small-gate-", dir=os.environ["GATEKEEPER_HOME"]))


@cache
def spec() -> ClassifierSpec:
    """The tiny network, trained for a second on *train*."""
    data, rows = digits(), splits().train
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = tiny_network()
        optimiser = torch.optim.Adam(network.parameters(), 3e-3)
        images, labels = data.batch(rows), torch.from_numpy(data.labels[rows])
        for _ in range(6):
            for batch in torch.randperm(len(rows)).split(64):
                loss = F.cross_entropy(network((images[batch] - 0.13) / 0.31), labels[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    weights = folder() / "tiny.safetensors"
    save_safetensors(network.state_dict(), weights)
    return ClassifierSpec(
        kind="module",
        options={
            "module": "tests.small_gate:tiny_network",
            "checkpoint": str(weights),
            "class_names": list(data.class_names),
            "mean": [0.13] * 3,
            "std": [0.31] * 3,
            "size": 28,
            "feature_layer": "4",
            "model_id": "tiny",
        },
    )


@cache
def classifier() -> Classifier:
    return spec().build(device="cpu")


def restorers() -> dict[str, Restorer]:
    return {name: RESTORERS[name]() for name in ("median", "exposure")}


def fitter(
    data: Dataset | None = None,
    builder: TableBuilder | None = None,
    *,
    with_recipe: Recipe | None = None,
) -> Fitter:
    """A fitter of the small gate, on other data or with another builder where given."""
    data = data or digits()
    chosen = builder or TableBuilder(data, classifier(), restorers(), cache=folder() / "cells")
    return Fitter(
        data,
        splits(),
        spec(),
        classifier(),
        chosen.restorers,
        with_recipe or recipe(),
        builder=chosen,
    )


@dataclass(frozen=True)
class Small:
    """The fitted gate with what it was fitted on."""

    data: Dataset
    splits: Splits
    result: FitResult


@cache
def small() -> Small:
    """Fitted once for all tests; do not change it."""
    return Small(digits(), splits(), fitter().run())


def stream_images(n: int = 40) -> torch.Tensor:
    """Some *test* images: clean, with impulses, dark, very noisy."""
    from gatekeeper.corruptions import CORRUPTIONS

    images = digits().batch(splits().test[:n])
    seeds = np.arange(n)
    for start, (name, severity) in enumerate((("impulse", 4), ("dark", 4), ("gaussian", 5)), 1):
        rows = np.arange(start, n, 4)
        images[rows] = CORRUPTIONS[name](images[rows], severity=severity, seeds=seeds[rows])
    return images
