"""How often the online tests speak, on traffic that keeps the promise and on traffic that does not.

The monitor reads labels: simulated answers, wrong independently of one another. The conditions test
reads windows of images without labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from benchmarks.redraws import Ends
from gatekeeper.monitoring import WINDOW, ConditionsTest, labels_until_withdrawal
from gatekeeper.types import BoolArray, FloatArray, IntArray

_RESAMPLES = 1000


def withdrawals(
    risk: float,
    *,
    target_risk: float,
    confidence_level: float,
    n_runs: int,
    n_labels: int,
    seed: int,
) -> IntArray:
    """When monitors withdraw while every answer is wrong with the same probability.

    Args:
        risk: That probability.
        target_risk: What was certified, in (0, 1).
        confidence_level: Of the monitor, in (0, 1).
        n_runs: Independent streams of labels.
        n_labels: Labels per stream.
        seed: Of the streams.

    Returns:
        Shape (n_runs,), labels at withdrawal; 0 where it never came.
    """
    rng = np.random.default_rng([seed, 0x6C6162656C])
    wrong = rng.random((n_runs, n_labels)) < risk
    return labels_until_withdrawal(
        wrong, target_risk=target_risk, confidence_level=confidence_level
    )


def median_labels(found: IntArray, n_labels: int) -> Ends:
    """Median number of labels at withdrawal, with the exact interval of a median at 95 %.

    Args:
        found: Shape (R,), from :func:`withdrawals`.
        n_labels: Labels per stream; a stream without a withdrawal counts as one label more, so
            a median of ``n_labels + 1`` stands for "more than that".
    """
    ordered = np.sort(np.where(found > 0, found, n_labels + 1))
    below = int(stats.binom.ppf(0.025, len(ordered), 0.5))
    return Ends(
        value=float(np.median(ordered)),
        low=float(ordered[max(below - 1, 0)]),
        high=float(ordered[min(len(ordered) - below, len(ordered) - 1)]),
    )


def window_p_values(
    test: ConditionsTest, signals: FloatArray, reliability: FloatArray, order: IntArray
) -> FloatArray:
    """P-value of every whole window of :data:`WINDOW` images.

    Args:
        test: Fitted.
        signals: Shape (N, D).
        reliability: Raw reliabilities, shape (N,).
        order: In which the N images arrive.

    Returns:
        Shape (N // WINDOW,), in [0, 1].
    """
    dealt = order[: len(order) // WINDOW * WINDOW].reshape(-1, WINDOW)
    return np.array([test.p_value(signals[rows], reliability[rows]) for rows in dealt])


def shuffled(n: int, seed: int) -> IntArray:
    """An order of n images, so that files sorted by class do not make windows of one class."""
    return np.random.default_rng([seed, 0x77696E]).permutation(n)


def family_power(flags: BoolArray, families: Sequence[str]) -> dict[str, float]:
    """Share of flagged windows per family, sorted by name.

    Args:
        flags: Shape (C, W), one row per cell.
        families: Of each cell, C names.
    """
    of_cell = np.array(families)
    return {name: float(flags[of_cell == name].mean()) for name in sorted(set(families))}


def mean_power(flags: Mapping[str, BoolArray], families: Mapping[str, Sequence[str]]) -> Ends:
    """Mean over gates and families of the share of flagged windows.

    The windows of a cell hold the same images as those of every other cell, so the interval (95 %,
    percentiles) redraws windows, each with all its cells and gates.

    Args:
        flags: Gate -> shape (C, W).
        families: Gate -> family of each of its C cells.
    """
    per_window = []
    for gate, found in flags.items():
        of_cell = np.array(families[gate])
        names = sorted(set(families[gate]))
        per_window.append(np.mean([found[of_cell == n].mean(axis=0) for n in names], axis=0))
    shares = np.mean(per_window, axis=0)
    rng = np.random.default_rng(0)
    means = shares[rng.integers(len(shares), size=(_RESAMPLES, len(shares)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Ends(value=float(shares.mean()), low=float(low), high=float(high))
