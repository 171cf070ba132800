"""The autoencoder's loss by hand, what its gradient reaches, and that training learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatekeeper.restorers.autoencoder import (
    AutoencoderConfig,
    AutoencoderOptions,
    SkipAutoencoder,
    train_autoencoder,
)
from gatekeeper.restorers.autoencoder.training import restoration_loss
from gatekeeper.types import IntArray

SMALL = AutoencoderConfig(encoder=(4, 4, 8, 8, 8, 8), decoder=(8, 8, 4))
SCHEDULE = AutoencoderOptions(steps=60, batch_size=16, learning_rate=1e-2)


class Brighter(nn.Module):
    """Adds a learnable constant: a restorer whose loss can be written down."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.25))

    def forward(self, images: Tensor) -> Tensor:
        return images + self.shift


def pictures(n: int = 48) -> Tensor:
    """Smooth ramps in different directions."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 16), torch.linspace(0, 1, 16), indexing="ij")
    share = torch.linspace(0, 1, n).reshape(-1, 1, 1)
    return (share * x + (1 - share) * y)[:, None].expand(-1, 3, -1, -1).contiguous()


def noisy(images: Tensor, seeds: IntArray) -> Tensor:
    noise = torch.stack(
        [torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(int(s) % 2**31))
         for s in seeds]
    )  # fmt: skip
    return (images + 0.2 * noise).clamp(0, 1)


def test_loss_by_hand() -> None:
    clean, degraded = torch.full((2, 3, 16, 16), 0.5), torch.zeros(2, 3, 16, 16)
    network = Brighter()
    assert restoration_loss(network, clean, degraded).item() == 0.0625  # (0.25 - 0.5)²

    def recognise(images: Tensor) -> Tensor:
        means = images.mean(dim=(1, 2, 3))
        return torch.stack([4 * means, torch.zeros_like(means)], dim=1)  # logits (1, 0)

    labels = torch.tensor([0, 1])
    loss = restoration_loss(
        network, clean, degraded, recognise=recognise, labels=labels, recognition_weight=0.5
    )
    cross_entropy = (np.log1p(np.exp(-1.0)) + np.log1p(np.exp(1.0))) / 2
    np.testing.assert_allclose(loss.item(), 0.0625 + 0.5 * cross_entropy, rtol=1e-6)
    without = restoration_loss(
        network, clean, degraded, recognise=recognise, labels=labels, recognition_weight=0.0
    )
    assert without.item() == 0.0625


def test_recognition_teaches_the_restorer_and_not_the_classifier() -> None:
    torch.manual_seed(0)
    restorer, classifier = SkipAutoencoder(SMALL).eval(), nn.Linear(3 * 16 * 16, 4)
    classifier.requires_grad_(False)
    weights = classifier.weight.clone()
    images = pictures(4)
    labels = torch.tensor([0, 1, 2, 3])
    with torch.no_grad():
        perfect = restorer(images)  # no squared error: what is left is recognition

    def gradient(weight: float) -> float:
        restorer.zero_grad()
        restoration_loss(
            restorer,
            perfect,
            images,
            recognise=lambda x: classifier(x.flatten(1)),
            labels=labels,
            recognition_weight=weight,
        ).backward()
        return sum(float(p.grad.abs().sum()) for p in restorer.parameters())

    assert gradient(0.0) < 1e-5
    assert gradient(1.0) > 1e-3
    assert classifier.weight.grad is None
    assert torch.equal(classifier.weight, weights)


def test_training_lowers_the_loss_and_removes_noise() -> None:
    images, losses = pictures(), []
    network = train_autoencoder(
        lambda rows: images[rows],
        np.zeros(len(images), dtype=np.int64),
        degrade=noisy,
        recognise=None,
        options=SCHEDULE,
        config=SMALL,
        on_step=lambda step, loss: losses.append((step, loss)),
    )
    assert [step for step, _ in losses] == list(range(1, 61))
    values = [loss for _, loss in losses]
    assert np.mean(values[-10:]) < 0.5 * np.mean(values[:10])
    assert not network.training
    degraded = noisy(images, np.arange(1000, 1048))
    with torch.no_grad():
        assert F.mse_loss(network(degraded), images) < F.mse_loss(degraded, images)


def test_each_image_keeps_its_label_under_the_shuffled_order() -> None:
    """Images carry their number in their pixels; the recogniser checks it against its label."""
    labels = np.arange(10, 42) % 10
    images = (torch.arange(32) / 255).reshape(-1, 1, 1, 1).expand(-1, 3, 16, 16)
    seen: list[IntArray] = []
    asked: list[IntArray] = []

    def pick(rows: IntArray) -> Tensor:
        asked.append(rows)
        return images[rows]

    def degrade(clean: Tensor, seeds: IntArray) -> Tensor:
        seen.append((clean[:, 0, 0, 0] * 255).round().long().numpy())
        assert len(np.unique(seeds)) == len(seeds)
        return clean

    def recognise(restored: Tensor) -> Tensor:
        truth = torch.from_numpy(labels[seen[-1]])
        return 50 * F.one_hot(truth, 10) + 0 * restored.mean()

    losses: list[float] = []
    train_autoencoder(
        pick,
        labels,
        degrade=degrade,
        recognise=recognise,
        options=AutoencoderOptions(steps=4, batch_size=16, recognition_weight=1e4),
        config=SMALL,
        on_step=lambda step, loss: losses.append(loss),
    )
    assert all(np.array_equal(a, s) for a, s in zip(asked, seen, strict=True))
    assert max(losses) < 1  # one wrong label would cost 50 · 1e4 / 16
    assert len(set(np.concatenate(asked).tolist())) > 20


@pytest.mark.parametrize("seed", [0, 1])
def test_same_seed_same_weights_whatever_the_global_state(seed: int) -> None:
    images = pictures(8)

    def trained(seed: int) -> Tensor:
        network = train_autoencoder(
            lambda rows: images[rows],
            np.zeros(8, dtype=np.int64),
            degrade=noisy,
            recognise=None,
            options=AutoencoderOptions(steps=2, batch_size=4),
            config=SMALL,
            seed=seed,
        )
        return network.head.weight.detach()

    first = trained(seed)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert torch.equal(trained(seed), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(trained(seed + 5), first)
