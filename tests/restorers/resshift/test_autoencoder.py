"""The autoencoder: the published size, the codebook by hand, its gradient, the spread."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift import PAPER_VQ, VQAutoencoder, VQConfig
from gatekeeper.restorers.resshift.autoencoder import GlobalAttention

SMALL = VQConfig(width=8, groups=4, channels=2, codes=3)


@pytest.fixture
def autoencoder() -> VQAutoencoder:
    torch.manual_seed(0)
    made = VQAutoencoder(SMALL).eval()
    with torch.no_grad():
        made.codebook.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]))
    return made


def test_the_published_autoencoder_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        n = sum(parameter.numel() for parameter in VQAutoencoder(PAPER_VQ).parameters())
    assert round(n / 1e6, 2) == 55.32
    assert PAPER_VQ.factor == 4


def test_the_nearest_entry_by_hand(autoencoder: VQAutoencoder) -> None:
    latents = torch.tensor([[0.4, 0.0], [0.6, 0.1], [0.4, 1.5]]).T.reshape(1, 2, 1, 3)
    found = autoencoder.quantise(latents)
    assert found.codes.tolist() == [[[0, 1, 2]]]
    torch.testing.assert_close(
        found.values[0, :, 0].T, torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    )
    # Squared distances 0.16, 0.17 and 0.41 over six numbers, once and at a quarter.
    assert found.loss.item() == pytest.approx(1.25 * 0.74 / 6)


@torch.no_grad()
def test_the_nearest_entry_is_found_in_full_precision() -> None:
    torch.manual_seed(0)
    made = VQAutoencoder(VQConfig(width=8, groups=4, codes=64))
    # Entries whose differences are below the spacing of bfloat16 at 1.
    made.codebook.weight.copy_(1.0 + 3e-3 * torch.arange(64)[:, None].expand(-1, 3))
    latents = made.codebook.weight.T.reshape(1, 3, 8, 8) + 1e-5
    with torch.autocast("cpu", torch.bfloat16):
        found = made.quantise(latents)
    assert found.codes.flatten().tolist() == list(range(64))


def test_the_gradient_passes_straight_through(autoencoder: VQAutoencoder) -> None:
    latents = torch.randn(1, 2, 3, 3, requires_grad=True)
    weights = torch.randn(1, 2, 3, 3)
    (autoencoder.quantise(latents).values * weights).sum().backward()
    torch.testing.assert_close(latents.grad, weights)
    assert autoencoder.codebook.weight.grad is None


@torch.no_grad()
def test_encode_is_before_the_codebook_and_decode_after_it(autoencoder: VQAutoencoder) -> None:
    images = torch.rand(2, 3, 8, 12) * 2 - 1
    latents = autoencoder.encode(images)
    assert latents.shape == (2, 2, 4, 6)
    assert len(torch.unique(latents)) > 3
    moved = latents + 1e-4  # the same entries, so the same images
    assert torch.equal(autoencoder.quantise(latents).codes, autoencoder.quantise(moved).codes)
    decoded = autoencoder.decode(latents)
    assert decoded.shape == images.shape
    torch.testing.assert_close(autoencoder.decode(moved), decoded)
    torch.testing.assert_close(autoencoder(images)[0], decoded)


@torch.no_grad()
def test_the_spread_is_measured(autoencoder: VQAutoencoder) -> None:
    images = torch.rand(8, 3, 16, 16) * 2 - 1
    before = autoencoder(images)[0]
    autoencoder.set_spread(images)
    assert float(autoencoder.encode(images).std()) == pytest.approx(1.0, abs=1e-4)
    torch.testing.assert_close(autoencoder.decode(autoencoder.encode(images)), before)


@torch.no_grad()
def test_entries_are_placed_on_latents() -> None:
    torch.manual_seed(0)
    made = VQAutoencoder(VQConfig(width=8, groups=4, codes=64))
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    latents = made.latent(images)

    def lost() -> float:
        found = made.quantise(latents).values
        return float(F.mse_loss(found, latents) / latents.var())

    before = lost()
    made.place_codes(images, torch.Generator().manual_seed(0))
    assert lost() < 0.1 * before
    assert len(made.quantise(latents).codes.unique()) > 32


@torch.no_grad()
def test_global_attention_by_hand() -> None:
    torch.manual_seed(0)
    made = GlobalAttention(4, 2)
    values = torch.randn(1, 4, 2, 3)
    query, key, value = (
        part[0].reshape(4, 6) for part in made.qkv(made.norm(values)).split(4, dim=1)
    )
    seen = value @ ((key.T @ query) / 2.0).softmax(dim=0)
    expected = values + made.out(seen.reshape(1, 4, 2, 3))
    torch.testing.assert_close(made(values), expected)


def test_sizes_of_which_nothing_can_be_built_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        VQConfig(codes=0)
    with pytest.raises(InputError, match="groups that divide"):
        VQConfig(groups=5)
