"""Vector scaling: a weight and an offset for the logit of every class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy import optimize, special

from gatekeeper.calibrators.inputs import Float64Array, label_array, logit_array, state_arrays
from gatekeeper.calibrators.temperature import TemperatureScaler
from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import FloatArray, IntArray

# Pull towards plain temperature scaling, in rows: 2 K numbers learned from few rows stay near it.
_RIDGE = 1.0


class VectorScaler:
    """Softmax of weights · logits + offsets, with the 2 K numbers of least negative log-likelihood.

    It mends classes that are answered too often or too rarely, which one temperature cannot. The
    answer may change: read it off the probabilities. A weight is never negative, so a class does
    not become less likely as its own logit grows.

    Attributes:
        weights_: Shape (K,), at least 0.
        offsets_: Shape (K,), with mean 0.

    Source:
        Guo et al. 2017, section 4.2 (arXiv:1706.04599). Deviates: a ridge of 1 row pulls towards
        the temperature that fits best; weights are not negative.
    """

    weights_: Float64Array
    offsets_: Float64Array

    def fit(self, logits: FloatArray, labels: IntArray) -> Self:
        """Learn weights and offsets.

        Args:
            logits: Shape (N, K), N at least 1, K at least 2, finite; log-probabilities serve too.
            labels: True classes, shape (N,), integers in 0…K−1.

        Raises:
            InputError: shapes differ, N is 0, a logit is NaN or infinite, or a label is no class.
        """
        values = logit_array(logits)
        n_rows, n_classes = values.shape
        truth = label_array(labels, n=n_rows, n_classes=n_classes)
        sharpness = 1.0 / TemperatureScaler().fit(values, truth).temperature_
        scaled = sharpness * values
        wanted = np.eye(n_classes)[truth]

        def loss(parameters: Float64Array) -> tuple[float, Float64Array]:
            weights, offsets = parameters[:n_classes], parameters[n_classes:]
            log_p = special.log_softmax(scaled * weights + offsets, axis=1)
            away = np.concatenate([weights - 1.0, offsets])
            penalty = _RIDGE / n_rows
            value = -np.mean(log_p[np.arange(n_rows), truth]) + 0.5 * penalty * away @ away
            residual = (np.exp(log_p) - wanted) / n_rows
            slope = np.concatenate([(residual * scaled).sum(axis=0), residual.sum(axis=0)])
            return float(value), slope + penalty * away

        found = optimize.minimize(
            loss,
            np.concatenate([np.ones(n_classes), np.zeros(n_classes)]),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, None)] * n_classes + [(None, None)] * n_classes,
            options={"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9},
        )
        self.weights_ = sharpness * found.x[:n_classes]
        self.offsets_ = found.x[n_classes:] - found.x[n_classes:].mean()
        return self

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """Class probabilities.

        Args:
            logits: Shape (N, K) with the K of fit, finite; N may be 0.

        Returns:
            Shape (N, K); rows sum to 1.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: another K, or a logit is NaN or infinite.
        """
        self._check_fitted()
        values = logit_array(logits)
        if values.shape[1] != len(self.weights_):
            raise InputError(
                f"expected logits of the {len(self.weights_)} classes of fit, got {values.shape[1]}"
            )
        return special.softmax(values * self.weights_ + self.offsets_, axis=1)  # type: ignore[no-any-return]

    def state(self) -> dict[str, FloatArray]:
        """Weights and offsets as plain arrays.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        self._check_fitted()
        return {"weights": self.weights_.copy(), "offsets": self.offsets_.copy()}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: not the arrays that :meth:`state` gives, or a weight is negative.
        """
        weights, offsets = state_arrays(state, names=("weights", "offsets"))
        if len(weights) < 2 or len(weights) != len(offsets) or weights.min() < 0.0:
            raise InputError(
                "expected a state with a weight of at least 0 and an offset for each of at least "
                f"2 classes, got {len(weights)} weights and {len(offsets)} offsets"
            )
        new = cls()
        new.weights_, new.offsets_ = weights, offsets
        return new

    def _check_fitted(self) -> None:
        if not hasattr(self, "weights_"):
            raise NotFittedError("this VectorScaler has learned nothing yet; call fit first")
