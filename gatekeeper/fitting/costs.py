"""What restoring one image costs, in passes of the classifier: declared, not clocked in service."""

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

    def seconds(run: Callable[[], object]) -> float:
        run()  # the first pass warms up
        taken = []
        for _ in range(_REPEATS):
            start = clock()
            run()
            taken.append(clock() - start)
        return float(np.median(taken))

    costs = {name: float(given[name]) for name in sorted(restorers) if name in given}
    missing = sorted(set(restorers) - set(costs))
    if not missing:
        return costs
    # Logits and restored images are fetched, so that a device has finished before the clock stops.
    unit = seconds(lambda: classifier.look(images).logits)
    for name in missing:
        restore = restorers[name].restore
        costs[name] = rounded(seconds(lambda go=restore: go(images, seeds=seeds).cpu()) / unit)  # type: ignore[misc]
    return dict(sorted(costs.items()))


def rounded(share: float) -> float:
    """The nearest power of two, from 2⁻¹⁰ on.

    Example:
        >>> rounded(0.3), rounded(3.1), rounded(0.0)
        (0.25, 4.0, 0.0009765625)
    """
    return float(2.0 ** round(np.log2(max(share, 2.0**-10))))
