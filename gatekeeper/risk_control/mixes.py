"""Certify rows of another traffic mix: drawn again by rejection, never weighted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gatekeeper.errors import InputError
from gatekeeper.types import FloatArray, IntArray

_UNIT = 2.0**-53
_PURPOSE = np.uint64(0x6D69782074726166)


def resample_to_mix(
    conditions_of_rows: npt.ArrayLike,
    source_mix: Mapping[str, float],
    target_mix: Mapping[str, float],
    seeds: npt.ArrayLike,
) -> IntArray:
    """Rows of a certify stream that, taken alone, are a stream of another mix.

    Each row is kept with probability (target share / source share of its condition) / c, where c
    is the largest such ratio, by a draw from the row's own seed. What is kept are independent
    images under the target mix, each at most once, so the exact binomial holds for them as it
    stands. Errors weighted by target / source share would not be binomial: a few heavy rows carry
    the sum, and the promise breaks.

    Args:
        conditions_of_rows: Condition of each row, strings, shape (N,); one row per image.
        source_mix: Condition -> the share with which it was drawn, positive where rows have it;
            sums to 1. The declared shares, not the counted ones.
        target_mix: Condition -> its share in the other traffic; sums to 1.
        seeds: One seed per row, integers, shape (N,), unlike between rows. The draw is hashed for
            this purpose, so the seeds that drew the conditions may be used again.

    Returns:
        Kept rows, rising, shape (n,); N / c on average. The same whatever other rows there are.

    Raises:
        InputError: the target mix has a condition that the source mix does not ("cannot
            certify"), a mix is none, a row's condition is not of the source mix, or shapes differ.

    Source:
        von Neumann 1951, "Various techniques used in connection with random digits".
    """
    conditions, own_seeds = np.asarray(conditions_of_rows), np.asarray(seeds)
    if conditions.ndim != 1 or own_seeds.shape != conditions.shape:
        raise InputError(
            "expected one condition and one seed per row, got "
            f"{conditions.shape} and {own_seeds.shape}"
        )
    if not np.issubdtype(own_seeds.dtype, np.integer):
        raise InputError(f"seeds must be integers, got {own_seeds.dtype}")
    source, target = (
        _drawn(mix, name) for mix, name in ((source_mix, "source"), (target_mix, "target"))
    )
    if unseen := sorted(set(target) - set(source)):
        raise InputError(
            f"cannot certify: the target mix has {', '.join(unseen)}, which the certify stream "
            "was not drawn from; draw a certify stream that includes them"
        )
    if unknown := sorted(set(conditions.tolist()) - set(source)):
        raise InputError(
            f"rows are under {', '.join(unknown)}, which the source mix does not have; give the "
            "mix that they were drawn from"
        )
    ratios = {condition: target.get(condition, 0.0) / source[condition] for condition in source}
    largest = max(ratios.values())
    keep_with = np.array([ratios[condition] / largest for condition in conditions.tolist()])
    return np.flatnonzero(_uniform(own_seeds) < keep_with)


def _drawn(mix: Mapping[str, float], name: str) -> dict[str, float]:
    """The conditions of a mix that occur in it."""
    shares = list(mix.values())
    if not all(share >= 0.0 for share in shares) or not math.isclose(math.fsum(shares), 1.0):
        raise InputError(
            f"the shares of the {name} mix must be at least 0 and sum to 1, got {dict(mix)}"
        )
    return {condition: share for condition, share in mix.items() if share > 0.0}


def _uniform(seeds: IntArray) -> FloatArray:
    """One number in [0, 1) per seed, shape (N,): splitmix64 of the seed and of this purpose."""
    words = _mixed(_mixed(seeds.astype(np.uint64)) ^ _PURPOSE)
    return (words >> np.uint64(11)).astype(np.float64) * _UNIT


def _mixed(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A step of splitmix64 (Steele, Lea & Flood 2014), wrapping at 64 bits."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
