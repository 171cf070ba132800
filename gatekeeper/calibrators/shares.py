"""Shares of right answers in ordered pools, without a hard 0 or 1."""

from __future__ import annotations

from gatekeeper.calibrators.inputs import Float64Array


def without_certainty(right: Float64Array, sizes: Float64Array) -> Float64Array:
    """Shares in which a first pool of 0 or a last one of 1 counts as (k + 1) / (n + 2).

    Args:
        right: Shape (M,), right answers in each pool; the shares do not fall.
        sizes: Shape (M,), answers in each pool, at least 1.

    Returns:
        Shape (M,), in (0, 1), non-decreasing: a counted end is held to the pool beside it.
    """
    shares = right / sizes
    counted = (right + 1.0) / (sizes + 2.0)
    lowest, highest = shares[0], shares[-1]
    if lowest == 0.0:
        shares[0] = min([counted[0], *shares[1:2]])
    if highest == 1.0:
        shares[-1] = max([counted[-1], *shares[-2:-1]])
    return shares
