"""Levels tried have one label far more often than the other; ways to even that out.

One line in ``REBALANCERS`` enters a new one. Only the levels that a distortion-classifier learns
from are touched, never those that judge it. imbalanced-learn does the published methods.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.levels.accuracy_process import AccuracyProcess
from gatekeeper.types import BoolArray, FloatArray

NEIGHBOURS = 5
CERTAIN = 0.95
"""Probability from which a synthetic level takes the Gaussian process's label."""

_SYNTHETIC_CANDIDATES = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledLevels:
    """Levels with labels, and how much each weighs in learning.

    Attributes:
        points: Shape (n, d), in unit coordinates.
        reliable: Shape (n,).
        weights: Shape (n,), positive.
    """

    points: FloatArray
    reliable: BoolArray
    weights: FloatArray

    @staticmethod
    def even(points: FloatArray, reliable: BoolArray) -> LabelledLevels:
        """Levels that all weigh 1."""
        return LabelledLevels(points=points, reliable=reliable, weights=np.ones(len(points)))

    @property
    def n_minority(self) -> int:
        """How often the rarer label occurs."""
        n_reliable = int(self.reliable.sum())
        return min(n_reliable, len(self.reliable) - n_reliable)

    @property
    def minority(self) -> bool:
        """The rarer label; reliable where both are as frequent."""
        return 2 * int(self.reliable.sum()) <= len(self.reliable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aid:
    """What a rebalancer may use beside the levels.

    Attributes:
        seed: Of its draws.
        process: Fitted on the accuracies of the levels; only synthetic levels ask for it.
        threshold: h.
    """

    seed: int
    process: AccuracyProcess | None = None
    threshold: float = 0.5


Rebalancer = Callable[[LabelledLevels, Aid], LabelledLevels]


def unchanged(levels: LabelledLevels, aid: Aid) -> LabelledLevels:
    """Leave them as they are."""
    del aid
    return levels


def class_weights(levels: LabelledLevels, aid: Aid) -> LabelledLevels:
    """Weigh both labels the same in all, n / 2 each."""
    del aid
    _require(levels, 1, "class weights")
    n, n_reliable = len(levels.reliable), int(levels.reliable.sum())
    weights = np.where(levels.reliable, n / (2 * n_reliable), n / (2 * (n - n_reliable)))
    return LabelledLevels(
        points=levels.points, reliable=levels.reliable, weights=levels.weights * weights
    )


def random_over(levels: LabelledLevels, aid: Aid) -> LabelledLevels:
    """Repeat levels of the rarer label, drawn at random."""
    _require(levels, 1, "random over-sampling")
    return _resampled("over_sampling", "RandomOverSampler", levels, random_state=aid.seed)


def random_under(levels: LabelledLevels, aid: Aid) -> LabelledLevels:
    """Drop levels of the more frequent label at random."""
    _require(levels, 1, "random under-sampling")
    return _resampled("under_sampling", "RandomUnderSampler", levels, random_state=aid.seed)


def smote(levels: LabelledLevels, aid: Aid) -> LabelledLevels:
    """Add levels between neighbours that share the rarer label.

    Source:
        Chawla et al. 2002 (arXiv:1106.1813), with 5 neighbours, or all where there are fewer.
    """
    _require(levels, 2, "SMOTE")
    k = min(NEIGHBOURS, levels.n_minority - 1)
    return _resampled("over_sampling", "SMOTE", levels, random_state=aid.seed, k_neighbors=k)


def adasyn(levels: LabelledLevels, aid: Aid) -> LabelledLevels:
    """As SMOTE, more of them where the other label is near.

    Source:
        He et al. 2008, "ADASYN: adaptive synthetic sampling approach for imbalanced learning".
    """
    _require(levels, 2, "ADASYN")
    k = min(NEIGHBOURS, levels.n_minority - 1)
    return _resampled("over_sampling", "ADASYN", levels, random_state=aid.seed, n_neighbors=k)


def gp_synthetic(levels: LabelledLevels, aid: Aid) -> LabelledLevels:
    """Add levels of the rarer label, anywhere in the space, where the Gaussian process is certain.

    As many as are missing, or as are found among 4,096 random levels. Needs no level of the rarer
    label among those tried.

    Source:
        Our reading. The first version of arXiv:2412.16881 has a second method that rebalances by
        a Gaussian process; its details are not public.
    """
    if aid.process is None:
        raise InputError("synthetic levels need a Gaussian process fitted on the levels tried")
    missing = len(levels.reliable) - 2 * levels.n_minority
    drawn = np.random.default_rng(aid.seed).random((_SYNTHETIC_CANDIDATES, levels.points.shape[1]))
    probability = aid.process.verdict(drawn, aid.threshold).probability
    certain = probability >= CERTAIN if levels.minority else probability <= 1.0 - CERTAIN
    added = drawn[certain][:missing]
    return LabelledLevels(
        points=np.concatenate([levels.points, added]),
        reliable=np.concatenate([levels.reliable, np.full(len(added), levels.minority)]),
        weights=np.concatenate([levels.weights, np.ones(len(added))]),
    )


REBALANCERS: dict[str, Rebalancer] = {
    "adasyn": adasyn,
    "class_weights": class_weights,
    "gp_synthetic": gp_synthetic,
    "none": unchanged,
    "random_over": random_over,
    "random_under": random_under,
    "smote": smote,
}


def rebalancer(name: str) -> Rebalancer:
    """The rebalancer of that name.

    Raises:
        InputError: there is none; near matches are named.
    """
    if name not in REBALANCERS:
        near = get_close_matches(name, REBALANCERS, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(
            f"expected one of the rebalancers {', '.join(REBALANCERS)}, got {name!r}{hint}"
        )
    return REBALANCERS[name]


def _require(levels: LabelledLevels, least: int, method: str) -> None:
    if levels.n_minority < least:
        raise InputError(
            f"{method} needs at least {least} level{'s' if least > 1 else ''} of the rarer label, "
            f"got {levels.n_minority}: try more levels, or search with straddle"
        )


def _resampled(module: str, method: str, levels: LabelledLevels, **options: int) -> LabelledLevels:
    """Through imbalanced-learn, which is imported here: nothing else needs it."""
    if 2 * levels.n_minority == len(levels.reliable):
        return levels
    chosen = getattr(import_module(f"imblearn.{module}"), method)(**options)
    try:
        points, reliable = chosen.fit_resample(levels.points, levels.reliable)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"expected levels that {method} can rebalance, got {levels.n_minority} of the rarer "
            f"label among {len(levels.reliable)} ({error}): choose another rebalancer"
        ) from error
    return LabelledLevels.even(np.asarray(points, np.float64), np.asarray(reliable, bool))
