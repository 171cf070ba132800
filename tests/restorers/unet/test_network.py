"""The U-Net by its layer table, its numbers of parameters and a forward pass done apart."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gatekeeper.errors import InputError
from gatekeeper.restorers.unet import ResidualUNet, UNetConfig

PAPER = (64, 128, 256, 512)


def trained(widths: tuple[int, ...], seed: int = 0) -> ResidualUNet:
    """A network whose last convolution is no longer zero."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ResidualUNet(UNetConfig(widths))
        nn.init.normal_(network.head.weight, std=0.1)
        nn.init.normal_(network.head.bias, std=0.1)
    return network.eval()


def n_parameters(widths: tuple[int, ...]) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in ResidualUNet(UNetConfig(widths)).parameters())


def test_the_papers_network_has_the_published_number_of_parameters() -> None:
    assert n_parameters(PAPER) == 8_559_171


def test_the_shipped_width_is_below_15_megabytes() -> None:
    assert n_parameters(UNetConfig().widths) == 1_205_211
    assert 4 * n_parameters(UNetConfig().widths) < 15e6


def test_number_of_parameters_by_hand() -> None:
    # 3 -> 2 -> 2; 2 -> 4 -> 4; lift 4 -> 2; 4 -> 2 -> 2; head 2 -> 3; kernels of 9, biases.
    by_hand = (54 + 2) + (36 + 2) + (72 + 4) + (144 + 4) + (72 + 2) + (72 + 2) + (36 + 2) + (54 + 3)
    assert n_parameters((2, 4)) == by_hand


def test_it_begins_by_adding_nothing() -> None:
    images = torch.rand(2, 3, 9, 13, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ResidualUNet(UNetConfig((4, 8)))(images), torch.zeros_like(images))


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (1, 1), (5, 40)])
def test_any_size_is_padded_by_its_last_row_and_column(size: tuple[int, int]) -> None:
    network = trained((3, 4, 5))
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    height, width = (-(-side // 4) * 4 for side in size)
    rows = torch.arange(height).clamp(max=size[0] - 1)
    columns = torch.arange(width).clamp(max=size[1] - 1)
    padded = network(images[:, :, rows][:, :, :, columns])
    residual = network(images)
    assert residual.shape == images.shape
    torch.testing.assert_close(residual, padded[:, :, : size[0], : size[1]])


def test_a_forward_pass_written_out() -> None:
    network = trained((3, 4))
    images = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(2))
    weights = network.state_dict()

    def conv(values: torch.Tensor, name: str) -> torch.Tensor:
        return F.conv2d(values, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)

    def pair(values: torch.Tensor, name: str) -> torch.Tensor:
        for layer in ("0", "2"):
            values = conv(values, f"{name}.{layer}")
            values = torch.where(values >= 0, values, 0.2 * values)
        return values

    fine = pair(images, "down.0")
    halved = fine.reshape(1, 3, 3, 2, 4, 2).mean(dim=(3, 5))
    coarse = pair(halved, "down.1")
    # Bilinear with aligned corners: row i of 6 lies at i · 2/5 of the 3 coarse rows.
    down, across = (
        (1 - (torch.arange(n)[:, None] * (m - 1) / (n - 1) - torch.arange(m)).abs()).clamp(min=0)
        for n, m in ((6, 3), (8, 4))
    )
    doubled = torch.einsum("ih,bchw,jw->bcij", down, coarse, across)
    joined = torch.cat([conv(doubled, "lift.0"), fine], dim=1)
    expected = conv(pair(joined, "up.0"), "head")
    torch.testing.assert_close(network(images), expected, rtol=1e-5, atol=1e-6)


def test_the_configuration_survives_json() -> None:
    config = UNetConfig((4, 8, 16))
    assert config.stride == 4
    assert UNetConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    "config", [{}, {"widths": "wide"}, {"widths": [4, 8.5]}, {"widths": [4], "depth": 3}]
)
def test_a_foreign_configuration_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(InputError, match="for a U-Net"):
        UNetConfig.from_json(config)


@pytest.mark.parametrize("widths", [(), (4, 0)])
def test_widths_without_a_network_are_refused(widths: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="at least one width"):
        UNetConfig(widths)
