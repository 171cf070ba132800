"""The diffusion network: its size, what it listens to, its dropout."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gatekeeper.errors import InputError
from gatekeeper.restorers.noise_adaptation import Denoiser, DenoiserConfig
from gatekeeper.restorers.noise_adaptation.denoiser import PAPER_DENOISER, Attention, sinusoids

SMALL = DenoiserConfig(width=4, multipliers=(1, 2), groups=2)


def awake(config: DenoiserConfig = SMALL, seed: int = 0) -> Denoiser:
    """A network whose last convolutions are no longer zero."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Denoiser(config)
        for parameter in network.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.2)
    return network


def inputs(n: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    noisy, condition = (
        torch.rand(n, 3, 8, 12, generator=draw),
        torch.rand(n, 6, 8, 12, generator=draw),
    )
    return noisy, condition, torch.linspace(0.1, 0.9, n)


def n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def block(n_in: int, n_out: int, embedded: int) -> int:
    """Parameters of a residual block, by its layers."""
    convolutions = 9 * n_in * n_out + n_out + 9 * n_out * n_out + n_out
    norms, film = 2 * n_in + 2 * n_out, embedded * 2 * n_out + 2 * n_out
    return convolutions + norms + film + (n_in * n_out + n_out if n_in != n_out else 0)


def test_the_papers_size_builds_and_has_the_parameters_of_its_layers() -> None:
    with torch.device("meta"):
        network = Denoiser(PAPER_DENOISER)
    expected = (64 * 256 + 256) + (256 * 256 + 256) + (9 * 9 * 64 + 64)
    down = [(64, 64), (64, 64), (64, 64), (64, 128), (128, 128), (128, 128), (128, 256),
            (256, 256), (256, 256), (256, 512), (512, 512)]  # fmt: skip
    middle = [(512, 512), (512, 512)]
    up = [(1024, 512), (1024, 512), (768, 512), (512, 512), (768, 256), (512, 256), (384, 256),
          (256, 256), (384, 128), (256, 128), (192, 128), (128, 128), (192, 64), (128, 64),
          (128, 64)]  # fmt: skip
    expected += sum(block(n_in, n_out, 256) for n_in, n_out in (*down, *middle, *up))
    expected += 2 * 512 + (512 * 1536 + 1536) + (512 * 512 + 512)  # attention
    expected += 2 * 64 + 9 * 64 * 3 + 3
    assert n_parameters(network) == expected


def test_it_begins_by_predicting_nothing() -> None:
    with torch.random.fork_rng():
        assert not Denoiser(SMALL)(*inputs()).any()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_image_condition_and_level_are_all_listened_to(which: int) -> None:
    network = awake()
    given = list(inputs())
    before = network(*given)
    assert before.shape == (3, 3, 8, 12)
    given[which] = given[which] * 0.5
    assert (network(*given) - before).abs().flatten(1).amax(dim=1).min() > 1e-4


def test_a_row_depends_on_itself_alone() -> None:
    network = awake(DenoiserConfig(width=4, multipliers=(1, 2), groups=2, head_channels=4))
    given = inputs()
    together = network(*given)
    alone = torch.cat([network(*(x[row : row + 1] for x in given)) for row in range(3)])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


def test_dropout_is_drawn_per_image_and_only_in_training() -> None:
    network = awake(DenoiserConfig(width=4, multipliers=(1, 2), groups=2, dropout=0.5))

    def predicted(seeds: list[int], rows: slice = slice(None)) -> torch.Tensor:
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        found: torch.Tensor = network(*(x[rows] for x in inputs()), draws)
        return found

    first = predicted([1, 2, 3])
    assert torch.equal(predicted([1, 2, 3]), first)
    torch.testing.assert_close(predicted([3], slice(2, 3)), first[2:], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(predicted([1, 2, 4])[2], first[2])
    network.eval()
    assert torch.equal(predicted([1, 2, 3]), predicted([7, 8, 9]))


def test_attention_is_the_softmax_written_out() -> None:
    torch.manual_seed(0)
    layer = Attention(4, 2, 2)
    nn.init.normal_(layer.answer.weight)
    values = torch.randn(1, 4, 2, 3)
    asked = layer.ask(layer.norm(values)).reshape(3, 2, 2, 6)  # ask, heads, channels, pixels
    query, key, value = asked
    weights = torch.softmax(query.transpose(1, 2) @ key / 2**0.5, dim=-1)
    seen = (value @ weights.transpose(1, 2)).reshape(1, 4, 2, 3)
    torch.testing.assert_close(layer(values), values + layer.answer(seen))


def test_sinusoids_by_hand() -> None:
    found = sinusoids(torch.tensor([0.0, 0.5]), 4)
    angles = torch.tensor([0.5, 500.0])
    assert found[0].tolist() == [1.0, 1.0, 0.0, 0.0]
    torch.testing.assert_close(found[1], torch.cat([angles.cos(), angles.sin()]))
    assert sinusoids(torch.tensor([0.5]), 5).shape == (1, 5)


def test_sides_must_fit() -> None:
    network = Denoiser(SMALL)
    with pytest.raises(InputError, match="multiples of 2 px"):
        network(torch.zeros(1, 3, 9, 8), torch.zeros(1, 6, 9, 8), torch.ones(1) / 2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 0}, "at least 1"),
        ({"multipliers": ()}, "at least 1"),
        ({"groups": 5}, "groups that divide"),
        ({"head_channels": 48}, "head_channels that divide 64"),
        ({"dropout": 1.0}, "dropout in"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DenoiserConfig(**wrong)
