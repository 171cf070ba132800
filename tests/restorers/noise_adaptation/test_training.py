"""The joint training: what flows where, what is never read, the ramp, resuming, the export."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatekeeper.errors import InputError, TrainingError
from gatekeeper.protocols import RestorerTraining, TrainingBatch
from gatekeeper.restorers.autoencoder import AutoencoderConfig, AutoencoderRestorer
from gatekeeper.restorers.noise_adaptation import (
    DenoiserConfig,
    NoiseAdaptationOptions,
    NoiseAdaptationTraining,
    autoencoder_network,
    synthetic_noise,
    unet_network,
)
from gatekeeper.restorers.noise_adaptation import training as module
from gatekeeper.restorers.noise_adaptation.conditions import in_slots
from gatekeeper.restorers.noise_adaptation.levels import noised
from gatekeeper.restorers.noise_adaptation.objective import ramp
from gatekeeper.restorers.unet import ResidualUNet, UNetConfig, UNetRestorer

OPTIONS = NoiseAdaptationOptions(steps=40, learning_rate=3e-3, ramp_steps=10)
DENOISER = DenoiserConfig(width=4, multipliers=(1, 2), groups=2)
UNET = UNetConfig((4, 6))


def training(
    options: NoiseAdaptationOptions = OPTIONS, *, seed: int = 0, steps: int = 0
) -> NoiseAdaptationTraining:
    made = NoiseAdaptationTraining(
        options, restorer=unet_network(UNET), denoiser=DENOISER, seed=seed, device="cpu"
    )
    for step in range(steps):
        made.step(batch(step))
    return made


def ramps(n: int, seed: int, side: int = 8) -> Tensor:
    """Straight ramps of random direction and colour."""
    draw = np.random.default_rng([seed, 5])
    place = np.mgrid[:side, :side] / side - 0.5
    slopes = draw.uniform(-0.6, 0.6, (n, 3, 2))
    return torch.from_numpy(np.einsum("ncd,dyx->ncyx", slopes, place) + 0.5).float().clamp(0, 1)


def batch(step: int = 0, n: int = 8, *, labels: bool = False) -> TrainingBatch:
    seeds = np.arange(n) + 1000 * step
    clean = ramps(n, 2 * step)
    striped = torch.randn(n, 3, 1, 8, generator=torch.Generator().manual_seed(step))
    return TrainingBatch(
        clean=clean,
        degraded=synthetic_noise(clean, seeds),
        labels=np.arange(n) if labels else None,
        seeds=seeds,
        unlabelled=(ramps(n, 2 * step + 1) + 0.1 * striped).clamp(0, 1),
    )


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("negatives", [True, False])
def test_the_loss_by_hand(*, negatives: bool) -> None:
    ours = training(replace(OPTIONS, negatives=negatives), steps=4)
    terms = ours.terms(batch(9))
    weight = ramp(4, over=10, weight=0.2)
    joint = terms.noise
    if negatives:
        contrast = (terms.noise - terms.noise_of_negatives + 0.1).clamp(min=0)
        joint = (terms.noise + contrast) / 2
    assert ours.loss(terms).item() == pytest.approx((terms.restoration + weight * joint).item())
    assert (terms.noise_of_negatives is None) is not negatives


def test_at_the_start_of_the_ramp_the_loss_is_that_of_restoration() -> None:
    ours = training()
    terms = ours.terms(batch())
    assert terms.noise.item() > 0.5
    assert ours.loss(terms).item() == terms.restoration.item()


def test_the_terms_are_those_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every input of the diffusion network is recomputed from what the step was given."""
    ours, shown = training(steps=2), batch(7)
    asked: list[tuple[Tensor, Tensor, Tensor]] = []
    ours.denoiser.register_forward_hook(
        lambda _network, given, _out: asked.append(given[:3])
    )  # fmt: skip
    swaps = [torch.tensor([False, True] * 4), torch.tensor([True, True, False, False] * 2)]
    pending = list(swaps)
    monkeypatch.setattr(module, "drawn_swaps", lambda draws: pending.pop(0))
    terms = ours.terms(shown)
    with torch.no_grad():
        of_synthetic, of_real = ours.network(shown.degraded), ours.network(shown.unlabelled)
    (noisy, positive, gamma), (noisy_again, negative, gamma_again) = asked
    assert torch.equal(noisy, noisy_again)
    assert torch.equal(gamma, gamma_again)
    pair = (shown.degraded + of_synthetic, shown.unlabelled + of_real)
    torch.testing.assert_close(positive, in_slots(*pair, swaps[0]), rtol=0, atol=1e-6)
    worse = (shown.degraded + of_real, shown.unlabelled + of_synthetic)
    torch.testing.assert_close(negative, in_slots(*worse, swaps[1]), rtol=0, atol=1e-6)
    share = gamma.reshape(-1, 1, 1, 1)
    noise = (noisy - share.sqrt() * shown.clean) / (1 - share).sqrt()
    predicted = ours.denoiser(noisy, positive, gamma)
    assert terms.noise.item() == pytest.approx(((noise - predicted) ** 2).mean().item(), rel=1e-3)
    distance = torch.sqrt((pair[0] - shown.clean) ** 2 + 1e-6).mean()
    assert terms.restoration.item() == pytest.approx(distance.item(), rel=1e-5)


def test_the_error_of_the_noise_teaches_both_branches() -> None:
    ours = training(steps=3)
    shown = batch(7)
    for name in ("degraded", "unlabelled"):
        shown = replace(shown, **{name: getattr(shown, name).clone().requires_grad_()})
    terms = ours.terms(shown)
    of_synthetic, of_real = torch.autograd.grad(terms.noise, [shown.degraded, shown.unlabelled])
    assert of_synthetic.abs().max() > 0
    assert of_real.abs().max() > 0
    assert (of_real.abs().flatten(1).amax(dim=1) > 0).all()
    head = torch.autograd.grad(ours.terms(batch(7)).noise, ours.network.head.weight)[0]
    assert head.abs().max() > 0


def test_without_swap_the_pair_lies_in_the_first_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(draws: object) -> Tensor:
        raise AssertionError("drawn although switched off")

    monkeypatch.setattr(module, "drawn_swaps", never)
    ours, shown = training(replace(OPTIONS, slot_swap=False, negatives=False)), batch()
    asked: list[Tensor] = []
    ours.denoiser.register_forward_hook(lambda _network, given, _out: asked.append(given[1]))
    ours.terms(shown)  # an untrained restorer adds nothing
    assert torch.equal(asked[0], torch.cat([shown.degraded, shown.unlabelled], dim=1))


def test_vanilla_has_no_diffusion_network_and_needs_no_unlabelled_images() -> None:
    ours = training(replace(OPTIONS, diffusion=False))
    assert ours.denoiser is None
    assert not any("denoiser" in name for name in ours.state())
    shown = replace(batch(), unlabelled=None)
    terms = ours.terms(shown)
    assert terms.noise is None
    assert ours.step(shown) == pytest.approx(terms.restoration.item())
    other = training(replace(OPTIONS, diffusion=False))
    other.step(batch())  # with unlabelled images nothing changes
    assert equal(ours.state(), other.state())


def test_labels_are_never_read() -> None:
    """Of the camera's images no truth is in the batch; whatever else it says changes no loss."""
    losses = []
    for labels in (None, np.arange(8), np.full(8, -(10**9))):
        ours = training(steps=2)
        losses.append(ours.step(replace(batch(5), labels=labels)))
    assert losses[0] == losses[1] == losses[2]


def test_an_image_has_its_own_randomness_whatever_its_place() -> None:
    ours, shown = training(replace(OPTIONS, negatives=True), steps=3), batch(5)
    order = [3, 0, 7, 1, 6, 2, 5, 4]
    turned = TrainingBatch(
        clean=shown.clean[order],
        degraded=shown.degraded[order],
        labels=None,
        seeds=shown.seeds[order],
        unlabelled=shown.unlabelled[order],
    )
    with torch.no_grad():
        whole, other = ours.terms(shown), ours.terms(turned)
        parts = [ours.terms(shown, slice(i, i + 1)) for i in range(8)]
    for name in ("restoration", "noise", "noise_of_negatives"):
        expected = getattr(whole, name).item()
        assert getattr(other, name).item() == pytest.approx(expected, rel=1e-4)
        mean = np.mean([getattr(part, name).item() for part in parts])
        assert mean == pytest.approx(expected, rel=1e-4)


def test_the_export_knows_nothing_of_diffusion_and_is_one_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = training(replace(OPTIONS, ema_decay=0.5), steps=5)
    assert isinstance(ours, RestorerTraining)
    state = ours.state()
    assert any(name.startswith("denoiser.") for name in state)
    restorer = ours.export()
    assert isinstance(restorer, UNetRestorer)
    assert restorer.state().keys() == ResidualUNet(UNET).state_dict().keys()
    assert all(torch.equal(t, state[f"average.{n}"]) for n, t in restorer.state().items())
    calls: list[str] = []
    ours.denoiser.register_forward_hook(lambda *_: calls.append("denoiser"))
    restorer.network.register_forward_hook(lambda *_: calls.append("restorer"))
    images = batch(3).unlabelled
    restored = restorer.restore(images, seeds=np.arange(8))
    assert calls == ["restorer"]
    with torch.no_grad():
        expected = (images + restorer.network(images)).clamp(0, 1)
    torch.testing.assert_close(restored, expected, rtol=0, atol=1e-6)
    before = restorer.digest
    ours.step(batch(9))
    assert restorer.digest == before


def test_a_run_that_was_cut_equals_one_that_was_not() -> None:
    whole, first = training(steps=4), training(steps=2)
    second = training(seed=8)
    second.load_state(first.state())
    assert second.steps_done == 2
    for step in (2, 3):
        second.step(batch(step))
    assert equal(whole.state(), second.state())
    assert whole.export().digest == second.export().digest


def test_same_seed_same_weights_whatever_the_global_state() -> None:
    first = training(steps=1).state()
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = training(steps=1)
    again.export()
    assert torch.equal(torch.get_rng_state(), before)
    assert equal(again.state(), first)
    assert not equal(training(seed=1, steps=1).state(), first)


def test_any_network_can_be_adapted() -> None:
    config = AutoencoderConfig((4, 4, 4, 4, 4, 4), (4, 4, 4))
    ours = NoiseAdaptationTraining(
        OPTIONS, restorer=autoencoder_network(config), denoiser=DENOISER, device="cpu"
    )
    shown = batch()
    wide = TrainingBatch(
        clean=shown.clean.repeat(1, 1, 2, 2),
        degraded=shown.degraded.repeat(1, 1, 2, 2),
        labels=None,
        seeds=shown.seeds,
        unlabelled=shown.unlabelled.repeat(1, 1, 2, 2),
    )
    before = ours.state()
    for _ in range(2):
        ours.step(wide)
    restorer = ours.export()
    assert isinstance(restorer, AutoencoderRestorer)
    assert not torch.equal(restorer.state()["head.weight"], before["average.head.weight"])


def test_halves_give_the_gradient_of_the_whole_where_terms_are_means() -> None:
    options = replace(OPTIONS, negatives=False)
    whole, halved = training(options, steps=3), training(options, steps=3)

    def full(_network: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if len(arguments[0]) > 3:
            raise torch.OutOfMemoryError("full")

    halved.denoiser.register_forward_pre_hook(full)
    shown = batch(5)
    assert halved.step(shown) == pytest.approx(whole.step(shown), rel=1e-4)
    for ours, theirs in ((whole.network, halved.network), (whole.denoiser, halved.denoiser)):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)


def test_bfloat16_is_close_and_not_the_same() -> None:
    exact = training(steps=2)
    coarse = training(replace(OPTIONS, bf16=True))
    coarse.load_state(exact.state())
    one, other = exact.terms(batch(5)).noise, coarse.terms(batch(5)).noise
    assert other.dtype == torch.float32
    assert one.item() != other.item()
    assert one.item() == pytest.approx(other.item(), rel=0.02)


def test_a_loss_that_is_not_finite_stops_and_leaves_the_weights() -> None:
    ours = training(steps=1)
    before, broken = ours.state(), batch()
    broken.unlabelled[0, 0, 0, 0] = float("nan")
    with pytest.raises(TrainingError, match="finite loss at step 2"):
        ours.step(broken)
    assert equal(ours.state(), before)


@pytest.mark.parametrize("unlabelled", [None, torch.zeros(7, 3, 8, 8), torch.zeros(8, 3, 8, 9)])
def test_as_many_unlabelled_images_of_the_same_size_are_needed(unlabelled: Tensor | None) -> None:
    with pytest.raises(InputError, match="expected unlabelled noisy images of shape"):
        training().step(replace(batch(), unlabelled=unlabelled))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "at least one step"),
        ({"levels": (0, 10)}, "noise levels"),
        ({"ramp_steps": 0}, "ramp_steps of at least 1"),
        ({"diffusion_weight": -0.1}, "diffusion_weight"),
        ({"margin": -0.1}, "margin"),
    ],
)
def test_options_outside_their_range_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        NoiseAdaptationOptions(**wrong)


def test_the_error_rises_with_the_noise_of_the_condition() -> None:
    options = NoiseAdaptationOptions(
        steps=120, learning_rate=1e-2, ramp_steps=1, diffusion_weight=5.0, negatives=False
    )
    ours = NoiseAdaptationTraining(
        options,
        restorer=unet_network(UNET),
        denoiser=DenoiserConfig(width=8, multipliers=(1, 2), groups=4),
        device="cpu",
    )
    for step in range(120):
        ours.step(batch(step))
    clean, other = ramps(64, 901), ramps(64, 902)
    draw = torch.Generator().manual_seed(0)
    noise, rest = torch.randn(2, *clean.shape, generator=draw)
    gamma = torch.linspace(0.1, 0.9, 64)
    errors = []
    with torch.no_grad():
        for sigma in (0.0, 0.1, 0.2, 0.4, 0.8):
            condition = torch.cat([clean + sigma * rest, other], dim=1)
            predicted = ours.denoiser(noised(clean, noise, gamma), condition, gamma)
            errors.append(((noise - predicted) ** 2).mean().item())
    assert (np.diff(errors) > 0).all(), errors
    assert errors[-1] > 1.2 * errors[0]
