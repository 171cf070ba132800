from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatekeeper.errors import InputError
from gatekeeper.restorers.autoencoder.network import (
    PUBLISHED_LARGE,
    PUBLISHED_SMALL,
    AutoencoderConfig,
    SkipAutoencoder,
    forward_any_size,
)

# All widths differ, so that a skip that leads to the wrong place cannot fit by chance.
UNEQUAL = AutoencoderConfig(encoder=(5, 6, 7, 9, 10, 13), decoder=(11, 8, 4), dropout=0.1)
# Where each skip enters: the module that reads the concatenation, and how many channels come first.
SKIPS = {"enc1": ("head", 4), "enc2": ("dec2", 4), "enc3": ("dec3", 8), "enc5": ("dec5", 13)}
BLOCKS = {
    **{f"enc{i}": nn.Conv2d for i in range(1, 7)},
    **{f"up{i}": nn.ConvTranspose2d for i in (5, 3, 2, 1)},
    **{f"dec{i}": nn.Conv2d for i in (5, 3, 2)},
}


@pytest.fixture
def network() -> SkipAutoencoder:
    torch.manual_seed(0)
    return SkipAutoencoder(UNEQUAL).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))


def capture(store: dict[str, Tensor], name: str) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        store[name] = output.detach().clone()

    return hook


@pytest.mark.parametrize("skip", SKIPS)
def test_cutting_a_skip_changes_the_output(
    network: SkipAutoencoder, images: Tensor, skip: str
) -> None:
    reader, first = SKIPS[skip]
    seen: dict[str, Tensor] = {}
    network.get_submodule(skip).register_forward_hook(capture(seen, skip))
    with torch.no_grad():
        whole = network(images)

        def cut(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
            (joined,) = inputs
            assert torch.equal(joined[:, first:], seen[skip])
            kept = joined.clone()
            kept[:, first:] = 0.0
            return (kept,)

        network.get_submodule(reader).register_forward_pre_hook(cut)
        assert (network(images) - whole).abs().max() > 1e-5


def test_block_4_reaches_the_output_only_through_block_5(
    network: SkipAutoencoder, images: Tensor
) -> None:
    seen: dict[str, Tensor] = {}
    handle = network.enc5.register_forward_hook(capture(seen, "enc5"))
    with torch.no_grad():
        whole = network(images)
        handle.remove()
        network.enc4.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        assert (network(images) - whole).abs().max() > 1e-5
        network.enc5.register_forward_hook(lambda module, inputs, output: seen["enc5"])
        assert torch.equal(network(images), whole)


def test_sizes_of_the_encoder_and_the_decoder(network: SkipAutoencoder, images: Tensor) -> None:
    seen: dict[str, Tensor] = {}
    for name in BLOCKS:
        network.get_submodule(name).register_forward_hook(capture(seen, name))
    network(images)
    shapes = {name: tuple(output.shape[1:]) for name, output in seen.items()}
    assert shapes == {
        "enc1": (5, 32, 48),
        "enc2": (6, 16, 24),
        "enc3": (7, 8, 12),
        "enc4": (9, 8, 12),
        "enc5": (10, 4, 6),
        "enc6": (13, 2, 3),
        "up5": (13, 4, 6),
        "dec5": (11, 4, 6),
        "up3": (8, 8, 12),
        "dec3": (8, 8, 12),
        "up2": (4, 16, 24),
        "dec2": (4, 16, 24),
        "up1": (4, 32, 48),
    }


@pytest.mark.parametrize("name", BLOCKS)
def test_order_within_a_block(network: SkipAutoencoder, name: str) -> None:
    conv, activation, dropout, norm = network.get_submodule(name).children()
    assert type(conv) is BLOCKS[name]
    assert isinstance(activation, nn.LeakyReLU)
    assert activation.negative_slope == 0.3
    assert isinstance(dropout, nn.Dropout)
    assert dropout.p == 0.1
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.num_features == conv.out_channels


def test_kernels_and_strides(network: SkipAutoencoder) -> None:
    convs = {name: network.get_submodule(name)[0] for name in BLOCKS}
    read = {name: (conv.kernel_size[0], conv.stride[0]) for name, conv in convs.items()}
    assert read == {
        "enc1": (3, 1), "enc2": (3, 2), "enc3": (5, 2), "enc4": (3, 1), "enc5": (5, 2),
        "enc6": (3, 2), "up5": (3, 2), "dec5": (3, 1), "up3": (3, 2), "dec3": (5, 1),
        "up2": (3, 2), "dec2": (5, 1), "up1": (3, 2),
    }  # fmt: skip
    assert (network.head.kernel_size[0], network.head.stride[0]) == (3, 1)


def n_trainable(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_number_of_parameters_by_hand(network: SkipAutoencoder) -> None:
    # in · out · kernel² + out, in the order of the forward pass
    convolutions = (
        (3 * 5 * 9 + 5) + (5 * 6 * 9 + 6) + (6 * 7 * 25 + 7)
        + (7 * 9 * 9 + 9) + (9 * 10 * 25 + 10) + (10 * 13 * 9 + 13)
        + (13 * 13 * 9 + 13) + ((13 + 10) * 11 * 9 + 11)
        + (11 * 8 * 9 + 8) + ((8 + 7) * 8 * 25 + 8)
        + (8 * 4 * 9 + 4) + ((4 + 6) * 4 * 25 + 4)
        + (4 * 4 * 9 + 4) + ((4 + 5) * 3 * 9 + 3)
    )  # fmt: skip
    normalised = (5 + 6 + 7 + 9 + 10 + 13) + (13 + 8 + 4 + 4) + (11 + 8 + 4)
    assert n_trainable(network) == convolutions + 2 * normalised


def test_published_small_variant_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):  # shapes only
        network = SkipAutoencoder(PUBLISHED_SMALL)
    # Keras, with which the number was read, counts moving means and variances as parameters.
    moving = sum(buffer.numel() for name, buffer in network.named_buffers() if "running" in name)
    assert n_trainable(network) + moving == 7_963_267


LARGE_TABLE = {  # in, out, kernel, stride, in the order of the forward pass
    "enc1": (3, 196, 3, 1), "enc2": (196, 196, 3, 2), "enc3": (196, 256, 5, 2),
    "enc4": (256, 256, 3, 1), "enc5": (256, 256, 5, 2), "enc6": (256, 512, 3, 2),
    "up5": (512, 512, 3, 2), "dec5": (512 + 256, 256, 3, 1),
    "up3": (256, 128, 3, 2), "dec3": (128 + 256, 256, 5, 1),
    "up2": (256, 64, 3, 2), "dec2": (64 + 196, 196, 5, 1),
    "up1": (196, 64, 3, 2), "head": (64 + 196, 3, 3, 1),
}  # fmt: skip


def test_published_large_variant_layer_by_layer() -> None:
    with torch.device("meta"):
        network = SkipAutoencoder(PUBLISHED_LARGE)
    found = {}
    for name in LARGE_TABLE:
        block = network.get_submodule(name)
        conv = block if name == "head" else block[0]
        found[name] = (
            conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0],
        )  # fmt: skip
        if name != "head":
            assert block[2].p == 0.15
            assert block[3].num_features == conv.out_channels
    assert found == LARGE_TABLE
    convolutions = sum(i * o * k * k + o for i, o, k, _ in LARGE_TABLE.values())
    normalised = sum(o for name, (_, o, _, _) in LARGE_TABLE.items() if name != "head")
    assert n_trainable(network) == convolutions + 2 * normalised
    with torch.no_grad():
        assert network(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 3, 224, 224)


def test_convolutions_start_orthogonal_and_without_bias(network: SkipAutoencoder) -> None:
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convs) == 14
    for conv in convs:
        rows = conv.weight.detach().flatten(1).double()
        rows = rows if rows.shape[0] <= rows.shape[1] else rows.T
        torch.testing.assert_close(
            rows @ rows.T, torch.eye(len(rows), dtype=torch.float64), rtol=0, atol=1e-5
        )
        assert not conv.bias.any()


def test_output_is_the_sigmoid_of_the_last_convolution(
    network: SkipAutoencoder, images: Tensor
) -> None:
    seen: dict[str, Tensor] = {}
    network.head.register_forward_hook(capture(seen, "head"))
    output = network(images)
    torch.testing.assert_close(output, 1 / (1 + torch.exp(-seen["head"])))
    assert output.shape == images.shape
    assert output.min() > 0
    assert output.max() < 1


def test_dropout_acts_in_training_only(network: SkipAutoencoder, images: Tensor) -> None:
    assert torch.equal(network(images), network(images))
    network.train()
    assert not torch.equal(network(images), network(images))


@pytest.mark.parametrize("size", [(9, 9), (16, 16), (17, 31), (28, 28), (33, 50), (100, 9)])
def test_any_size_keeps_its_shape(network: SkipAutoencoder, size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2))
    assert forward_any_size(network, image).shape == (1, 3, *size)


def test_other_sizes_are_mirrored_at_the_right_and_the_bottom() -> None:
    image = torch.rand(1, 3, 13, 10, generator=torch.Generator().manual_seed(3))
    padded: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            padded.append(images)
            return images

    assert torch.equal(forward_any_size(Spy(), image), image)
    assert padded[0].shape == (1, 3, 16, 16)
    assert torch.equal(padded[0][:, :, 13:, :10], image[:, :, [11, 10, 9]])
    assert torch.equal(padded[0][:, :, :13, 10:], image[:, :, :, [8, 7, 6, 5, 4, 3]])


@pytest.mark.parametrize("size", [(8, 32), (32, 8), (1, 1)])
def test_images_too_small_to_be_mirrored_are_refused(
    network: SkipAutoencoder, size: tuple[int, int]
) -> None:
    with pytest.raises(InputError, match=f"at least 9 px per side, got {size[0]}×{size[1]}"):
        forward_any_size(network, torch.zeros(1, 3, *size))
