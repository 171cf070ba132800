"""The U-Net's training: its loss by hand, what its gradient reaches, resuming, learning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatekeeper.errors import InputError, TrainingError
from gatekeeper.protocols import RestorerTraining, TrainingBatch
from gatekeeper.restorers.unet import UNetConfig, UNetOptions, UNetTraining

SMALL = UNetConfig((6, 8))
OPTIONS = UNetOptions(steps=60, learning_rate=1e-2)


def pictures(n: int = 48) -> Tensor:
    """Smooth ramps in different directions, 16 px."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 16), torch.linspace(0, 1, 16), indexing="ij")
    share = torch.linspace(0, 1, n).reshape(-1, 1, 1)
    return (share * x + (1 - share) * y)[:, None].expand(-1, 3, -1, -1).contiguous()


def batch(step: int = 0, n: int = 16, *, labels: bool = False) -> TrainingBatch:
    generator = torch.Generator().manual_seed(step)
    clean = pictures()[torch.randperm(48, generator=generator)[:n]]
    noise = 0.2 * torch.randn(clean.shape, generator=generator)
    return TrainingBatch(
        clean=clean,
        degraded=(clean + noise).clamp(0, 1),
        labels=np.arange(n) % 4 if labels else None,
        seeds=np.arange(n) + 1000 * step,
    )


def training(options: UNetOptions = OPTIONS, **arguments: object) -> UNetTraining:
    return UNetTraining(SMALL, options, device="cpu", **arguments)  # type: ignore[arg-type]


def by_mean(images: Tensor) -> Tensor:
    """Logits (4 · mean, 0)."""
    means = images.mean(dim=(1, 2, 3))
    return torch.stack([4 * means, torch.zeros_like(means)], dim=1)


def red(images: Tensor) -> Tensor:
    return images[:, :1].mean(dim=(2, 3))


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    options = UNetOptions(
        loss="mse", pixel_weight=2.0, recognition_weight=0.5, feature_weight=0.25,
        identity_weight=3.0,
    )  # fmt: skip
    ours = training(options, recognise=by_mean, features=red)
    nn.init.constant_(ours.network.head.bias, 0.25)  # adds a quarter to every image
    clean, degraded = torch.full((2, 3, 8, 8), 0.5), torch.zeros(2, 3, 8, 8)
    loss = ours.loss(clean, degraded, torch.tensor([0, 1])).item()
    cross_entropy = (np.log1p(np.exp(-1.0)) + np.log1p(np.exp(1.0))) / 2  # logits (1, 0)
    features = (0.25 - 0.5) ** 2 / 0.5**2
    expected = 2 * 0.0625 + 0.5 * cross_entropy + 0.25 * features + 3 * 0.0625
    assert loss == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "arguments", "expected"),
    [
        (UNetOptions(loss="l1"), {}, 0.25),
        (UNetOptions(loss="l1", pixel_weight=0, identity_weight=2.0), {}, 0.5),
        (UNetOptions(loss="l1"), {"recognise": by_mean, "features": red}, 0.25),
    ],
)
def test_a_term_without_weight_costs_nothing(
    options: UNetOptions, arguments: dict[str, object], expected: float
) -> None:
    ours = training(options, **arguments)
    nn.init.constant_(ours.network.head.bias, 0.25)
    clean, degraded = torch.full((2, 3, 8, 8), 0.5), torch.zeros(2, 3, 8, 8)
    assert ours.loss(clean, degraded, torch.tensor([0, 1])).item() == pytest.approx(expected)


def test_recognition_teaches_the_restorer_and_not_the_classifier() -> None:
    classifier = nn.Linear(3 * 16 * 16, 4).requires_grad_(False)
    before = classifier.weight.clone()
    options = replace(OPTIONS, pixel_weight=0.0, recognition_weight=1.0)
    ours = training(options, recognise=lambda images: classifier(images.flatten(1)))
    head = ours.network.head.weight.clone()
    ours.step(batch(labels=True))
    assert not torch.equal(ours.network.head.weight, head)
    assert classifier.weight.grad is None
    assert torch.equal(classifier.weight, before)


def test_training_removes_noise_and_leaves_clean_images_alone() -> None:
    ours = training(replace(OPTIONS, identity_weight=0.5, loss="mse"))
    losses = [ours.step(batch(step)) for step in range(60)]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    restorer, unseen = ours.export(), batch(1000)
    restored = restorer.restore(unseen.degraded, seeds=unseen.seeds)
    assert F.mse_loss(restored, unseen.clean) < 0.6 * F.mse_loss(unseen.degraded, unseen.clean)
    kept = restorer.restore(unseen.clean, seeds=unseen.seeds)
    assert F.mse_loss(kept, unseen.clean) < 0.1 * F.mse_loss(unseen.degraded, unseen.clean)


def test_a_run_that_was_cut_equals_one_that_was_not() -> None:
    whole, first, second = training(), training(), training(seed=9)
    assert isinstance(whole, RestorerTraining)
    for step in range(6):
        whole.step(batch(step))
    for step in range(3):
        first.step(batch(step))
    second.load_state(first.state())
    for step in range(3, 6):
        second.step(batch(step))
    assert second.steps_done == 6
    ours, theirs = whole.state(), second.state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert whole.export().digest == second.export().digest


def test_same_seed_same_weights_whatever_the_global_state() -> None:
    first = training(seed=3).state()
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = training(seed=3)
    again.step(batch())
    again.export()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(training(seed=3).state()["network.down.0.0.weight"],
                       first["network.down.0.0.weight"])  # fmt: skip
    assert not torch.equal(
        training(seed=4).state()["network.down.0.0.weight"], first["network.down.0.0.weight"]
    )


def test_the_export_is_a_copy_of_the_average() -> None:
    ours = training(replace(OPTIONS, ema_decay=0.5))
    for step in range(4):
        ours.step(batch(step))
    restorer, state = ours.export(), ours.state()
    exported = restorer.state()
    assert all(torch.equal(exported[name], state[f"average.{name}"]) for name in exported)
    assert not torch.equal(exported["head.bias"], state["network.head.bias"])
    before = restorer.digest
    ours.step(batch(5))
    assert restorer.digest == before


def test_halves_give_the_gradient_of_the_whole() -> None:
    options = replace(
        OPTIONS, recognition_weight=0.1, feature_weight=0.1, identity_weight=0.5, loss="mse"
    )
    whole, halved = (training(options, recognise=by_mean, features=red) for _ in range(2))
    for ours in (whole, halved):
        nn.init.constant_(ours.network.head.weight, 0.01)

    def full(_network: nn.Module, arguments: tuple[Tensor]) -> None:
        if len(arguments[0]) > 10:
            raise torch.OutOfMemoryError("full")

    halved.network.register_forward_pre_hook(full)
    shown = replace(batch(n=7), labels=np.array([0, 1, 1, 0, 1, 0, 0]))
    assert halved.step(shown) == pytest.approx(whole.step(shown), rel=1e-5)
    for one, other in zip(halved.network.parameters(), whole.network.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-7)


def test_bfloat16_is_close_and_not_the_same() -> None:
    exact, coarse = training(), training(replace(OPTIONS, bf16=True))
    for ours in (exact, coarse):
        nn.init.constant_(ours.network.head.weight, 0.01)
    shown = batch()
    one, other = (ours.loss(shown.clean, shown.degraded) for ours in (exact, coarse))
    assert other.dtype == torch.float32
    assert one.item() != other.item()
    assert one.item() == pytest.approx(other.item(), rel=0.01)


def test_a_loss_that_is_not_finite_stops_and_leaves_the_weights() -> None:
    ours = training()
    before = ours.state()
    broken = batch()
    broken.degraded[0, 0, 0, 0] = float("nan")
    with pytest.raises(TrainingError, match="finite loss"):
        ours.step(broken)
    after = ours.state()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "at least one step"),
        ({"learning_rate": 0.0}, "at least one step"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"loss": "huber"}, "pixel loss among charbonnier, l1, mse"),
        ({"feature_weight": -1.0}, "weights of at least 0"),
        ({"pixel_weight": 0.0}, "weights of at least 0"),
    ],
)
def test_options_outside_their_range_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        UNetOptions(**wrong)  # type: ignore[arg-type]


def test_a_term_needs_what_it_reads() -> None:
    with pytest.raises(InputError, match="expected recognise"):
        training(replace(OPTIONS, recognition_weight=0.1))
    with pytest.raises(InputError, match="expected features"):
        training(replace(OPTIONS, feature_weight=0.1))
    ours = training(replace(OPTIONS, recognition_weight=0.1), recognise=by_mean)
    with pytest.raises(InputError, match="expected labels"):
        ours.step(batch())
