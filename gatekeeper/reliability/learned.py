"""The distortion-aware failure predictor: is this classifier right on this image?

It asks which class the image shows, given everything that one look yields, and reads off the
probability of the class that the classifier answered. Learning the class (K outcomes per row)
teaches far more per image than learning right or wrong (two outcomes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.mlp import Mlp, MlpOptions, log_softmax
from gatekeeper.protocols import Evidence
from gatekeeper.reliability.familiarity import Familiarity
from gatekeeper.signals import N_SCALARS
from gatekeeper.types import FloatArray, IntArray

_FLOOR = -12.0
_CERTAIN = 1.0 - 1e-9
_FAMILIARITY = "familiarity."


class LearnedPredictor:
    """Log-odds that the answer is right, from logits, features, signals and probes.

    A small ensemble of perceptrons corrects the classifier's own log-probabilities; where it has
    learned nothing it leaves them as they are. A look that is unlike all that were fitted loses
    one unit of log-odds for every ordinary distance beyond the ordinary (see
    :class:`~gatekeeper.reliability.familiarity.Familiarity`): what nothing is known about is not
    trusted. For looks at restored images the first look is part of the input.

    Args:
        options: Widths and fitting schedule of the perceptrons.
        seed: Of their initial weights, order and dropout.
    """

    def __init__(self, options: MlpOptions | None = None, *, seed: int = 0) -> None:
        self.options = options or MlpOptions()
        self.seed = seed
        self.mlp_: Mlp | None = None
        self.familiarity_: Familiarity | None = None

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """Learn from looks (B rows) and the true class of each (B,).

        Raises:
            InputError: the labels do not line up with the evidence.
        """
        if len(labels) != len(evidence):
            raise InputError(f"expected {len(evidence)} labels, got {len(labels)}")
        self.mlp_ = Mlp(self.options).fit(
            _inputs(evidence),
            labels,
            n_classes=evidence.logits.shape[1],
            seed=self.seed,
            base=log_softmax(evidence.logits),
        )
        self.familiarity_ = Familiarity(seed=self.seed).fit(_scalars(evidence))
        return self

    def score(self, evidence: Evidence) -> FloatArray:
        """Log-odds of being right less the discount, shape (B,); higher is more reliable.

        Raises:
            NotFittedError: before ``fit``.
        """
        mlp, familiarity = self._fitted()
        log_p = mlp.log_probabilities(_inputs(evidence), base=log_softmax(evidence.logits))
        answered = log_p[np.arange(len(evidence)), evidence.labels]
        odds = answered - np.log1p(-np.minimum(np.exp(answered), _CERTAIN))
        return np.asarray(odds - familiarity.excess(_scalars(evidence)))

    def _fitted(self) -> tuple[Mlp, Familiarity]:
        if self.mlp_ is None or self.familiarity_ is None:
            raise NotFittedError("the learned predictor has not been fitted: call fit first")
        return self.mlp_, self.familiarity_

    def state(self) -> dict[str, FloatArray]:
        """The fitted parameters as plain arrays."""
        mlp, familiarity = self._fitted()
        known = {f"{_FAMILIARITY}{name}": array for name, array in familiarity.state().items()}
        return {**mlp.state(), **known}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`."""
        built = cls()
        known = {n.removeprefix(_FAMILIARITY): a for n, a in state.items() if _FAMILIARITY in n}
        built.mlp_ = Mlp.from_state({n: a for n, a in state.items() if _FAMILIARITY not in n})
        built.familiarity_ = Familiarity.from_state(known)
        return built


def _scalars(evidence: Evidence) -> FloatArray:
    return evidence.signals[:, :N_SCALARS]


def _inputs(evidence: Evidence) -> FloatArray:
    parts = _one_look(evidence)
    if evidence.raw is not None:
        same = evidence.labels == evidence.raw.labels
        parts += [*_one_look(evidence.raw), same[:, None]]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _one_look(evidence: Evidence) -> list[FloatArray]:
    log_p = np.maximum(log_softmax(evidence.logits), _FLOOR)
    parts = [log_p, evidence.logits, _scalars(evidence), evidence.probes]
    if evidence.features is not None:
        parts.append(evidence.features)
    return parts
