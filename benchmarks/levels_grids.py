"""Accuracy of every pair at a pool of levels to try and at a disjoint grid that judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.kept import Store
from benchmarks.levels_pairs import DEVELOPMENT, Pair
from gatekeeper.cli.progress import Bars
from gatekeeper.levels import (
    AccuracyOracle,
    counts_at,
    grid_points,
    is_reliable,
    parse_space,
    sobol_points,
)
from gatekeeper.types import BoolArray, FloatArray, IntArray

SPEC = "rotation=-60:60,brightness=0.4:1.6,noise_sigma=0:0.3"
SPACE = parse_space(SPEC)

POOL_SIZE, QUICK_POOL = 640, 160
PER_AXIS, QUICK_PER_AXIS = 10, 6

THRESHOLDS = tuple(step / 100 for step in range(10, 100))
SHARES = (0.05, 0.15)
"""Shares of reliable levels for which thresholds are looked for."""
SHARE_RANGE = (0.02, 0.20)
LEAST_MINORITY, QUICK_LEAST = 50, 8

_CHUNK = 100
_POOL_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """One pair at one threshold.

    Attributes:
        pair: Name of the pair.
        development: Whether the configuration is named on it.
        threshold: h.
        n_images: Images per level.
        pool: Levels that may be tried, shape (M, 3), in unit coordinates.
        pool_counts: Right answers at each.
        grid: Levels that judge, shape (G, 3); none of them is in the pool.
        grid_counts: Right answers at each.
    """

    pair: str
    development: bool
    threshold: float
    n_images: int
    pool: FloatArray
    pool_counts: IntArray
    grid: FloatArray
    grid_counts: IntArray

    @property
    def grid_reliable(self) -> BoolArray:
        """Labels of the grid, shape (G,)."""
        return is_reliable(self.grid_counts, self.n_images, self.threshold)

    @property
    def pool_reliable(self) -> BoolArray:
        """Labels of the pool, shape (M,)."""
        return is_reliable(self.pool_counts, self.n_images, self.threshold)

    @property
    def minority(self) -> bool:
        """The rarer label on the grid."""
        return 2 * int(self.grid_reliable.sum()) <= len(self.grid)

    @property
    def minority_share(self) -> float:
        """Its share of the grid."""
        return float((self.grid_reliable == self.minority).mean())


def pool_and_grid(*, quick: bool) -> tuple[FloatArray, FloatArray]:
    """Levels to try, from a scrambled Sobol sequence, and the regular grid that judges."""
    per_axis = QUICK_PER_AXIS if quick else PER_AXIS
    pool = sobol_points(SPACE.dimension, QUICK_POOL if quick else POOL_SIZE, seed=_POOL_SEED)
    return pool, grid_points([per_axis] * SPACE.dimension)


def measured(pair: Pair, points: FloatArray, store: Store, bars: Bars) -> IntArray:
    """Right answers of a pair at some levels, chunk by chunk, as kept or counted now."""
    oracle = AccuracyOracle(pair.classifier, pair.images, SPACE)
    found = []
    for start in range(0, len(points), _CHUNK):
        chunk = points[start : start + _CHUNK]
        facts = {"of": oracle.identity, "levels": SPACE.from_unit(chunk).tolist()}
        name = f"grid-{pair.name.replace('/', '-')}"
        kept = store.arrays(name, facts, lambda part=chunk: {"counts": counts_at(oracle, part)})
        found.append(kept["counts"])
        bars.advance(len(chunk))
    return np.concatenate(found).astype(np.int64)


def problems(pairs: Sequence[Pair], store: Store, *, quick: bool) -> list[Problem]:
    """Every pair at the thresholds at which one label is rare."""
    pool, grid = pool_and_grid(quick=quick)
    found = []
    with Bars() as bars:
        for pair in pairs:
            bars.start(pair.name, len(pool) + len(grid))
            pool_counts = measured(pair, pool, store, bars)
            grid_counts = measured(pair, grid, store, bars)
            n_images = len(pair.images)
            least = QUICK_LEAST if quick else LEAST_MINORITY
            found += [
                Problem(
                    pair=pair.name,
                    # The quick run has no other data set: one of the two pairs judges.
                    development=pair.development and not (quick and pair.name == DEVELOPMENT[1]),
                    threshold=threshold,
                    n_images=n_images,
                    pool=pool,
                    pool_counts=pool_counts,
                    grid=grid,
                    grid_counts=grid_counts,
                )
                for threshold in thresholds(grid_counts, n_images, least)
            ]
    return found


def thresholds(grid_counts: IntArray, n_images: int, least: int) -> list[float]:
    """For each of ``SHARES`` the threshold, in whole per cent, that comes nearest to it.

    Only those count at which reliable levels are 2 to 20 % of the grid and at least ``least``.

    Args:
        grid_counts: Right answers at every level of the grid.
        n_images: Images per level.
        least: Fewest reliable levels.
    """
    shares = {}
    for threshold in THRESHOLDS:
        labels = is_reliable(grid_counts, n_images, threshold)
        share = float(labels.mean())
        if SHARE_RANGE[0] <= share <= SHARE_RANGE[1] and labels.sum() >= least:
            shares[threshold] = share
    if not shares:
        return []
    nearest = [min(shares, key=lambda h, s=wanted: abs(shares[h] - s)) for wanted in SHARES]
    return sorted(set(nearest))
