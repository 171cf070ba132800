"""The router: which restorer fits an image, if any.

It reads degradation off the signals and never sees the classifier's answer. Whether the restored
answer is then believed is the gate's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.mlp import Mlp, MlpOptions
from gatekeeper.signals import N_SCALARS
from gatekeeper.types import BoolArray, FloatArray, IntArray, StrArray

CLEAN = "clean"
"""Name of the degradation class of an image that needs no help."""

_ALLOWED_SHARE = 0.05


class NoiseTypeClassifier:
    """Which degradation an image has, from its log-magnitude spectrum and scalar signals.

    Args:
        names: The degradation classes, ``"clean"`` first.
        spectrum_only: Read nothing but the spectrum, as the paper does; impulses and white noise
            have the same spectrum, so the default reads the scalar signals too.

    Source:
        CNN autoencoder denoising before classification (arXiv:2404.10664), noise-type classifier
        on log-magnitude spectra. Deviates in a small perceptron in place of a frozen VGG-16.
    """

    def __init__(self, names: Sequence[str], *, spectrum_only: bool = False) -> None:
        if len(names) < 2 or names[0] != CLEAN:
            raise InputError(f"expected {CLEAN!r} and at least one degradation, got {list(names)}")
        self.names = tuple(names)
        self.spectrum_only = spectrum_only
        self.mlp_: Mlp | None = None

    def fit(self, signals: FloatArray, types: IntArray, *, seed: int) -> Self:
        """Learn from signals (N, D) and the index of each image's degradation (N,)."""
        options = MlpOptions(hidden=64, members=1, epochs=8)
        self.mlp_ = Mlp(options).fit(
            self._inputs(signals), types, n_classes=len(self.names), seed=seed
        )
        return self

    def probabilities(self, signals: FloatArray) -> FloatArray:
        """Shape (N, number of classes), rows sum to 1.

        Raises:
            NotFittedError: before ``fit``.
        """
        if self.mlp_ is None:
            raise NotFittedError("the noise-type classifier has not been fitted: call fit first")
        return np.asarray(np.exp(self.mlp_.log_probabilities(self._inputs(signals))))

    def confusion(self, signals: FloatArray, types: IntArray) -> IntArray:
        """How often each degradation is taken for which, on images it was not fitted on.

        Args:
            signals: Shape (N, D).
            types: Index of each image's degradation in ``names``, shape (N,).

        Returns:
            Counts, shape (K, K) for K names: row = what it is, column = what it is taken for.

        Raises:
            NotFittedError: before ``fit``.
        """
        answers = np.argmax(self.probabilities(signals), axis=1)
        return confusion_counts(types, answers, n_types=len(self.names))

    def _inputs(self, signals: FloatArray) -> FloatArray:
        return signals[:, N_SCALARS:] if self.spectrum_only else signals


def confusion_counts(types: IntArray, answers: IntArray, *, n_types: int) -> IntArray:
    """How often each of ``n_types`` was answered by which; row = truth, column = answer."""
    cells = np.bincount(types * n_types + answers, minlength=n_types**2)
    return np.asarray(cells.reshape(n_types, n_types), dtype=np.int64)


class Router:
    """Names a restorer per image, or none.

    The restorer named is the one that suits the likeliest degradation. Nothing is named where the
    probability of being clean is above ``clean_limit``: restoring what needs no help can only
    harm.

    Args:
        restorer_of: Degradation class -> restorer; ``"clean"`` is not in it.
        clean_limit: Largest probability of being clean at which an image is restored, in [0, 1].
            None lets ``fit`` set it so that at most ``clean_share`` of clean images are restored.
        clean_share: See ``clean_limit``; measured on rows that the classifier was not fitted on.

    Attributes:
        confusion_: After ``fit``: how often each degradation was taken for which, in the order of
            ``types.names``, on rows that the classifier was not fitted on. None for a router that
            was read from a bundle, whose certificate has it.
    """

    def __init__(
        self,
        restorer_of: Mapping[str, str],
        *,
        clean_limit: float | None = None,
        clean_share: float = 0.01,
    ) -> None:
        if CLEAN in restorer_of or not restorer_of:
            raise InputError("expected a restorer per degradation, and none for clean images")
        # Sorted, so that the classes keep their order however the table was written down.
        self.restorer_of = dict(sorted(restorer_of.items()))
        self.clean_limit = clean_limit
        self.clean_share = clean_share
        self.types = NoiseTypeClassifier((CLEAN, *self.restorer_of))
        self.clean_limit_: float | None = clean_limit
        self.confusion_: IntArray | None = None

    def fit(self, signals: FloatArray, types: Sequence[str], *, seed: int) -> Self:
        """Learn the degradations, then the limit.

        Args:
            signals: Shape (N, D).
            types: Name of each image's degradation, length N.
            seed: Of the perceptron and of the two halves on which the limit is cross-fitted.

        Raises:
            InputError: a degradation is unknown, or rows do not line up.
        """
        index = {name: position for position, name in enumerate(self.types.names)}
        unknown = sorted(set(types) - set(index))
        if unknown or len(types) != len(signals):
            raise InputError(
                f"expected one of {', '.join(index)} per row ({len(signals)}), got {len(types)} "
                f"with {unknown or 'no unknown names'}"
            )
        codes = np.array([index[name] for name in types])
        probabilities = self._cross_fitted(signals, codes, seed)
        answers = np.argmax(probabilities, axis=1)
        self.confusion_ = confusion_counts(codes, answers, n_types=len(index))
        if self.clean_limit is None:
            limit = np.quantile(probabilities[codes == 0, 0], self.clean_share)
            self.clean_limit_ = float(limit)
        self.types.fit(signals, codes, seed=seed)
        return self

    def _cross_fitted(self, signals: FloatArray, codes: IntArray, seed: int) -> FloatArray:
        """Probabilities of each row by a classifier that was fitted on the other half."""
        half = np.random.default_rng(seed).permutation(len(codes)) % 2 == 0
        found = np.empty((len(codes), len(self.types.names)))
        for held_out in (half, ~half):
            probe = NoiseTypeClassifier(self.types.names)
            probe.fit(signals[~held_out], codes[~held_out], seed=seed)
            found[held_out] = probe.probabilities(signals[held_out])
        return found

    def route(self, signals: FloatArray) -> StrArray:
        """Name of the restorer for each row, "" for none; shape (N,).

        Raises:
            NotFittedError: before ``fit``.
        """
        if self.clean_limit_ is None:
            raise NotFittedError("the router has not been fitted: call fit first")
        probabilities = self.types.probabilities(signals)
        names = np.array(["", *(self.restorer_of[name] for name in self.types.names[1:])])
        likeliest = 1 + np.argmax(probabilities[:, 1:], axis=1)
        return np.where(probabilities[:, 0] <= self.clean_limit_, names[likeliest], "")

    @property
    def restorers(self) -> tuple[str, ...]:
        """Names of all that are routed to, sorted."""
        return tuple(sorted(set(self.restorer_of.values())))

    def allowed(self, signals: FloatArray) -> BoolArray:
        """Which restorers may be tried on each row, shape (N, number of ``restorers``).

        Where the image may be clean, none. Otherwise the one that :meth:`route` names, and every
        other one whose degradations have at least one in twenty of the probability of being
        degraded.

        Args:
            signals: Shape (N, D).

        Raises:
            NotFittedError: before ``fit``.
        """
        named = self.route(signals)
        degraded = self.types.probabilities(signals)[:, 1:]
        share = degraded / np.maximum(degraded.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        suits = np.array([self.restorer_of[name] for name in self.types.names[1:]])
        columns = [
            (share[:, suits == name].sum(axis=1) >= _ALLOWED_SHARE) | (named == name)
            for name in self.restorers
        ]
        return np.asarray(np.stack(columns, axis=1) & (named != "")[:, None])

    def state(self) -> dict[str, FloatArray]:
        """The fitted parameters as plain arrays."""
        if self.types.mlp_ is None or self.clean_limit_ is None:
            raise NotFittedError("the router has not been fitted: call fit first")
        return {**self.types.mlp_.state(), "clean_limit": np.array(self.clean_limit_)}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray], restorer_of: Mapping[str, str]) -> Self:
        """Rebuild from :meth:`state` and the table that the bundle lists."""
        arrays = dict(state)
        limit = float(arrays.pop("clean_limit"))
        router = cls(restorer_of, clean_limit=limit)
        router.types.mlp_ = Mlp.from_state(arrays)
        return router
