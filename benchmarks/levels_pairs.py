"""The (data set, classifier) pairs of the benchmark ``levels``, each with its fixed set.

Two small networks are trained here for every data set that pip or a mirror brings; CIFAR-10 has a
trained record. Nothing of a *test* split is read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.kept import Store
from benchmarks.study import SPLIT_SIZES
from gatekeeper.classifiers import ModuleClassifier
from gatekeeper.images import Dataset, Splits, load_dataset, make_splits
from gatekeeper.levels import FixedSet, fixed_set
from gatekeeper.paths import shipped
from gatekeeper.protocols import Classifier
from gatekeeper.training import channel_statistics, classifier_of_record
from gatekeeper.types import FloatArray

SIZES: Mapping[str, Mapping[str, int]] = {
    "digits8": {
        "train": 1000, "validation": 50, "fit": 100, "calibrate": 300, "certify": 50, "test": 50,
    },
    "digits": {
        "train": 3000, "validation": 100, "fit": 400, "calibrate": 400, "certify": 100, "test": 200,
    },
    "fashion-mnist": {
        "train": 10_000, "validation": 100, "fit": 400, "calibrate": 400, "certify": 100,
    },
    "cifar10": SPLIT_SIZES,
}  # fmt: skip

CIFAR_CLASSIFIERS = ("resnet18-cifar10", "mobilenetv2-cifar10")
"""Records in ``models/``."""

DEVELOPMENT = ("digits8/conv", "digits8/mlp")
"""The configuration is named on these pairs and judged on all others."""

_SEED = 0
_STEPS = 900
_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """A classifier and the images on which it is judged at every level.

    Attributes:
        name: ``data set/classifier``.
        classifier: Frozen.
        images: From *calibrate*.
        data: Name, licence and size of the data set, for the results.
    """

    name: str
    classifier: Classifier
    images: FixedSet
    data: Mapping[str, str | int]

    @property
    def development(self) -> bool:
        """Whether the configuration is named on it."""
        return self.name in DEVELOPMENT


def conv_network(side: int, n_classes: int) -> nn.Module:
    """Two convolutions with pooling and two linear layers."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * (side // 4) ** 2, 64), nn.ReLU(), nn.Linear(64, n_classes),
    )  # fmt: skip


def mlp_network(side: int, n_classes: int) -> nn.Module:
    """Three linear layers."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3 * side**2, 128), nn.ReLU(),
        nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, n_classes),
    )  # fmt: skip


NETWORKS: Mapping[str, Callable[[int, int], nn.Module]] = {
    "conv": conv_network,
    "mlp": mlp_network,
}


def open_pairs(spec: str | None, *, quick: bool, n_images: int, store: Store) -> list[Pair]:
    """All pairs.

    Args:
        spec: ``cifar10:PATH``; None leaves CIFAR-10 out.
        quick: The 8-pixel digits only.
        n_images: Images of each fixed set.
        store: Keeps trained weights.
    """
    names = ["digits8"] if quick else ["digits8", "digits", "fashion-mnist"]
    found = []
    for name in names:
        data, splits = _opened(name)
        for network in NETWORKS:
            classifier = trained(data, splits, network, store)
            found.append(_pair(data, splits, network, classifier, n_images))
    if spec is not None and not quick:
        data, splits = _opened(spec)
        for record in CIFAR_CLASSIFIERS:
            classifier = classifier_of_record(shipped("models", record)).build()
            found.append(_pair(data, splits, record, classifier, n_images))
    return found


def _opened(spec: str) -> tuple[Dataset, Splits]:
    data = load_dataset(spec, announce=lambda line: print(line, file=sys.stderr))
    splits = make_splits(
        data.labels,
        data.digests,
        test_index=data.test_index,
        sizes=SIZES[spec.partition(":")[0]],
        seed=_SEED,
    )
    return data, splits


def _pair(
    data: Dataset, splits: Splits, network: str, classifier: Classifier, n_images: int
) -> Pair:
    images = fixed_set(data, splits.calibrate, seed=_SEED, n_images=n_images)
    return Pair(
        name=f"{data.name}/{network}",
        classifier=classifier,
        images=images,
        data={
            "name": data.name,
            "licence": data.licence,
            "split": "calibrate",
            "n": n_images,
            "digest": images.digest,
            "classifier": classifier.digest,
        },
    )


def trained(data: Dataset, splits: Splits, network: str, store: Store) -> Classifier:
    """A small network, trained on *train* for 900 steps of Adam, or as it was kept."""
    side, n_classes = data.image_size[0], len(data.class_names)
    statistics = channel_statistics(data, splits.train)

    def make() -> dict[str, FloatArray]:
        module = _learned(data, splits, network)
        return {name: tensor.numpy() for name, tensor in module.state_dict().items()}

    facts = {
        "network": network,
        "train": splits.digest_of("train", data.digests),
        "steps": _STEPS,
        "batch": _BATCH,
        "seed": _SEED,
        "torch": torch.__version__,
    }
    state = store.arrays(f"weights-{data.name}-{network}", facts, make)
    module = NETWORKS[network](side, n_classes)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return ModuleClassifier(
        module,
        class_names=data.class_names,
        mean=statistics.mean,
        std=statistics.std,
        size=side,
        model_id=f"{data.name}-{network}",
    )


def _learned(data: Dataset, splits: Splits, network: str) -> nn.Module:
    statistics = channel_statistics(data, splits.train)
    mean, std = (
        torch.tensor(part).reshape(1, 3, 1, 1) for part in (statistics.mean, statistics.std)
    )
    generator = np.random.default_rng(_SEED)
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        module = NETWORKS[network](data.image_size[0], len(data.class_names))
    optimiser = torch.optim.Adam(module.parameters(), 2e-3)
    for _ in range(_STEPS):
        rows = generator.choice(splits.train, _BATCH, replace=False)
        logits = module((data.batch(rows) - mean) / std)
        loss = F.cross_entropy(logits, torch.from_numpy(data.labels[rows]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return module
