"""What is known about a classifier's accuracy over a level space, from the levels tried so far."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.levels.gaussian_process import GaussianProcess, Hyperparameters, Posterior
from gatekeeper.types import BoolArray, FloatArray, IntArray


def least_correct(threshold: float, n_images: int) -> int:
    """The smallest number of right answers with which a level is reliable: a(c) ≥ h.

    Args:
        threshold: h, in (0, 1].
        n_images: Images that are looked at per level.

    Raises:
        InputError: the threshold is outside (0, 1].

    Example:
        >>> least_correct(0.95, 200), least_correct(0.955, 200)
        (190, 191)
    """
    if not 0.0 < threshold <= 1.0:
        raise InputError(f"expected a threshold on the accuracy in (0, 1], got {threshold:g}")
    # The small number keeps 0.95 · 200 = 190 from becoming 191 by rounding.
    return math.ceil(threshold * n_images - 1e-9)


def is_reliable(n_correct: IntArray, n_images: int, threshold: float) -> BoolArray:
    """Label of levels: whether a(c) ≥ h, equality included; shape as ``n_correct``."""
    return np.asarray(n_correct) >= least_correct(threshold, n_images)


def stabilised(n_correct: FloatArray, n_images: int) -> FloatArray:
    """Angle of a count, whose binomial variance is nearly 1 / (4 n + 2) whatever the accuracy.

    Source:
        Anscombe 1948, Biometrika 35, 246-254: arcsin of √((k + 3/8) / (n + 3/4)).
    """
    share = (np.asarray(n_correct, dtype=np.float64) + 0.375) / (n_images + 0.75)
    return np.asarray(np.arcsin(np.sqrt(share)))


def accuracy_of_angle(angle: FloatArray, n_images: int) -> FloatArray:
    """The inverse of :func:`stabilised`, as a share of right answers in [0, 1]."""
    share = np.sin(np.clip(angle, 0.0, np.pi / 2)) ** 2
    return np.clip((share * (n_images + 0.75) - 0.375) / n_images, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """What the process says of M levels about one threshold.

    Attributes:
        margin: Mean minus threshold, as angles; at least 0 where the rule says reliable.
        std: Standard deviation of the accuracy's angle, without noise.
        probability: That the accuracy on the fixed set reaches the threshold, in [0, 1].
    """

    margin: FloatArray
    std: FloatArray
    probability: FloatArray


class AccuracyProcess:
    """A Gaussian process on the angle of the accuracy, with binomial noise.

    Counts are turned into angles (Anscombe), which makes the binomial variance the same for every
    accuracy: 1 / (4 n + 2). How much of it is taken is fitted, at most all of it: neighbouring
    levels are judged on the same images with the same noise, so that they scatter less about a
    smooth surface than independent samples would.

    Args:
        n_images: Images per level.

    Raises:
        InputError: there is no image.
    """

    def __init__(self, n_images: int) -> None:
        if n_images < 1:
            raise InputError(f"expected at least one image per level, got {n_images}")
        self.n_images = n_images
        self._process = GaussianProcess()

    @property
    def noise_variance(self) -> float:
        """Binomial variance of an angle."""
        return 1.0 / (4.0 * self.n_images + 2.0)

    @property
    def hyperparameters(self) -> Hyperparameters | None:
        """Those in force; None before the first fit."""
        return self._process.hyperparameters

    def fit(
        self,
        points: FloatArray,
        n_correct: IntArray,
        *,
        hyperparameters: Hyperparameters | None = None,
        start: Hyperparameters | None = None,
    ) -> AccuracyProcess:
        """Condition on levels tried, shape (n, d) in unit coordinates, and right answers (n,).

        Args:
            points: The levels.
            n_correct: Right answers at each, of ``n_images``.
            hyperparameters: Taken as they are; None fits them.
            start: Where their search begins.

        Raises:
            InputError: a count is outside 0…``n_images``, or shapes differ.
        """
        counts = np.asarray(n_correct)
        if len(counts) and not 0 <= int(counts.min()) <= int(counts.max()) <= self.n_images:
            raise InputError(
                f"expected right answers in 0…{self.n_images}, got {int(counts.min())}…"
                f"{int(counts.max())}"
            )
        angles = stabilised(counts.astype(np.float64), self.n_images)
        noise = np.full(len(angles), self.noise_variance)
        self._process.fit(points, angles, noise, hyperparameters=hyperparameters, start=start)
        return self

    def posterior(self, points: FloatArray) -> Posterior:
        """Mean and standard deviation of the angle at points in unit coordinates, (M, d)."""
        return self._process.posterior(points)

    def accuracy(self, points: FloatArray) -> FloatArray:
        """Estimated accuracy at points in unit coordinates, shape (M,), in [0, 1]."""
        return accuracy_of_angle(self.posterior(points).mean, self.n_images)

    def verdict(self, points: FloatArray, threshold: float) -> Verdict:
        """How sure it is that the accuracy at points (M, d) reaches the threshold.

        Raises:
            InputError: the threshold is outside (0, 1].
            NotFittedError: called before :meth:`fit`.
        """
        chosen = self.hyperparameters
        if chosen is None:
            raise NotFittedError("an accuracy process needs fit before verdict")
        known = self.posterior(points)
        # Half an answer below the least count that is enough: counts are whole.
        limit = stabilised(np.array(least_correct(threshold, self.n_images) - 0.5), self.n_images)
        margin = known.mean - limit
        total = np.sqrt(known.std**2 + chosen.noise_share * self.noise_variance)
        return Verdict(margin=margin, std=known.std, probability=ndtr(margin / total))
