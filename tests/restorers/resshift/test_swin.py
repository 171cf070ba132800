"""Shifted windows: the mask by hand, attention by brute force, the kept mask, small grids."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift import swin
from gatekeeper.restorers.resshift.swin import (
    SwinBlock,
    SwinLayer,
    from_windows,
    into_windows,
    offset_index,
    shift_mask,
)


def block(*, shifted: bool, window: int = 4) -> SwinBlock:
    torch.manual_seed(1)
    made = SwinBlock(8, 2, window, shifted=shifted, mlp_ratio=2, groups=2)
    torch.nn.init.normal_(made.bias, std=0.5)
    return made.eval()


def test_windows_there_and_back() -> None:
    values = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    windows = into_windows(values, (2, 3))
    assert windows.shape == (8, 6, 3)
    # The second window of the first image: rows 0 and 1, columns 3 to 5.
    assert torch.equal(windows[1, :, 0], values[0, 0, :2, 3:].flatten())
    assert torch.equal(from_windows(windows, (2, 3), 4, 6), values)


def test_mask_of_a_shifted_row_by_hand() -> None:
    # Columns 0…3 in windows of 2, rolled by 1: the last window holds columns 3 and 0.
    mask = shift_mask(1, 4, (1, 2), (0, 1), "cpu")
    inf = math.inf
    assert mask.shape == (2, 1, 2, 2)
    assert mask[0, 0].tolist() == [[0, 0], [0, 0]]
    assert mask[1, 0].tolist() == [[0, -inf], [-inf, 0]]


def test_offsets_by_hand() -> None:
    assert offset_index((1, 2), 2, "cpu").tolist() == [[4, 3], [5, 4]]
    assert offset_index((2, 1), 2, "cpu").tolist() == [[4, 1], [7, 4]]


def brute_force(made: SwinBlock, values: Tensor) -> Tensor:
    """Pixel by pixel: whom a pixel sees is decided from places in the unrolled grid."""
    _, channels, height, width = values.shape
    half = made.window // 2 if made.shifted else 0
    shift = [half * int(side > made.window) for side in (height, width)]
    window = [min(made.window, side) for side in (height, width)]
    qkv = made.qkv(values[0].permute(1, 2, 0))
    size = channels // made.heads
    out = torch.zeros(height, width, channels)
    # With a shift the windows start at half a window; what lies before them are smaller windows.
    cell = lambda p, axis: (p + window[axis] - shift[axis]) // window[axis]  # noqa: E731
    places = [(y, x) for y in range(height) for x in range(width)]
    for y, x in places:
        seen = [(v, u) for v, u in places if cell(v, 0) == cell(y, 0) and cell(u, 1) == cell(x, 1)]
        for head in range(made.heads):
            part = [
                slice(i * channels + head * size, i * channels + (head + 1) * size)
                for i in range(3)
            ]
            logits = torch.stack(
                [
                    qkv[y, x, part[0]] @ qkv[v, u, part[1]] / math.sqrt(size)
                    + made.bias[
                        (y - v + made.window - 1) * (2 * made.window - 1) + x - u + made.window - 1,
                        head,
                    ]
                    for v, u in seen
                ]
            )
            values_seen = torch.stack([qkv[v, u, part[2]] for v, u in seen])
            out[y, x, head * size : (head + 1) * size] = logits.softmax(0) @ values_seen
    return made.out(out).permute(2, 0, 1)[None]


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("size", [(4, 4), (2, 4), (4, 2), (2, 1)])
def test_attention_by_brute_force(shifted: bool, size: tuple[int, int]) -> None:
    made = block(shifted=shifted, window=2)
    values = torch.randn(1, 8, *size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        normed = made.norm(values)
        window = tuple(min(2, side) for side in size)
        found = made._attended(normed, window)  # type: ignore[arg-type]
        torch.testing.assert_close(found, brute_force(made, normed), rtol=1e-4, atol=1e-5)


def test_a_shift_connects_windows_and_opposite_borders_stay_apart() -> None:
    values = torch.zeros(1, 8, 8, 8, requires_grad=True)

    def reach(made: SwinBlock, y: int, x: int) -> Tensor:
        seen = made._attended(values + 0.0, (4, 4))[0, :, y, x].sum()
        (gradient,) = torch.autograd.grad(seen, values)
        return gradient[0].abs().sum(dim=0) > 0

    plain, shifted = block(shifted=False), block(shifted=True)
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[:4, :4] = True
    assert torch.equal(reach(plain, 3, 3), expected)
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[2:6, 2:6] = True
    assert torch.equal(reach(shifted, 3, 3), expected)
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[:2, :2] = True
    assert torch.equal(reach(shifted, 0, 0), expected)


def test_the_kept_mask_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shift_mask.cache_clear()
    layer = SwinLayer(4, inner=8, blocks=2, head_width=4, window=4, mlp_ratio=2, groups=2).eval()
    values = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        first = layer(values)
        for _ in range(4):
            assert torch.equal(layer(values), first)
    found = shift_mask.cache_info()
    assert (found.misses, found.hits) == (1, 4)
    # It is the kept one that decides: with another in its place the result is another.
    kept = shift_mask(8, 12, (4, 4), (2, 2), "cpu")
    monkeypatch.setattr(swin, "shift_mask", lambda *_: torch.zeros_like(kept))
    with torch.inference_mode():
        assert not torch.equal(layer(values), first)


def test_a_mask_first_needed_in_inference_serves_training() -> None:
    shift_mask.cache_clear()
    offset_index.cache_clear()
    made = block(shifted=True)
    values = torch.ones(1, 8, 8, 8)
    with torch.inference_mode():
        made(values)
    made(values).sum().backward()
    assert made.qkv.weight.grad is not None


def test_no_shift_where_the_window_is_the_grid() -> None:
    plain, shifted = block(shifted=False), block(shifted=True)
    for size in ((4, 4), (3, 2)):
        values = torch.randn(1, 8, *size, generator=torch.Generator().manual_seed(4))
        with torch.no_grad():
            assert torch.equal(plain(values), shifted(values))


def test_a_grid_that_fits_no_window_is_refused() -> None:
    with pytest.raises(InputError, match="multiples of 4"):
        block(shifted=False)(torch.zeros(1, 8, 8, 6))
