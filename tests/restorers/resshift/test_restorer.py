"""ResShift as a restorer: the contract, masks, sizes, tiles, seeds, state, little memory."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatekeeper.errors import BundleError, InputError
from gatekeeper.protocols import WeightedRestorer
from gatekeeper.restorers.resshift import (
    PAPER_UNET,
    PAPER_VQ,
    ResShiftConfig,
    ResShiftNetworks,
    ResShiftRestorer,
    SwinUNetConfig,
    VQConfig,
    enlarged,
    sample,
)
from gatekeeper.restorers.resshift.draws import normal_noise
from tests.contracts.restorer import SEEDS, RestorerContract

NETWORK = SwinUNetConfig(width=8, groups=4, swin_width=8, head_width=4, window=2)
PLAIN = ResShiftConfig(network=NETWORK)
MASKED = ResShiftConfig(network=NETWORK, mask=True)
LATENT = ResShiftConfig(
    network=NETWORK, mask=True, autoencoder=VQConfig(width=8, groups=4, codes=16)
)


def restorer(config: ResShiftConfig = PLAIN) -> ResShiftRestorer:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        networks = ResShiftNetworks(config)
        for module in networks.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.any():
                nn.init.normal_(module.weight, std=0.05)
        if networks.autoencoder is not None:
            nn.init.normal_(networks.autoencoder.codebook.weight)
    return ResShiftRestorer(networks, device="cpu")


def pictures(n: int = 2, height: int = 18, width: int = 23) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.rand(n, 3, height, width, generator=generator)


def holes(n: int = 2, height: int = 18, width: int = 23) -> Tensor:
    mask = torch.ones(n, 1, height, width)
    mask[:, :, 4:9, 5:12] = 0
    return mask


class TestResShiftRestorer(RestorerContract):
    tolerance = 1e-5  # convolutions may sum in another order

    def build(self) -> ResShiftRestorer:
        return restorer()


class TestLatentResShiftRestorer(RestorerContract):
    tolerance = 1e-4  # the same, through two more networks

    def build(self) -> ResShiftRestorer:
        return restorer(replace(LATENT, mask=False))


def test_the_answer_is_the_samplers() -> None:
    made, images, seeds = restorer(), pictures(2, 8, 8), np.array([3, 4])
    y = 2 * images - 1
    with torch.inference_mode():
        expected = sample(
            lambda noisy, times: made.networks.unet(noisy, y, times),
            PLAIN.sampling_chain(),
            y,
            noise=lambda stream: normal_noise(seeds, (3, 8, 8), stream=stream),
        )
    found = made.restore(images, seeds=seeds)
    torch.testing.assert_close(found, (expected + 1) / 2, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "calls"),
    [(PLAIN, 4), (replace(PLAIN, sampling_steps=2), 2), (replace(PLAIN, steps=15), 15)],
)
def test_as_many_network_calls_as_steps(config: ResShiftConfig, calls: int) -> None:
    made, seen = restorer(config), []
    made.networks.unet.register_forward_hook(lambda *_: seen.append(1))
    made.restore(pictures(), seeds=np.arange(2))
    assert len(seen) == calls


def test_the_published_networks_together_have_174_million_parameters() -> None:
    config = ResShiftConfig(
        steps=15, least_noise=0.04, network=PAPER_UNET, autoencoder=PAPER_VQ, mask=True
    )
    with torch.device("meta"):
        networks = ResShiftNetworks(config)
    n = sum(parameter.numel() for parameter in networks.parameters())
    assert round(n / 1e6) == 174
    assert config.multiple == 256  # 64 on the grid of the chain, as windows of 8 on four levels


def test_another_seed_gives_another_answer() -> None:
    made, image = restorer(), pictures(1)
    first, second = (made.restore(image, seeds=np.array([seed])) for seed in (1, 2))
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("config", [MASKED, LATENT])
def test_known_pixels_come_back_bit_by_bit_and_holes_are_filled(config: ResShiftConfig) -> None:
    made, images, mask = restorer(config), pictures(), holes()
    found = made.restore(images, seeds=np.arange(2), mask=mask)
    known = mask.expand_as(images) == 1
    assert torch.equal(found[known], images[known])
    assert (found[~known] != images[~known]).any()
    assert found.min() >= 0
    assert found.max() <= 1


def test_what_a_hole_shows_does_not_matter() -> None:
    made, images, mask = restorer(MASKED), pictures(), holes()
    found = made.restore(images, seeds=np.arange(2), mask=mask)
    hidden = torch.where(mask == 1, images, 0.7)
    again = made.restore(hidden, seeds=np.arange(2), mask=mask)
    assert torch.equal(again, found)


def test_mask_and_image_are_both_conditions() -> None:
    made, images, seeds = restorer(MASKED), pictures(), np.arange(2)
    smaller = holes()
    smaller[:, :, 4] = 1
    images = images * holes()  # black where either has a hole, so that only the mask differs
    first = made.restore(images, seeds=seeds, mask=holes())
    second = made.restore(images, seeds=seeds, mask=smaller)
    assert not torch.equal(first[:, :, 6, 6:11], second[:, :, 6, 6:11])
    changed = images.clone()
    changed[:, :, 2, 2] = 1 - changed[:, :, 2, 2]
    third = made.restore(changed, seeds=seeds, mask=holes())
    assert not torch.equal(first[:, :, 6, 6:11], third[:, :, 6, 6:11])


def test_a_whole_mask_keeps_everything_and_none_keeps_nothing() -> None:
    made, images, seeds = restorer(MASKED), pictures(), np.arange(2)
    assert torch.equal(made.restore(images, seeds=seeds, mask=torch.ones(2, 1, 18, 23)), images)
    assert (made.restore(images, seeds=seeds) != images).float().mean() > 0.9


def test_dead_areas_are_found_and_filled_and_other_images_restored() -> None:
    made = restorer(replace(MASKED, find_holes=True))
    images, seeds = pictures(), np.arange(2)
    images[0, :, 3:9, 3:9] = 0.0
    mask = torch.ones(2, 1, 18, 23)
    mask[0, :, 3:9, 3:9] = 0
    found = made.restore(images, seeds=seeds)
    given = made.restore(images[:1], seeds=seeds[:1], mask=mask[:1])
    torch.testing.assert_close(found[:1], given, rtol=0, atol=1e-5)
    without = restorer(MASKED).restore(images[1:], seeds=seeds[1:])
    torch.testing.assert_close(found[1:], without, rtol=0, atol=1e-5)
    # A mask that is given is the only one that counts.
    given = made.restore(images, seeds=seeds, mask=torch.ones(2, 1, 18, 23))
    assert torch.equal(given, images)


@pytest.mark.parametrize("size", [(1, 1), (2, 31), (7, 5), (16, 40)])
@pytest.mark.parametrize("config", [MASKED, LATENT])
def test_any_size(config: ResShiftConfig, size: tuple[int, int]) -> None:
    made, images = restorer(config), pictures(1, *size)
    mask = torch.ones(1, 1, *size)
    mask[..., 0] = 0
    found = made.restore(images, seeds=np.array([1]), mask=mask)
    assert found.shape == images.shape
    assert torch.equal(found[..., 1:], images[..., 1:])
    assert made.restore(images, seeds=np.array([1])).isfinite().all()


def test_large_images_are_restored_tile_by_tile_under_one_field_of_noise() -> None:
    made = restorer(replace(MASKED, tile_px=8, overlap_px=4))
    sizes: list[tuple[int, int]] = []

    def identity(_module: nn.Module, arguments: tuple[Tensor, ...], _output: Tensor) -> Tensor:
        sizes.append(tuple(arguments[0].shape[2:]))
        return arguments[1]  # the degraded image, as a perfect network would for a clean one

    made.networks.unet.register_forward_hook(identity)
    images = pictures(2, 18, 23)
    found = made.restore(images, seeds=np.arange(2))
    torch.testing.assert_close(found, images, rtol=0, atol=1e-6)
    # 20 × 24 after padding: tiles from 0, 4, 8, 12 and from 0, 4, 8, 12, 16, four steps each.
    assert sizes == [(8, 8)] * (4 * 5 * 4)


def test_overlapping_tiles_begin_with_the_same_noise() -> None:
    made, begun = restorer(replace(PLAIN, tile_px=8, overlap_px=4)), []

    def remember(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if int(arguments[2][0]) == 3:
            begun.append(arguments[0])

    made.networks.unet.register_forward_pre_hook(remember)
    made.restore(torch.full((1, 3, 8, 12), 0.5), seeds=np.array([9]))
    assert len(begun) == 2
    assert torch.equal(begun[0][..., 4:], begun[1][..., :4])


def test_enlarging_restores_what_bicubic_interpolation_gives() -> None:
    made, images, seeds = restorer(), pictures(2, 6, 5), np.arange(2)
    grown = F.interpolate(images, scale_factor=2, mode="bicubic").clamp(0, 1)
    assert torch.equal(enlarged(images, 2), grown)
    assert torch.equal(enlarged(images, 1), images)
    assert torch.equal(made.enlarge(images, seeds=seeds), made.restore(grown, seeds=seeds))
    with pytest.raises(InputError, match="scale of at least 1"):
        made.enlarge(images, seeds=seeds, scale=0)


def test_a_batch_that_does_not_fit_is_restored_in_halves() -> None:
    made, images, seeds = restorer(MASKED), pictures(5), np.arange(5)
    together = made.restore(images, seeds=seeds, mask=holes(5))

    def full(_network: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if len(arguments[0]) > 2:
            raise torch.OutOfMemoryError("full")

    made.networks.unet.register_forward_pre_hook(full)
    halved = made.restore(images, seeds=seeds, mask=holes(5))
    torch.testing.assert_close(halved, together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", [PLAIN, LATENT])
def test_same_answer_and_digest_from_its_state(config: ResShiftConfig) -> None:
    made = restorer(config)
    assert isinstance(made, WeightedRestorer)
    before = torch.get_rng_state()
    again = ResShiftRestorer.from_state(made.state(), made.config(), device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert again.digest == made.digest
    images = pictures()
    seeds = np.arange(2)
    assert torch.equal(again.restore(images, seeds=seeds), made.restore(images, seeds=seeds))


def test_digest_follows_weights_and_configuration() -> None:
    made = restorer()
    before = made.digest
    assert restorer(replace(PLAIN, sampling_steps=3)).digest != before
    with torch.no_grad():
        made.networks.state_dict()["unet.first.bias"][0] += 0.25
    assert made.digest != before


def test_what_does_not_fit_together_is_refused() -> None:
    made = restorer()
    state, config = made.state(), made.config()
    with pytest.raises(BundleError, match="weights of a ResShift"):
        ResShiftRestorer.from_state(state, MASKED.to_json())
    with pytest.raises(BundleError, match="weights of a ResShift"):
        ResShiftRestorer.from_state(state, {"widths": [4]})
    broken = {**state, "unet.first.bias": torch.full_like(state["unet.first.bias"], math.nan)}
    with pytest.raises(BundleError, match=r"others in unet\.first\.bias"):
        ResShiftRestorer.from_state(broken, config)
    del state["unet.first.bias"]
    with pytest.raises(BundleError, match="weights of a ResShift"):
        ResShiftRestorer.from_state(state, config)


def test_input_that_is_none_is_refused() -> None:
    made, images, seeds = restorer(MASKED), pictures(), np.arange(2)
    dead = images.clone()
    dead[1, 0, 3, 3] = math.nan
    with pytest.raises(InputError, match="finite images"):
        made.restore(dead, seeds=seeds)
    with pytest.raises(InputError, match="one seed per image"):
        made.restore(images, seeds=seeds[:1])
    with pytest.raises(InputError, match="B, 3, H, W"):
        made.restore(images[:, :1], seeds=seeds)
    for wrong in (torch.ones(2, 1, 18, 22), torch.full((2, 1, 18, 23), 0.5)):
        with pytest.raises(InputError, match="expected a mask"):
            made.restore(images, seeds=seeds, mask=wrong)


def test_a_network_that_gives_no_numbers_is_an_error() -> None:
    made = restorer()
    with torch.no_grad():
        made.networks.unet.last[2].bias.fill_(math.nan)
    with pytest.raises(BundleError, match="finite values"):
        made.restore(pictures(), seeds=np.arange(2))


def test_no_images_no_answers() -> None:
    nothing = restorer().restore(torch.zeros(0, 3, 8, 8), seeds=np.zeros(0, dtype=np.int64))
    assert nothing.shape == (0, 3, 8, 8)


def test_seeds_of_the_contract_are_all_accepted() -> None:
    assert (
        len(
            {
                restorer().restore(pictures(1, 8, 8), seeds=SEEDS[i : i + 1]).sum()
                for i in (0, 1, 3, 4)
            }
        )
        == 4
    )
