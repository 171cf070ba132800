"""Mahalanobis score: how far the features lie from those of the nearest class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.protocols import Evidence
from gatekeeper.reliability.inputs import (
    Float64Array,
    feature_array,
    label_array,
    logits_array,
    state_arrays,
)
from gatekeeper.types import FloatArray, IntArray

# Of the mean variance, added to every direction: a sample of few looks still has to be inverted
# where it shows no noise to shrink by.
_LEAST_SHARE = 1e-9

_SHAPES = {"means": "(C, F)", "whitening": "(F, F)", "centre": "(F,)"}


class Mahalanobis:
    """Minus the squared Mahalanobis distance to the nearest class mean.

    All classes share one covariance, that of the features around their class means, shrunk
    towards a multiple of the identity so that it can be inverted whatever F and N are. A class
    without a look in the fit has no mean.

    Attributes:
        means_: Shape (C, F), whitened class means less the whitened centre; C classes occurred.
        whitening_: Shape (F, F), symmetric, the inverse square root of the covariance.
        centre_: Shape (F,), mean of all features of the fit; it is taken off first, so that few
            digits are lost.

    Source:
        Lee et al. 2018 (arXiv:1807.03888), section 2.1, on one layer and without their input
        perturbation; shrinkage after Ledoit & Wolf 2004, "A well-conditioned estimator for
        large-dimensional covariance matrices".
    """

    means_: Float64Array
    whitening_: Float64Array
    centre_: Float64Array

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """Learn class means and covariance.

        Args:
            evidence: B looks with features, B at least 2.
            labels: True class of each look, shape (B,), integers in 0…K−1.

        Raises:
            InputError: no features, shapes differ, a label is no class, a feature is not finite,
                or the features do not vary within any class.
        """
        features = feature_array(evidence, reader="the Mahalanobis score")
        n_classes = logits_array(evidence).shape[1]
        truth = label_array(labels, n=len(features), n_classes=n_classes)
        centre = features.mean(axis=0)
        occurring, place = np.unique(truth, return_inverse=True)
        means = np.stack(
            [(features[place == c] - centre).mean(axis=0) for c in range(len(occurring))]
        )
        covariance, _ = shrunk_covariance(features - centre - means[place])
        variances, axes = np.linalg.eigh(covariance)
        self.whitening_ = np.ascontiguousarray((axes / np.sqrt(variances)) @ axes.T)
        self.means_ = np.ascontiguousarray(means @ self.whitening_)
        self.centre_ = centre
        return self

    def score(self, evidence: Evidence) -> FloatArray:
        """Scores of B looks.

        Args:
            evidence: B looks with features of the F of fit; B may be 0.

        Returns:
            Shape (B,), at most 0, higher is more reliable; a row depends on its own features
            alone, to the last bit.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: no features, another F, or a feature is not finite.
        """
        if not hasattr(self, "means_"):
            raise NotFittedError("this Mahalanobis score has no class means yet: call fit first")
        width = len(self.centre_)
        features = feature_array(evidence, reader="the Mahalanobis score", width=width)
        lengths = np.square(self.means_).sum(axis=1)
        found = np.empty(len(features))
        # Row by row: a matrix product may add in another order for another batch size.
        for row, values in enumerate(features):
            white = self.whitening_ @ (values - self.centre_)
            found[row] = np.min(lengths - 2.0 * (self.means_ @ white)) + np.square(white).sum()
        return -np.maximum(found, 0.0)

    def state(self) -> dict[str, FloatArray]:
        """Class means, whitening and centre as plain arrays.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        if not hasattr(self, "means_"):
            raise NotFittedError("this Mahalanobis score has no class means yet: call fit first")
        return {
            "means": self.means_.copy(),
            "whitening": self.whitening_.copy(),
            "centre": self.centre_.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: not the arrays that :meth:`state` gives.
        """
        arrays = state_arrays(state, shapes=_SHAPES)
        built = cls()
        built.means_, built.whitening_ = arrays["means"], arrays["whitening"]
        built.centre_ = arrays["centre"]
        return built


def shrunk_covariance(residuals: Float64Array) -> tuple[Float64Array, float]:
    """Covariance of rows around 0, pulled towards a multiple of the identity.

    Args:
        residuals: Shape (N, F), N at least 1.

    Returns:
        The positive definite covariance, shape (F, F), and how far it was pulled, in [0, 1].

    Raises:
        InputError: all residuals are 0.

    Source:
        Ledoit & Wolf 2004, eq. 14: the amount that minimises the expected squared error.
    """
    n_rows, width = residuals.shape
    sample = residuals.T @ residuals / n_rows
    scale = float(np.trace(sample)) / width
    if scale <= 0.0:
        raise InputError(
            "the features must vary within a class, got looks that equal their class means; fit on "
            "more looks per class"
        )
    apart = float(np.square(sample - scale * np.eye(width)).sum())
    fourth = float(np.square(np.square(residuals).sum(axis=1)).sum()) / n_rows
    noise = (fourth - float(np.square(sample).sum())) / n_rows
    amount = min(1.0, max(0.0, noise) / apart) if apart > 0.0 else 0.0
    pulled = (1.0 - amount) * sample + amount * scale * np.eye(width)
    return pulled + _LEAST_SHARE * scale * np.eye(width), amount
