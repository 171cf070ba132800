"""Temperature scaling: logits to class probabilities that are right on average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy import optimize, special

from gatekeeper.calibrators.inputs import label_array, logit_array, state_arrays
from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import FloatArray, IntArray

# The range that is searched: data without (or with nothing but) errors have no finite optimum.
LOWEST_TEMPERATURE = 0.05
HIGHEST_TEMPERATURE = 20.0


class TemperatureScaler:
    """Softmax of logits ÷ temperature, with the temperature of least negative log-likelihood.

    The answer (the largest logit) never changes.

    Attributes:
        temperature_: In [0.05, 20]; above 1 flattens, below 1 sharpens. It lies at an end of the
            range where the data know no optimum, such as answers that are all right.

    Source:
        Guo et al. 2017, section 4.2 (arXiv:1706.04599).
    """

    temperature_: float

    def fit(self, logits: FloatArray, labels: IntArray) -> Self:
        """Learn the temperature.

        Args:
            logits: Shape (N, K), N at least 1, K at least 2, finite; log-probabilities serve too.
            labels: True classes, shape (N,), integers in 0…K−1.

        Raises:
            InputError: shapes differ, N is 0, a logit is NaN or infinite, or a label is no class.
        """
        values = logit_array(logits)
        truth = label_array(labels, n=len(values), n_classes=values.shape[1])
        at_truth = np.take_along_axis(values, truth[:, None], axis=1)[:, 0]

        def loss(log_temperature: float) -> float:
            sharpness = np.exp(-log_temperature)
            return float(
                np.mean(special.logsumexp(sharpness * values, axis=1) - sharpness * at_truth)
            )

        found = optimize.minimize_scalar(
            loss,
            bounds=(np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)),
            method="bounded",
            options={"xatol": 1e-9, "maxiter": 200},
        )
        self.temperature_ = float(np.exp(found.x))
        return self

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """Class probabilities.

        Args:
            logits: Shape (N, K), K at least 2, finite; N may be 0.

        Returns:
            Shape (N, K); rows sum to 1.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: not two-dimensional, or a logit is NaN or infinite.
        """
        temperature = self._fitted()
        return special.softmax(logit_array(logits) / temperature, axis=1)  # type: ignore[no-any-return]

    def state(self) -> dict[str, FloatArray]:
        """The fitted temperature as an array of one number.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        return {"temperature": np.array([self._fitted()])}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: not the array that :meth:`state` gives, or not positive.
        """
        (temperature,) = state_arrays(state, names=("temperature",))
        if len(temperature) != 1 or temperature[0] <= 0.0:
            raise InputError(
                f"expected a state with one positive temperature, got {temperature.tolist()}"
            )
        new = cls()
        new.temperature_ = float(temperature[0])
        return new

    def _fitted(self) -> float:
        if not hasattr(self, "temperature_"):
            raise NotFittedError("this TemperatureScaler has learned nothing yet; call fit first")
        return self.temperature_
