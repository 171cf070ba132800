from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from gatekeeper.corruptions.randomness import pixel_normal, pixel_uniform, uniform
from gatekeeper.errors import InputError

WORD = 2**64
GOLDEN = 0x9E3779B97F4A7C15
A = 0xBF58476D1CE4E5B9
B = 0x94D049BB133111EB


def mix(z: int) -> int:
    """The finaliser of splitmix64 on Python's own integers."""
    z = (z ^ (z >> 30)) * A % WORD
    z = (z ^ (z >> 27)) * B % WORD
    return z ^ (z >> 31)


def unshift(z: int, bits: int) -> int:
    """The y with y ^ (y >> bits) == z."""
    y = z
    for _ in range(64 // bits + 1):
        y = z ^ (y >> bits)
    return y


def unmix(z: int) -> int:
    """The inverse of :func:`mix`."""
    z = unshift(z, 31) * pow(B, -1, WORD) % WORD
    z = unshift(z, 27) * pow(A, -1, WORD) % WORD
    return unshift(z, 30)


def reference(seed: int, n: int, stream: int = 0) -> list[float]:
    base = mix((seed + stream * GOLDEN) % WORD)
    words = [mix((base + i * GOLDEN) % WORD) for i in range(1, n + 1)]
    return [(2 * (word >> 41) + 1) / 2**24 for word in words]


def test_reference_gives_the_published_sequence() -> None:
    # splitmix64 from state 1234567, as listed on Rosetta Code.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [mix((1234567 + i * GOLDEN) % WORD) for i in (1, 2, 3)] == published
    assert unmix(mix(987654321)) == 987654321


@pytest.mark.parametrize("stream", [0, 1, 77])
def test_uniform_equals_big_integer_arithmetic(stream: int) -> None:
    seeds = [0, 1, -1, 42, 2**63 - 1, -(2**63), 1234567890123456789]
    draws = uniform(np.array(seeds, dtype=np.int64), 50, stream=stream)
    expected = [reference(seed % WORD, 50, stream) for seed in seeds]
    np.testing.assert_array_equal(draws.numpy().astype(np.float64), np.array(expected))


def test_unsigned_seeds_are_the_same_words() -> None:
    signed = np.array([-1, -5, 7], dtype=np.int64)
    assert torch.equal(uniform(signed, 9), uniform(signed.astype(np.uint64), 9))


@pytest.mark.parametrize(("word", "draw"), [(0, 2**-24), (WORD - 1, 1 - 2**-24)])
def test_the_interval_is_open(word: int, draw: float) -> None:
    # The seed whose first word is all zeros or all ones.
    seed = unmix((unmix(word) - GOLDEN) % WORD)
    drawn = uniform(np.array([seed], dtype=np.uint64), 1).item()
    assert drawn == draw
    assert 0 < drawn < 1


def test_draws_are_uniform_and_normal() -> None:
    seeds = np.arange(200)
    draws = uniform(seeds, 1000).numpy().ravel()
    assert stats.kstest(draws, "uniform").pvalue > 0.01
    normal = pixel_normal(torch.rand(20, 3, 64, 64), seeds[:20]).numpy().ravel()
    assert stats.kstest(normal, "norm").pvalue > 0.01
    assert abs(stats.kurtosis(normal)) < 5 * np.sqrt(24 / normal.size)


def largest_correlation(rows: np.ndarray) -> float:
    return float(np.abs(np.corrcoef(rows) - np.eye(len(rows))).max())


def test_neighbouring_seeds_streams_and_places_are_independent() -> None:
    n = 4000
    bound = 6 / np.sqrt(n)  # about 20,000 pairs: the largest of so many is near 4.5 / sqrt(n)
    seeds = uniform(np.arange(200), n).numpy()
    assert largest_correlation(seeds) < bound
    streams = np.stack([uniform(np.array([9]), n, stream=s).numpy()[0] for s in range(100)])
    assert largest_correlation(streams) < bound
    assert largest_correlation(seeds[:, :200].T) < 6 / np.sqrt(len(seeds))
    assert largest_correlation(np.stack([seeds[0, :-1], seeds[0, 1:]])) < bound


def test_grey_images_get_one_draw_and_colour_images_three() -> None:
    grey = torch.rand(1, 1, 50, 50, generator=torch.Generator().manual_seed(1)).expand(1, 3, 50, 50)
    colour = torch.rand(1, 3, 50, 50, generator=torch.Generator().manual_seed(2))
    seeds = np.array([8, 8])
    for draw in (pixel_uniform, pixel_normal):
        together = draw(torch.cat([grey, colour]), seeds)
        assert torch.equal(together[0], together[0, :1].expand(3, -1, -1))
        assert largest_correlation(together[1].flatten(1).numpy()) < 5 / 50
        assert torch.equal(together[:1], draw(grey, seeds[:1]))
        assert torch.equal(together[1:], draw(colour, seeds[1:]))


def test_streams_of_pixels_differ() -> None:
    image, seeds = torch.zeros(1, 3, 40, 40), np.array([3])
    rows = torch.stack([pixel_normal(image, seeds, stream=s)[0, 0].flatten() for s in (0, 1)])
    assert largest_correlation(rows.numpy()) < 5 / 40


def test_one_seed_per_image() -> None:
    with pytest.raises(InputError, match="one seed per image, got 1 for 2 images"):
        pixel_uniform(torch.zeros(2, 3, 8, 8), np.array([1]))
