"""The network: the published size, what it depends on, its grid and its refusals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift import PAPER_UNET, SwinUNet, SwinUNetConfig

SMALL = SwinUNetConfig(width=8, groups=4, swin_width=8, head_width=4, window=2)


def network(**arguments: object) -> SwinUNet:
    torch.manual_seed(0)
    made = SwinUNet(SMALL, **arguments).eval()  # type: ignore[arg-type]
    for module in made.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.1)
    return made


def images(n: int = 2, size: int = 8, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(n + size)
    return torch.rand(n, channels, size, size, generator=generator) * 2 - 1


def test_the_published_network_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        super_resolution = SwinUNet(PAPER_UNET)
        inpainting = SwinUNet(PAPER_UNET, mask=True, factor=4)
    n = sum(parameter.numel() for parameter in super_resolution.parameters())
    assert round(n / 1e6, 2) == 118.59
    assert super_resolution.first.in_channels == 6
    # 3 channels of the latent and 64 of the condition with its mask.
    assert inpainting.first.in_channels == 67
    assert inpainting.condition[0].in_channels == 4
    attending = sum(type(module).__name__ == "SwinLayer" for module in inpainting.modules())
    assert attending == 9  # four levels on both ways, and the middle


@torch.no_grad()
def test_an_untrained_network_predicts_zero() -> None:
    shown = images()
    assert torch.equal(SwinUNet(SMALL)(shown, shown, torch.tensor([0, 3])), torch.zeros_like(shown))


@torch.no_grad()
def test_the_prediction_depends_on_all_that_is_shown() -> None:
    made, shown, other = network(mask=True), images(), images(size=8).flip(0)
    times, mask = torch.tensor([0, 0]), torch.ones(2, 1, 8, 8)
    before = made(shown, shown, times, mask)
    holes = mask.clone()
    holes[:, :, 2:5, 3:6] = 0
    for changed in (
        made(other, shown, times, mask),
        made(shown, other, times, mask),
        made(shown, shown, times + 1, mask),
        made(shown, shown, times, holes),
    ):
        assert (changed - before).abs().max() > 1e-4
    assert torch.equal(made(shown, shown, times), before)  # no mask: all is known


@torch.no_grad()
def test_a_row_depends_on_its_own_image_and_time() -> None:
    made, shown = network(), images(4)
    times = torch.tensor([0, 1, 2, 3])
    together = made(shown, shown.flip(1), times)
    for row in range(4):
        rows = slice(row, row + 1)
        alone = made(shown[rows], shown.flip(1)[rows], times[rows])
        torch.testing.assert_close(alone, together[rows], rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("size", [(4, 12), (8, 4), (2, 2)])
def test_any_multiple_of_the_stride_and_the_smallest_grids(size: tuple[int, int]) -> None:
    assert SMALL.stride == 4
    shown = torch.zeros(1, 3, *size)
    assert network()(shown, shown, torch.tensor([1])).shape == shown.shape


@torch.no_grad()
def test_a_larger_condition_is_brought_to_the_grid() -> None:
    made = network(channels=5, mask=True, factor=4)
    latent, degraded = torch.zeros(2, 5, 4, 8), torch.zeros(2, 3, 16, 32)
    assert made(latent, degraded, torch.tensor([0, 1])).shape == latent.shape


def test_all_weights_get_a_gradient() -> None:
    made, shown = network(), images()
    made(shown, shown.flip(0), torch.tensor([0, 1])).square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_a_mask_without_its_channel_is_refused() -> None:
    with pytest.raises(InputError, match="leave out the mask"):
        network()(images(), images(), torch.tensor([0, 1]), torch.ones(2, 1, 8, 8))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 0}, "at least 1"),
        ({"multipliers": ()}, "at least 1"),
        ({"window": 3}, "even window"),
        ({"groups": 5}, "groups that divide"),
        ({"head_width": 5}, "head_width"),
        ({"swin_levels": "none"}, "all or lowest"),
    ],
)
def test_sizes_of_which_nothing_can_be_built_are_refused(changes: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        SwinUNetConfig(**changes)


def test_a_factor_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(InputError, match="power of 2"):
        SwinUNet(SMALL, factor=3)
