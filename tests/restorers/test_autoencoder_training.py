"""The autoencoder's loss by hand, what its gradient reaches, and that training learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatekeeper.errors import InputError, TrainingError
from gatekeeper.protocols import RestorerTraining, TrainingBatch
from gatekeeper.restorers.autoencoder import (
    AutoencoderConfig,
    AutoencoderOptions,
    AutoencoderTraining,
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


def batch(number: int = 0, **changes: object) -> TrainingBatch:
    images, seeds = pictures(8), np.arange(8) + 100 * number
    facts = {"clean": images, "degraded": noisy(images, seeds), "labels": None, "seeds": seeds}
    return TrainingBatch(**{**facts, **changes})


def training(**changes: object) -> AutoencoderTraining:
    options = AutoencoderOptions(steps=20, learning_rate=1e-2)
    return AutoencoderTraining(SMALL, options, seed=3, **changes)


def test_the_seam_is_obeyed() -> None:
    assert isinstance(training(), RestorerTraining)


def test_dropout_follows_the_seeds_of_the_batch_and_nothing_else() -> None:
    config = AutoencoderConfig(SMALL.encoder, SMALL.decoder, dropout=0.3)

    def losses(global_seed: int) -> list[float]:
        one = AutoencoderTraining(config, AutoencoderOptions(steps=9), seed=0)
        torch.manual_seed(global_seed)
        return [one.step(batch(number)) for number in range(3)]

    assert losses(0) == losses(1)


def test_a_kept_state_goes_on_to_the_same_bits() -> None:
    straight, first = training(), training()
    for number in range(6):
        straight.step(batch(number))
    for number in range(4):
        first.step(batch(number))
    second = training()
    second.load_state(first.state())
    assert second.steps_done == 4
    for number in (4, 5):
        second.step(batch(number))
    expected, found = straight.state(), second.state()
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    assert second.export().digest == straight.export().digest


def test_a_kept_state_does_not_change_with_the_training_that_gave_it() -> None:
    one = training()
    one.step(batch())
    state, restorer = one.state(), one.export()
    kept, digest = {name: tensor.clone() for name, tensor in state.items()}, restorer.digest
    one.step(batch(1))
    assert all(torch.equal(tensor, kept[name]) for name, tensor in state.items())
    assert restorer.digest == digest != one.export().digest


def test_a_state_before_the_first_step_is_the_beginning() -> None:
    one, other = training(), training()
    other.load_state(one.state())
    assert one.step(batch()) == other.step(batch())


def test_another_networks_state_is_refused() -> None:
    wider = AutoencoderTraining(AutoencoderConfig((8,) * 6, (8, 8, 8)), seed=0)
    with pytest.raises(InputError, match="that of another network"):
        training().load_state(wider.state())
    with pytest.raises(InputError, match="that of another network"):
        training().load_state({})


def test_a_loss_that_is_not_finite_leaves_the_weights_as_they_were() -> None:
    one = training()
    one.step(batch())
    before = [p.clone() for p in one.network.parameters()]
    with pytest.raises(TrainingError, match="expected a finite loss, got nan in step 2"):
        one.step(batch(degraded=torch.full((8, 3, 16, 16), float("nan"))))
    assert all(torch.equal(p, q) for p, q in zip(before, one.network.parameters(), strict=True))
    assert one.steps_done == 1


def test_what_it_cannot_learn_from_is_refused() -> None:
    with pytest.raises(InputError, match="leave out the mask"):
        training().step(batch(mask=torch.ones(8, 1, 16, 16)))
    with pytest.raises(InputError, match="needs the true class of each image"):
        training(recognise=lambda images: images.flatten(1)).step(batch())
