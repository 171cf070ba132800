"""Gaussian-process regression: constant mean, Matérn 5/2 with one length per axis, known noise.

Noise variances are given point by point; one share of them, at most all, is fitted with the other
hyperparameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import FloatArray

_JITTER = 1e-9
_LENGTH_BOUNDS = (0.03, 10.0)
_SIGNAL_BOUNDS = (1e-3, 3.0)
_SHARE_BOUNDS = (1e-3, 1.0)
_LENGTH_PRIOR = (np.log(0.5), 1.0)
_ROOT5 = np.sqrt(5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """What the kernel and the noise are made of.

    Attributes:
        signal_std: Prior standard deviation of the function.
        lengths: Length of each axis over which the function changes, in unit coordinates.
        noise_share: Share of the given noise variances that is taken, in (0, 1].
    """

    signal_std: float
    lengths: tuple[float, ...]
    noise_share: float

    def to_log(self) -> FloatArray:
        """As the vector that is optimised: logarithms of std, lengths, share."""
        return np.log([self.signal_std, *self.lengths, self.noise_share])

    @staticmethod
    def from_log(vector: FloatArray) -> Hyperparameters:
        """The inverse of :meth:`to_log`."""
        values = np.exp(vector)
        return Hyperparameters(
            signal_std=float(values[0]),
            lengths=tuple(float(value) for value in values[1:-1]),
            noise_share=float(values[-1]),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Posterior:
    """Mean and standard deviation of the function, without noise, shapes (M,)."""

    mean: FloatArray
    std: FloatArray


class GaussianProcess:
    """Exact Gaussian-process regression for a few hundred points.

    Source:
        Rasmussen, Williams 2006, algorithm 2.1 and section 5.4.1. The constant mean is the
        generalised least-squares estimate; lengths have a log-normal prior with median 0.5 of the
        range, which only matters while there are few points.
    """

    def __init__(self) -> None:
        self.hyperparameters: Hyperparameters | None = None
        self._fit: _Fit | None = None

    def fit(
        self,
        points: FloatArray,
        values: FloatArray,
        noise_variance: FloatArray,
        *,
        hyperparameters: Hyperparameters | None = None,
        start: Hyperparameters | None = None,
    ) -> GaussianProcess:
        """Condition on observations.

        Args:
            points: Shape (n, d), in unit coordinates, n at least 2.
            values: Shape (n,).
            noise_variance: Variance of each value, shape (n,), at least 0.
            hyperparameters: Taken as they are; None fits them (largest posterior density).
            start: Where the search begins; at a standard point by default.

        Raises:
            InputError: shapes differ, there are fewer than two points, or a number is not finite.
        """
        x, y, v = _checked(points, values, noise_variance)
        chosen = hyperparameters or _search(x, y, v, start)
        self.hyperparameters = chosen
        self._fit = _Fit.of(x, y, v, chosen)
        return self

    def posterior(self, points: FloatArray) -> Posterior:
        """What is known about the function at other points, shape (M, d).

        Raises:
            NotFittedError: called before :meth:`fit`.
        """
        if self._fit is None or self.hyperparameters is None:
            raise NotFittedError("a Gaussian process needs fit before posterior")
        kernel, _ = _matern(self._fit.points, np.asarray(points, float), self.hyperparameters)
        mean = self._fit.mean + kernel.T @ self._fit.weights
        explained = solve_triangular(self._fit.factor, kernel, lower=True)
        variance = self.hyperparameters.signal_std**2 - np.einsum("ij,ij->j", explained, explained)
        return Posterior(mean=mean, std=np.sqrt(np.maximum(variance, 0.0)))

    def log_likelihood(self) -> float:
        """Log marginal likelihood of the observations.

        Raises:
            NotFittedError: called before :meth:`fit`.
        """
        if self._fit is None:
            raise NotFittedError("a Gaussian process needs fit before log_likelihood")
        return self._fit.log_likelihood


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fit:
    points: FloatArray
    factor: FloatArray
    weights: FloatArray
    mean: float
    log_likelihood: float

    @staticmethod
    def of(x: FloatArray, y: FloatArray, v: FloatArray, chosen: Hyperparameters) -> _Fit:
        kernel, _ = _matern(x, x, chosen)
        diagonal = chosen.noise_share * v + _JITTER * chosen.signal_std**2
        factor = np.asarray(cholesky(kernel + np.diag(diagonal), lower=True))
        ones = cho_solve((factor, True), np.ones(len(y)))
        mean = float(ones @ y / ones.sum())
        weights = np.asarray(cho_solve((factor, True), y - mean))
        fit = -0.5 * (y - mean) @ weights - np.log(np.diag(factor)).sum()
        return _Fit(
            points=x,
            factor=factor,
            weights=weights,
            mean=mean,
            log_likelihood=float(fit - 0.5 * len(y) * np.log(2.0 * np.pi)),
        )


def _matern(a: FloatArray, b: FloatArray, chosen: Hyperparameters) -> tuple[FloatArray, FloatArray]:
    """Kernel (n, m), and the factor that derivatives by log lengths share."""
    lengths = np.array(chosen.lengths)
    distance = np.sqrt(_squares(a / lengths, b / lengths))
    scaled = _ROOT5 * distance
    decay = chosen.signal_std**2 * np.exp(-scaled)
    return decay * (1.0 + scaled + scaled**2 / 3.0), decay * (5.0 / 3.0) * (1.0 + scaled)


def _squares(a: FloatArray, b: FloatArray) -> FloatArray:
    total = np.zeros((len(a), len(b)))
    for axis in range(a.shape[1]):
        total += (a[:, axis, None] - b[None, :, axis]) ** 2
    return total


def _objective(
    vector: FloatArray, x: FloatArray, y: FloatArray, v: FloatArray
) -> tuple[float, FloatArray]:
    """Negative log posterior density of log hyperparameters, and its gradient."""
    chosen = Hyperparameters.from_log(vector)
    fit = _Fit.of(x, y, v, chosen)
    kernel, shared = _matern(x, x, chosen)
    inverse = cho_solve((fit.factor, True), np.eye(len(y)))
    pull = np.outer(fit.weights, fit.weights) - inverse
    log_lengths = vector[1:-1]
    centre, width = _LENGTH_PRIOR
    prior = -0.5 * (((log_lengths - centre) / width) ** 2).sum()
    slopes = [float((pull * kernel).sum() + np.trace(pull) * _JITTER * chosen.signal_std**2)]
    for axis, length in enumerate(chosen.lengths):
        gap = (x[:, axis, None] - x[None, :, axis]) ** 2 / length**2
        slopes.append(0.5 * float((pull * shared * gap).sum()))
    slopes.append(0.5 * chosen.noise_share * float(np.diag(pull) @ v))
    gradient = np.array(slopes)
    gradient[1:-1] -= (log_lengths - centre) / width**2
    return -(fit.log_likelihood + prior), -gradient


def _search(
    x: FloatArray, y: FloatArray, v: FloatArray, start: Hyperparameters | None
) -> Hyperparameters:
    spread = float(np.clip(np.std(y), 2 * _SIGNAL_BOUNDS[0], 0.5 * _SIGNAL_BOUNDS[1]))
    usual = Hyperparameters(signal_std=spread, lengths=(0.5,) * x.shape[1], noise_share=0.3)
    bounds = np.log([_SIGNAL_BOUNDS, *[_LENGTH_BOUNDS] * x.shape[1], _SHARE_BOUNDS])
    begin = usual if start is None else start
    found = minimize(
        _objective,
        np.clip(begin.to_log(), bounds[:, 0], bounds[:, 1]),
        args=(x, y, v),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 60},
    )
    return Hyperparameters.from_log(found.x)


def _checked(
    points: FloatArray, values: FloatArray, noise_variance: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    x = np.asarray(points, dtype=np.float64)
    y = np.asarray(values, dtype=np.float64)
    v = np.asarray(noise_variance, dtype=np.float64)
    if x.ndim != 2 or y.shape != (len(x),) or v.shape != y.shape or len(y) < 2:
        raise InputError(
            "expected points (n, d) with one value and one variance each, n at least 2, got "
            f"{x.shape}, {y.shape} and {v.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (v >= 0).all()):
        raise InputError("expected finite points and values and variances of at least 0")
    return x, y, v
