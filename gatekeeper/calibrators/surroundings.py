"""Contexts that were seen: coordinates for them, regions of them, how far out a new one lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from gatekeeper.calibrators.inputs import Float64Array
from gatekeeper.errors import InputError
from gatekeeper.types import IntArray

_MOST_COORDINATES = 40
# A standardised column beyond this counts as this: no single column carries a context off.
_MOST_SPREADS = 5.0
# Of the variance of one standardised column. A direction that varies less is rounding, which
# would be blown up to spread 1.
_LEAST_VARIANCE = 1e-3
_NEIGHBOUR = 5
_MOST_REFERENCES = 500
_ORDINARY = 0.95
_BLOCK = 256
_ROUNDS = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coordinates:
    """Standardised columns of a context, clamped and turned to principal axes of spread 1.

    Attributes:
        centre: Shape (C,), mean of each column.
        scale: Shape (C,), one over its standard deviation; 0 for a constant column.
        axes: Shape (C, P), what each standardised column adds to each coordinate.
    """

    centre: Float64Array
    scale: Float64Array
    axes: Float64Array

    @classmethod
    def of(cls, context: Float64Array) -> Self:
        """The leading coordinates of these contexts, at most 40.

        Args:
            context: Shape (N, C), N at least 1.
        """
        centre, spread = context.mean(axis=0), context.std(axis=0)
        constant = spread <= np.maximum(1e-9 * np.abs(context).max(axis=0), 1e-100)
        scale = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, spread))
        columns = np.clip((context - centre) * scale, -_MOST_SPREADS, _MOST_SPREADS)
        variances, turned = np.linalg.eigh(columns.T @ columns / len(columns))
        kept = np.flatnonzero(variances > _LEAST_VARIANCE)[::-1][:_MOST_COORDINATES]
        return cls(centre=centre, scale=scale, axes=turned[:, kept] / np.sqrt(variances[kept]))

    @classmethod
    def unused(cls, n_columns: int) -> Self:
        """No coordinates, for contexts of so many columns that are not looked at."""
        return cls(
            centre=np.zeros(n_columns), scale=np.zeros(n_columns), axes=np.zeros((n_columns, 0))
        )

    def __call__(self, context: Float64Array) -> Float64Array:
        """Shape (N, P); a row depends on its own values alone, to the last bit.

        Raises:
            InputError: the context has not the columns of fit.
        """
        if context.shape[1] != len(self.centre):
            raise InputError(
                f"expected context with the {len(self.centre)} columns of fit, "
                f"got {context.shape[1]} columns"
            )
        # Column by column: a matrix product may add in another order for another batch size.
        found = np.zeros((len(context), self.axes.shape[1]))
        for column, centre, scale, axis in zip(
            context.T, self.centre, self.scale, self.axes, strict=True
        ):
            found += (
                np.clip((column - centre) * scale, -_MOST_SPREADS, _MOST_SPREADS)[:, None] * axis
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """How far a point lies beyond those that were seen.

    The distance is that to the fifth nearest of at most 500 remembered points, divided by what
    95 % of other seen points stay below. 0 excess is ordinary, 1 is twice as far out.

    Attributes:
        references: Shape (M, P).
        ordinary: The distance that counts as ordinary, above 0.
    """

    references: Float64Array
    ordinary: float

    @classmethod
    def of(cls, points: Float64Array, *, seed: int) -> Self:
        """Remember some of these points.

        Args:
            points: Shape (N, P), N at least 10.
            seed: Of the choice.
        """
        order = np.random.default_rng(seed).permutation(len(points))
        n_references = min(_MOST_REFERENCES, len(points) // 2)
        references = points[np.sort(order[:n_references])]
        others = points[order[n_references : n_references + 2 * _MOST_REFERENCES]]
        ordinary = float(np.quantile(_distance(others, references), _ORDINARY))
        return cls(references=references, ordinary=max(ordinary, 1e-9))

    def excess(self, points: Float64Array) -> Float64Array:
        """How far beyond ordinary each point lies, shape (N,), at least 0."""
        return np.maximum(_distance(points, self.references) / self.ordinary - 1.0, 0.0)


def _distance(points: Float64Array, references: Float64Array) -> Float64Array:
    """To the fifth nearest reference, shape (N,)."""
    found = np.empty(len(points))
    for start in range(0, len(points), _BLOCK):
        rows = points[start : start + _BLOCK]
        squared = np.zeros((len(rows), len(references)))
        for mine, theirs in zip(rows.T, references.T, strict=True):
            squared += np.square(mine[:, None] - theirs)
        nearest = np.partition(squared, _NEIGHBOUR - 1, axis=1)[:, _NEIGHBOUR - 1]
        found[start : start + _BLOCK] = np.sqrt(nearest)
    return found


def regions(points: Float64Array, n_regions: int, *, seed: int) -> IntArray:
    """Group points that lie together (k-means).

    Args:
        points: Shape (N, P), N at least 1.
        n_regions: Most regions, at least 1.
        seed: Of the first centres.

    Returns:
        Shape (N,), the region of each point, in 0…n_regions−1; fewer where fewer points differ.

    Source:
        Lloyd 1982, "Least squares quantization in PCM"; first centres by Arthur & Vassilvitskii
        2007, "k-means++".
    """
    rng = np.random.default_rng(seed)
    centres = points[[int(rng.integers(len(points)))]]
    nearest = _squared_to(points, centres).min(axis=0)
    while len(centres) < n_regions and nearest.sum() > 0.0:
        further = points[[int(rng.choice(len(points), p=nearest / nearest.sum()))]]
        centres = np.concatenate([centres, further])
        nearest = np.minimum(nearest, _squared_to(points, further)[0])
    region = np.argmin(_squared_to(points, centres), axis=0)
    for _ in range(_ROUNDS):
        members = [region == k for k in range(len(centres))]
        centres = np.stack(
            [
                points[inside].mean(axis=0) if inside.any() else centre
                for inside, centre in zip(members, centres, strict=True)
            ]
        )
        region = np.argmin(_squared_to(points, centres), axis=0)
    return np.asarray(region)


def _squared_to(points: Float64Array, centres: Float64Array) -> Float64Array:
    """Squared distances, shape (M, N)."""
    return np.stack([np.square(points - centre).sum(axis=1) for centre in centres])
