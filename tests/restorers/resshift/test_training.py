"""Training: its loss by hand, holes, resuming, latents first, and better than its peers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor, nn

from benchmarks.resshift_peers import EpsilonDiffusion
from gatekeeper.errors import InputError, TrainingError
from gatekeeper.metrics import psnr
from gatekeeper.protocols import RestorerTraining, TrainingBatch
from gatekeeper.restorers.resshift import (
    PARAMETRISATIONS,
    Parametrisation,
    ResShiftConfig,
    ResShiftOptions,
    ResShiftTraining,
    SwinUNetConfig,
    VQConfig,
)
from gatekeeper.restorers.resshift.draws import normal_noise
from gatekeeper.restorers.shared import feature_distance

TINY = SwinUNetConfig(width=4, groups=2, swin_width=4, head_width=2, window=2)
PLAIN = ResShiftConfig(network=TINY)
MASKED = ResShiftConfig(network=TINY, mask=True)
LATENT = ResShiftConfig(
    network=TINY, autoencoder=VQConfig(width=4, groups=2, codes=8, multipliers=(1, 2))
)
OPTIONS = ResShiftOptions(steps=20, learning_rate=1e-2, ema_decay=0.9, autoencoder_steps=3)


def batch(step: int = 0, n: int = 4, size: int = 8, *, mask: bool = False) -> TrainingBatch:
    generator = torch.Generator().manual_seed(step)
    clean = torch.rand(n, 3, size, size, generator=generator)
    known = torch.ones(n, 1, size, size)
    known[:, :, 2:4, 3:6] = 0
    return TrainingBatch(
        clean=clean,
        degraded=(clean + 0.2 * torch.randn(clean.shape, generator=generator)).clamp(0, 1),
        labels=None,
        seeds=np.arange(n) + 1000 * step,
        mask=known if mask else None,
    )


def training(
    config: ResShiftConfig = PLAIN, options: ResShiftOptions = OPTIONS, **arguments: object
) -> ResShiftTraining:
    return ResShiftTraining(config, options, device="cpu", **arguments)  # type: ignore[arg-type]


def red(images: Tensor) -> Tensor:
    return images[:, :1].mean(dim=(2, 3))


def loss_of(made: ResShiftTraining, shown: TrainingBatch) -> float:
    return made.loss(shown.clean, shown.degraded, shown.seeds, shown.mask).item()


@pytest.mark.parametrize("kind", PARAMETRISATIONS)
def test_the_loss_of_a_network_that_predicts_zero_is_the_weighted_square_of_its_target(
    kind: Parametrisation,
) -> None:
    made, shown = training(replace(PLAIN, predicts=kind)), batch()
    x0, y = 2 * shown.clean - 1, 2 * shown.degraded - 1
    chain = made.config.training_chain()
    t = made._steps(shown.seeds)
    noise = normal_noise(shown.seeds, (3, 8, 8), stream=8002)
    target = chain.target(kind, x0, y, t, noise)
    expected = (chain.weight(kind, t, x0) * target.square()).mean()
    assert loss_of(made, shown) == pytest.approx(float(expected), rel=1e-5)


def test_the_network_is_shown_the_marginal_scaled_and_the_degraded_image_as_it_is() -> None:
    made, shown, seen = training(MASKED), batch(mask=True), []
    made.networks.unet.register_forward_pre_hook(lambda _, given: seen.append(given))
    loss_of(made, shown)
    noisy, degraded, times, known = seen[0]
    y = 2 * shown.degraded * shown.mask - 1
    t = times + 1
    chain = made.config.training_chain()
    noise = normal_noise(shown.seeds, (3, 8, 8), stream=8002)
    expected = chain.scaled(chain.marginal(2 * shown.clean - 1, y, t, noise), t)
    torch.testing.assert_close(noisy, expected)
    torch.testing.assert_close(degraded, y)  # holes are black: -1
    assert torch.equal(known, shown.mask)


def test_steps_are_uniform_and_each_images_own() -> None:
    made = training(replace(PLAIN, steps=15, least_noise=0.04))
    t = made._steps(np.arange(3000))
    counts = torch.bincount(t, minlength=16)
    assert counts[0] == 0
    assert all(abs(int(count) - 200) < 5 * math.sqrt(200) for count in counts[1:])
    assert torch.equal(made._steps(np.arange(5, 9)), t[5:9])


def test_the_feature_term_is_a_distance_on_what_the_prediction_stands_for() -> None:
    options = replace(OPTIONS, feature_weight=0.5)
    with_term, without = training(options=options, features=red), training()
    shown = batch()
    # A network that predicts zero stands for images of 0.5.
    grey = torch.full_like(shown.clean, 0.5)
    expected = 0.5 * float(feature_distance(grey, shown.clean, red))
    assert loss_of(with_term, shown) - loss_of(without, shown) == pytest.approx(expected, rel=1e-4)


def test_the_features_reach_the_network_through_the_frozen_decoder() -> None:
    options = replace(OPTIONS, feature_weight=1.0)
    made = training(LATENT, options, features=red)
    for step in range(OPTIONS.autoencoder_steps):
        made.step(batch(step))
    autoencoder = made.networks.autoencoder
    nn.init.normal_(made.networks.unet.last[2].weight, std=0.1)
    shown = batch(9)
    made.loss(shown.clean, shown.degraded, shown.seeds).backward()
    assert all(parameter.grad is None for parameter in autoencoder.parameters())
    assert made.networks.unet.first.weight.grad.abs().max() > 0


def test_holes_are_drawn_for_their_share_of_images_where_none_come_with_the_batch() -> None:
    shown = batch(n=200)
    for share, low, high in ((0.0, 0, 0), (0.3, 35, 85), (1.0, 200, 200)):
        made = training(MASKED, replace(OPTIONS, hole_share=share))
        mask = made._holes(shown)
        holed = 0 if mask is None else int((mask == 0).flatten(1).any(dim=1).sum())
        assert low <= holed <= high
    given = batch(mask=True)
    assert made._holes(given) is given.mask
    assert training()._holes(shown) is None


@pytest.mark.parametrize("config", [MASKED, LATENT])
def test_a_resumed_training_goes_on_bit_by_bit(config: ResShiftConfig) -> None:
    straight, before = training(config), training(config)
    assert isinstance(straight, RestorerTraining)
    for step in range(5):
        straight.step(batch(step))
    # The pause falls into the autoencoder's steps, or between them and the chain's.
    for stop in (2, 3):
        before, again = training(config), training(config, seed=7)
        for step in range(stop):
            before.step(batch(step))
        again.load_state(before.state())
        for step in range(stop, 5):
            again.step(batch(step))
        assert again.steps_done == 5
        found, expected = again.state(), straight.state()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert again.export().digest == straight.export().digest


def test_the_autoencoder_learns_first_and_then_no_more() -> None:
    made, networks = training(LATENT), []
    for step in range(5):
        made.step(batch(step))
        networks.append({n: t.clone() for n, t in made.networks.state_dict().items()})

    def changed(one: dict[str, Tensor], other: dict[str, Tensor], part: str) -> bool:
        return any(not torch.equal(one[n], other[n]) for n in one if n.startswith(part))

    assert changed(networks[0], networks[1], "autoencoder")
    assert not changed(networks[0], networks[2], "unet")
    assert not changed(networks[2], networks[4], "autoencoder")
    assert changed(networks[2], networks[3], "unet")
    shown = batch(2)
    spread = made.networks.encode(2 * shown.clean - 1).std()
    assert float(spread) == pytest.approx(1.0, abs=1e-3)


def test_the_autoencoder_learns_to_rebuild_images() -> None:
    config = replace(LATENT, autoencoder=VQConfig(width=8, groups=4, codes=64))
    made = training(config, replace(OPTIONS, autoencoder_steps=80, learning_rate=5e-3))
    photos = crops(skimage.data.astronaut(), 256, 5)
    for step in range(80):
        rows = np.random.default_rng(step).integers(256, size=8)
        shown = TrainingBatch(
            clean=photos[rows], degraded=photos[rows], labels=None, seeds=np.arange(8) + step
        )
        made.step(shown)
    held_out = crops(skimage.data.astronaut(), 24, 6)
    with torch.no_grad():
        rebuilt = made.networks.decode(made.networks.encode(2 * held_out - 1))
    rebuilt = ((rebuilt + 1) / 2).clamp(0, 1)
    mean = held_out.mean(dim=(0, 2, 3), keepdim=True).expand_as(held_out)
    assert mean_psnr(rebuilt, held_out) > mean_psnr(mean, held_out) + 2.0


def test_the_exported_restorer_has_the_averaged_weights_and_is_a_copy() -> None:
    made = training()
    for step in range(4):
        made.step(batch(step))
    exported = made.export()
    state = made.state()
    for name, tensor in exported.state().items():
        assert torch.equal(tensor, state[f"chain.average.{name.removeprefix('unet.')}"])
    assert not torch.equal(state["chain.average.last.2.bias"], state["chain.network.last.2.bias"])
    digest = exported.digest
    made.step(batch(5))
    assert exported.digest == digest


def test_a_loss_that_is_not_finite_is_an_error_and_changes_nothing() -> None:
    for config in (PLAIN, LATENT):
        made, shown = training(config), batch()
        before = made.state()
        with pytest.raises(TrainingError, match="finite loss"):
            made.step(replace(shown, clean=torch.full_like(shown.clean, math.nan)))
        after = made.state()
        assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_a_batch_that_does_not_fit_is_trained_on_in_halves() -> None:
    whole, halved = training(MASKED), training(MASKED)

    def full(_network: nn.Module, given: tuple[Tensor, ...]) -> None:
        if len(given[0]) > 2:
            raise torch.OutOfMemoryError("full")

    halved.networks.unet.register_forward_pre_hook(full)
    losses = [made.step(batch(n=6)) for made in (whole, halved)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    gradients = [
        torch.cat([p.grad.flatten() for p in made.networks.unet.parameters()])
        for made in (whole, halved)
    ]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(InputError, match="expected no mask"):
        training().step(batch(mask=True))
    with pytest.raises(InputError, match="expected features"):
        training(options=replace(OPTIONS, feature_weight=1.0))
    with pytest.raises(InputError, match="state of this training"):
        training().load_state(training(MASKED).state())


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"learning_rate": 0.0},
        {"autoencoder_steps": 0},
        {"hole_share": 1.5},
        {"ema_decay": 1.0},
        {"feature_weight": -1.0},
    ],
)
def test_options_outside_their_ranges_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError):
        ResShiftOptions(**wrong)


def crops(photo: np.ndarray, n: int, seed: int, size: int = 16) -> Tensor:
    """Crops of a photo at a quarter of its size."""
    small, rng = photo[::4, ::4], np.random.default_rng(seed)
    rows, columns = (rng.integers(side - size, size=n) for side in small.shape[:2])
    found = [small[y : y + size, x : x + size] for y, x in zip(rows, columns, strict=True)]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 255


def noisy(clean: Tensor, seed: int) -> Tensor:
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    return (clean + 0.25 * noise).clamp(0, 1)


def mean_psnr(images: Tensor, clean: Tensor) -> float:
    return float(np.mean([psnr(a, b) for a, b in zip(images.numpy(), clean.numpy(), strict=True)]))


def test_trained_it_beats_the_degraded_image_and_a_diffusion_from_noise_of_equal_steps() -> None:
    network = SwinUNetConfig(width=16, swin_width=16)
    options = ResShiftOptions(steps=90, learning_rate=4e-3, ema_decay=0.95)
    ours = ResShiftTraining(ResShiftConfig(network=network), options, device="cpu")
    theirs = EpsilonDiffusion(network, options, mask=False, n_steps=4)
    clean = torch.cat([crops(skimage.data.astronaut(), 400, 0), crops(skimage.data.cat(), 400, 1)])
    rng = np.random.default_rng(2)
    for step in range(options.steps):
        rows, seeds = rng.integers(len(clean), size=8), rng.integers(2**60, size=8)
        shown = TrainingBatch(
            clean=clean[rows], degraded=noisy(clean[rows], step), labels=None, seeds=seeds
        )
        ours.step(shown)
        theirs.step(shown)
    held_out = crops(skimage.data.coffee(), 24, 3)
    degraded, seeds = noisy(held_out, 10_000), np.arange(24)
    before = mean_psnr(degraded, held_out)
    found = mean_psnr(ours.export().restore(degraded, seeds=seeds), held_out)
    from_noise = mean_psnr(theirs.restore(degraded, seeds=seeds), held_out)
    assert found > before + 1.0
    assert found > from_noise + 1.0
