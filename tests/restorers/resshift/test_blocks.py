"""Blocks: what they begin as, and the embedding of time by hand."""

from __future__ import annotations

import math

import pytest
import torch

from gatekeeper.restorers.resshift.blocks import ResidualBlock, Up, time_embedding


def test_a_block_begins_as_its_shortcut() -> None:
    values = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    time = torch.ones(2, 8)
    same = ResidualBlock(4, 4, groups=2, time_width=8)
    assert torch.equal(same(values, time), values)
    wider = ResidualBlock(4, 6, groups=2, time_width=8)
    assert torch.equal(wider(values, time), wider.shortcut(values))
    with torch.no_grad():
        assert not torch.equal(ResidualBlock(4, 4, groups=2, zero=False)(values), values)


def test_time_scales_and_shifts() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(4, 4, groups=2, time_width=3, zero=False)
    values, time = torch.randn(1, 4, 5, 5), torch.tensor([[0.5, -1.0, 2.0]])
    with torch.no_grad():
        silu = torch.nn.functional.silu
        inner = block.norm2(block.conv1(silu(block.norm1(values))))
        scale, shift = (silu(time) @ block.time.weight.T + block.time.bias)[0].split(4)
        inner = inner * (1 + scale[:, None, None]) + shift[:, None, None]
        expected = values + block.conv2(silu(inner))
        torch.testing.assert_close(block(values, time), expected)


def test_doubling_repeats_pixels_before_the_convolution() -> None:
    up = Up(1)
    with torch.no_grad():
        up.conv.weight.zero_()
        up.conv.weight[0, 0, 1, 1] = 1.0
        up.conv.bias.zero_()
        found = up(torch.tensor([[[[1.0, 2.0]]]]))
    assert found.tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]


def test_time_embedding_by_hand() -> None:
    found = time_embedding(torch.tensor([0, 3]), 4)
    assert found[0].tolist() == [1, 1, 0, 0]
    slow = 3 / math.sqrt(10_000)
    expected = [math.cos(3), math.cos(slow), math.sin(3), math.sin(slow)]
    assert found[1].tolist() == pytest.approx(expected, abs=1e-6)
