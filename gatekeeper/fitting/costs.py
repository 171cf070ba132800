"""What restoring and looking cost, in passes of the classifier: declared, not clocked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

from gatekeeper.protocols import Classifier, Restorer
from gatekeeper.types import IntArray

_REPEATS = 3


def declared_costs(
    restorers: Mapping[str, Restorer],
    classifier: Classifier,
    images: Tensor,
    seeds: IntArray,
    *,
    given: Mapping[str, float],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """The cost of each restorer: as given, or measured on a batch and rounded to a power of two.

    The rounding is coarse on purpose: what is frozen here should not turn on a busy moment.

    Args:
        restorers: By name.
        classifier: Its pass over the same images is the unit.
        images: Shape (B, 3, H, W).
        seeds: Shape (B,).
        given: Restorer -> cost that is not measured.
        clock: Seconds, rising.
    """
    costs = {name: float(given[name]) for name in sorted(restorers) if name in given}
    missing = sorted(set(restorers) - set(costs))
    if not missing:
        return costs
    # Logits and restored images are fetched, so that a device has finished before the clock stops.
    unit = _seconds(lambda: classifier.look(images).logits, clock)
    for name in missing:
        restore = restorers[name].restore
        taken = _seconds(lambda go=restore: go(images, seeds=seeds).cpu(), clock)  # type: ignore[misc]
        costs[name] = rounded(taken / unit)
    return dict(sorted(costs.items()))


def look_cost(
    classifier: Classifier,
    second_opinion: Classifier | None,
    images: Tensor,
    *,
    n_views: int,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """The cost of a look, in passes of the classifier: its own, its views', the second opinion's.

    Args:
        classifier: Its pass over the images is the unit.
        second_opinion: Asked once per look; its share is measured and rounded to a power of two.
            None costs nothing.
        images: Shape (B, 3, H, W).
        n_views: Views that the classifier is asked about, too, one pass each.
        clock: Seconds, rising.
    """
    passes = 1.0 + n_views
    if second_opinion is None:
        return passes
    other = _seconds(lambda: second_opinion.look(images).logits, clock)
    return passes + rounded(other / _seconds(lambda: classifier.look(images).logits, clock))


def _seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """Median of several passes."""
    run()  # the first pass warms up
    taken = []
    for _ in range(_REPEATS):
        start = clock()
        run()
        taken.append(clock() - start)
    return float(np.median(taken))


def rounded(share: float) -> float:
    """The nearest power of two, from 2⁻¹⁰ on.

    Example:
        >>> rounded(0.3), rounded(3.1), rounded(0.0)
        (0.25, 4.0, 0.0009765625)
    """
    return float(2.0 ** round(np.log2(max(share, 2.0**-10))))
