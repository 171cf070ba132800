"""The distortion-aware failure predictor: is this classifier right on this image?

It asks which class the image shows, given everything that one look yields, and reads off the
probability of the class that the classifier answered. Learning the class (K outcomes per row)
teaches far more per image than learning right or wrong (two outcomes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.levels import LevelReader, LevelStudy
from gatekeeper.mlp import Mlp, MlpOptions, log_softmax
from gatekeeper.protocols import Evidence, ReliabilityPredictor
from gatekeeper.reliability.familiarity import Familiarity
from gatekeeper.signals import N_SCALARS
from gatekeeper.types import FloatArray, IntArray

_FLOOR = -12.0
_CERTAIN = 1.0 - 1e-9
_FAMILIARITY = "familiarity."
_LEVELS = "levels."
_TRUST = "trust"
_DISCOUNT = 0.5

TRUST = 0.8
"""Share of the learned log-odds in the score, unless told otherwise."""


class LearnedPredictor:
    """Log-odds that the answer is right, from logits, features, signals and probes.

    A small ensemble of perceptrons corrects the classifier's own log-probabilities, averaged over
    the image and its views where there are probes; where it has learned nothing it leaves them as
    they are. Its log-odds count by ``trust``, the uncorrected ones by the rest: corrections are
    noisy where there is little to correct, on clean images above all. A look that is unlike all
    that were fitted loses half a unit of log-odds for every ordinary distance beyond the ordinary
    (see :class:`~gatekeeper.reliability.familiarity.Familiarity`): what nothing is known about is
    not trusted. For looks at restored images the first look is part of the input.

    Args:
        options: Widths and fitting schedule of the perceptrons.
        seed: Of their initial weights, order and dropout.
        trust: Share of the learned log-odds in the score, in (0, 1]. The default was chosen by
            leaving one group of corruptions out at a time, on *fit* images.
        levels: Reads the estimated level of an image and the map's probability there off its
            signals, as further inputs; None leaves them out.

    Raises:
        InputError: trust is outside its range.
    """

    def __init__(
        self,
        options: MlpOptions | None = None,
        *,
        seed: int = 0,
        trust: float = TRUST,
        levels: LevelReader | None = None,
    ) -> None:
        if not 0.0 < trust <= 1.0:
            raise InputError(f"trust must be in (0, 1], got {trust}")
        self.options = options or MlpOptions()
        self.seed = seed
        self.trust = trust
        self.levels = levels
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
            self._inputs(evidence),
            labels,
            n_classes=evidence.logits.shape[1],
            seed=self.seed,
            base=_uncorrected(evidence.logits, evidence.probes),
        )
        self.familiarity_ = Familiarity(seed=self.seed).fit(_scalars(evidence))
        return self

    def score(self, evidence: Evidence) -> FloatArray:
        """Log-odds of being right less the discount, shape (B,); higher is more reliable.

        Raises:
            NotFittedError: before ``fit``.
        """
        return self.scores_at(evidence, [self.trust])[0]

    def scores_at(self, evidence: Evidence, trusts: Sequence[float]) -> list[FloatArray]:
        """What :meth:`score` would be at several degrees of trust, each of shape (B,).

        Raises:
            NotFittedError: before ``fit``.
        """
        mlp, familiarity = self._fitted()
        base = _uncorrected(evidence.logits.astype(np.float64), evidence.probes)
        learned = _log_odds(
            mlp.log_probabilities(self._inputs(evidence), base=base), evidence.labels
        )
        unlearned = _log_odds(base, evidence.labels)
        discount = _DISCOUNT * familiarity.excess(_scalars(evidence))
        return [trust * learned + (1.0 - trust) * unlearned - discount for trust in trusts]

    def _fitted(self) -> tuple[Mlp, Familiarity]:
        if self.mlp_ is None or self.familiarity_ is None:
            raise NotFittedError("the learned predictor has not been fitted: call fit first")
        return self.mlp_, self.familiarity_

    def state(self) -> dict[str, FloatArray]:
        """The fitted parameters as plain arrays."""
        mlp, familiarity = self._fitted()
        known = {f"{_FAMILIARITY}{name}": array for name, array in familiarity.state().items()}
        read = {} if self.levels is None else self.levels.state()
        levels = {f"{_LEVELS}{name}": array for name, array in read.items()}
        return {**mlp.state(), **known, **levels, _TRUST: np.array(self.trust)}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`."""
        parts: dict[str, dict[str, FloatArray]] = {"": {}, _FAMILIARITY: {}, _LEVELS: {}}
        for name, array in state.items():
            prefix = next((p for p in (_FAMILIARITY, _LEVELS) if name.startswith(p)), "")
            parts[prefix][name.removeprefix(prefix)] = array
        trust = float(parts[""].pop(_TRUST))
        levels = LevelReader.from_state(parts[_LEVELS]) if parts[_LEVELS] else None
        built = cls(trust=trust, levels=levels)
        built.mlp_ = Mlp.from_state(parts[""])
        built.familiarity_ = Familiarity.from_state(parts[_FAMILIARITY])
        return built

    def _inputs(self, evidence: Evidence) -> FloatArray:
        parts = self._one_look(evidence)
        if evidence.raw is not None:
            same = evidence.labels == evidence.raw.labels
            parts += [*self._one_look(evidence.raw), same[:, None]]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _one_look(self, evidence: Evidence) -> list[FloatArray]:
        log_p = np.maximum(log_softmax(evidence.logits), _FLOOR)
        # Log-probabilities too: a view may rule a class out altogether.
        probes = np.maximum(evidence.probes, _FLOOR)
        parts = [log_p, evidence.logits, _scalars(evidence), probes]
        if self.levels is not None:
            parts.append(self.levels.read(evidence.signals))
        if evidence.features is not None:
            parts.append(evidence.features)
        return parts


def level_study_of(fitted: ReliabilityPredictor) -> LevelStudy | None:
    """The study of levels that a predictor reads; None where it reads none."""
    if isinstance(fitted, LearnedPredictor) and fitted.levels is not None:
        return fitted.levels.study
    return None


def _log_odds(log_p: FloatArray, answers: IntArray) -> FloatArray:
    """Log-odds of each row's answer, shape (B,), from log-probabilities (B, K)."""
    answered = log_p[np.arange(len(answers)), answers]
    return np.asarray(answered - np.log1p(-np.minimum(np.exp(answered), _CERTAIN)))


def _uncorrected(logits: FloatArray, probes: FloatArray) -> FloatArray:
    """Log-probabilities that the correction starts from, shape (B, K).

    The normalised geometric mean over the image and its views: a correction that starts from the
    first look alone leaves much of what the views know unused.
    """
    own = log_softmax(logits)
    n_views, rest = divmod(probes.shape[1], own.shape[1])
    if rest:
        raise InputError(
            f"expected {own.shape[1]} probes per view, one per class, got {probes.shape[1]} in all"
        )
    if not n_views:
        return own
    views = np.maximum(probes, _FLOOR).reshape(len(own), n_views, own.shape[1])
    return log_softmax((np.maximum(own, _FLOOR) + views.sum(axis=1)) / (1 + n_views))


def _scalars(evidence: Evidence) -> FloatArray:
    return evidence.signals[:, :N_SCALARS]
