"""Exact bounds on proportions."""

from __future__ import annotations

from scipy import special

from gatekeeper.errors import InputError
from gatekeeper.metrics.inputs import check_confidence_level


def exact_proportion_interval(
    count: int, n: int, confidence_level: float = 0.95
) -> tuple[float, float]:
    """Two-sided exact interval of a proportion.

    Args:
        count: Successes, 0…n.
        n: Independent trials, at least 1.
        confidence_level: In (0, 1).

    Returns:
        (low, high), in [0, 1]; covers the truth with at least the level.

    Raises:
        InputError: n is below 1, count is outside 0…n, or the level is outside (0, 1).

    Example:
        >>> [round(end, 4) for end in exact_proportion_interval(0, 10)]
        [0.0, 0.3085]

    Source:
        Clopper & Pearson 1934.
    """
    tail = (1.0 - check_confidence_level(confidence_level)) / 2.0
    _check_counts(count, n)
    low = float(special.betaincinv(count, n - count + 1, tail)) if count else 0.0
    return low, _upper_bound(count, n, tail)


def exact_upper_bound(count: int, n: int, confidence_level: float = 0.95) -> float:
    """One-sided exact upper bound of a proportion.

    Args:
        count: Successes, 0…n.
        n: Independent trials, at least 1.
        confidence_level: In (0, 1).

    Returns:
        In [0, 1]; at or above the truth with at least the level.

    Raises:
        InputError: n is below 1, count is outside 0…n, or the level is outside (0, 1).

    Example:
        >>> round(exact_upper_bound(4, 10_000), 6)
        0.000915

    Source:
        Clopper & Pearson 1934.
    """
    check_confidence_level(confidence_level)
    _check_counts(count, n)
    return _upper_bound(count, n, 1.0 - confidence_level)


def _upper_bound(count: int, n: int, tail: float) -> float:
    """The proportion at which ``count`` or fewer of n has probability ``tail``."""
    return 1.0 if count == n else float(special.betaincinv(count + 1, n - count, 1.0 - tail))


def _check_counts(count: int, n: int) -> None:
    """Refuse counts that no experiment could give."""
    if n < 1 or not 0 <= count <= n:
        raise InputError(f"expected 0 <= count <= n with n at least 1, got count={count}, n={n}")
