"""The level of an image, estimated from its signals: a ridge regression on distorted images.

Only what leaves a trace in a single image can be told: noise and blur well, rotation hardly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.levels.accuracy import FixedSet
from gatekeeper.levels.distortion import distort
from gatekeeper.levels.space import LevelSpace
from gatekeeper.signals import N_SCALARS, read_signals
from gatekeeper.types import FloatArray

_LEVELS_PER_IMAGE = 4
_RIDGE = 1.0


class LevelEstimator:
    """Signals of an image -> the level at which it seems to be distorted.

    Args:
        space: The level space.

    Source:
        Ours; ridge regression on the standardised scalar signals, their squares, and a constant.
    """

    def __init__(self, space: LevelSpace) -> None:
        self.space = space
        self._mean: FloatArray | None = None
        self._std: FloatArray | None = None
        self._weights: FloatArray | None = None
        self.explained: FloatArray | None = None

    def fit(self, images: FixedSet, *, seed: int = 0) -> LevelEstimator:
        """Distort every image at four random levels and learn to tell them.

        Every fourth image is left out and judges: ``explained`` is the share of each coordinate's
        variance that is explained on those, 1 at best, 0 or less where nothing can be told.

        Raises:
            InputError: there are fewer than eight images.
        """
        n = len(images)
        if n < 8:
            raise InputError(f"expected at least 8 images to tell levels by, got {n}")
        generator = np.random.default_rng(seed)
        rows = np.tile(np.arange(n), _LEVELS_PER_IMAGE)
        points = generator.random((len(rows), self.space.dimension))
        signals = np.concatenate(
            [
                _signals_at(images, row, self.space.named(point), number)
                for number, (row, point) in enumerate(zip(rows, points, strict=True))
            ]
        )
        judged = rows % 4 == 3
        self._learn(signals[~judged], points[~judged])
        error = ((points - self._unit(signals))[judged] ** 2).mean(axis=0)
        self.explained = 1.0 - error / points[judged].var(axis=0)
        return self

    def level_of(self, signals: FloatArray) -> FloatArray:
        """Estimated levels, in the coordinates' own units, inside their ranges.

        Args:
            signals: Shape (B, D), as from ``gatekeeper.signals.read_signals``.

        Returns:
            Shape (B, dimension).

        Raises:
            NotFittedError: called before :meth:`fit`.
        """
        return self.space.from_unit(self.point_of(signals))

    def point_of(self, signals: FloatArray) -> FloatArray:
        """The same in unit coordinates, shape (B, dimension), in [0, 1].

        Raises:
            NotFittedError: called before :meth:`fit`.
        """
        return np.clip(self._unit(signals), 0.0, 1.0)

    def state(self) -> dict[str, FloatArray]:
        """What was learned, as plain arrays.

        Raises:
            NotFittedError: called before :meth:`fit`.
        """
        if self._mean is None or self._std is None or self._weights is None:
            raise NotFittedError("a level estimator needs fit before state")
        return {"mean": self._mean, "std": self._std, "weights": self._weights}

    @classmethod
    def from_state(cls, space: LevelSpace, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`; ``explained`` is known after a fit only."""
        built = cls(space)
        built._mean, built._std = np.asarray(state["mean"]), np.asarray(state["std"])
        built._weights = np.asarray(state["weights"])
        return built

    def _learn(self, signals: FloatArray, points: FloatArray) -> None:
        scalars = np.asarray(signals[:, :N_SCALARS], dtype=np.float64)
        self._mean, self._std = scalars.mean(axis=0), scalars.std(axis=0) + 1e-9
        inputs = self._inputs(signals)
        penalty = _RIDGE * np.eye(inputs.shape[1])
        penalty[-1, -1] = 0.0
        self._weights = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ points)

    def _inputs(self, signals: FloatArray) -> FloatArray:
        if self._mean is None or self._std is None:
            raise NotFittedError("a level estimator needs fit before level_of")
        scalars = np.asarray(signals, dtype=np.float64)[:, :N_SCALARS]
        standard = np.clip((scalars - self._mean) / self._std, -5.0, 5.0)
        return np.concatenate([standard, standard**2, np.ones((len(standard), 1))], axis=1)

    def _unit(self, signals: FloatArray) -> FloatArray:
        inputs = self._inputs(signals)
        if self._weights is None:
            raise NotFittedError("a level estimator needs fit before level_of")
        return np.asarray(inputs @ self._weights)


def _signals_at(images: FixedSet, row: int, level: dict[str, float], number: int) -> FloatArray:
    """Signals of one image at a level; each look has noise of its own."""
    seed = images.seeds[row : row + 1] + number
    return read_signals(distort(images.images[row : row + 1], level, seed))
