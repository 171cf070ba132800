"""Reliability predictors order answers by trust; a calibrator makes probabilities of it.

One line in ``PREDICTORS`` enters a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Protocol, Self, runtime_checkable

from gatekeeper.errors import InputError
from gatekeeper.protocols import Evidence, ReliabilityPredictor
from gatekeeper.reliability.agreement import VIEW_SCORES, ViewScore
from gatekeeper.reliability.learned import TRUST, LearnedPredictor, level_study_of
from gatekeeper.reliability.mahalanobis import Mahalanobis
from gatekeeper.reliability.nearest import NearestNeighbours
from gatekeeper.reliability.pnorm import MaxLogitPNorm
from gatekeeper.reliability.probe_layout import PROBE_VIEWS, ProbeLayout
from gatekeeper.reliability.scores import SINGLE_SCORES, SingleScore
from gatekeeper.reliability.sirc import FeatureNorm, Sirc
from gatekeeper.types import FloatArray, IntArray


@runtime_checkable
class Learning(Protocol):
    """A predictor that keeps what it has learned as plain arrays."""

    def fit(self, evidence: Evidence, labels: IntArray) -> Self:
        """As every predictor."""
        ...

    def score(self, evidence: Evidence) -> FloatArray:
        """As every predictor."""
        ...

    def state(self) -> dict[str, FloatArray]:
        """The fitted parameters."""
        ...

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`."""
        ...


__all__ = [
    "PREDICTORS",
    "PROBE_VIEWS",
    "SINGLE_SCORES",
    "TRUST",
    "VIEW_SCORES",
    "FeatureNorm",
    "LearnedPredictor",
    "Mahalanobis",
    "MaxLogitPNorm",
    "NearestNeighbours",
    "ProbeLayout",
    "SingleScore",
    "Sirc",
    "ViewScore",
    "level_study_of",
    "name_of_predictor",
    "predictor",
    "predictor_from_state",
    "state_of_predictor",
]

PREDICTORS: Mapping[str, Callable[[], ReliabilityPredictor]] = {
    "doctor": lambda: SINGLE_SCORES["doctor"],
    "energy": lambda: SINGLE_SCORES["energy"],
    "entropy": lambda: SINGLE_SCORES["entropy"],
    "feature_norm": FeatureNorm,
    "gen": lambda: SINGLE_SCORES["gen"],
    "learned": LearnedPredictor,
    "mahalanobis": Mahalanobis,
    "margin": lambda: SINGLE_SCORES["margin"],
    "max_logit": lambda: SINGLE_SCORES["max_logit"],
    "max_logit_pnorm": MaxLogitPNorm,
    "max_softmax": lambda: SINGLE_SCORES["max_softmax"],
    "nearest_neighbours": NearestNeighbours,
    "sirc": Sirc,
    "view_agreement": lambda: VIEW_SCORES["view_agreement"],
    "view_divergence": lambda: VIEW_SCORES["view_divergence"],
}
"""Name -> what makes a predictor of that name."""


def predictor(name: str) -> ReliabilityPredictor:
    """A predictor of that name, not fitted yet.

    Args:
        name: A key of ``PREDICTORS``.

    Raises:
        InputError: the name is unknown; the message lists near matches and all names.
    """
    if name not in PREDICTORS:
        near = get_close_matches(name, PREDICTORS, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(
            f"expected one of the predictors {', '.join(sorted(PREDICTORS))}, got {name!r}{hint}"
        )
    return PREDICTORS[name]()


def name_of_predictor(fitted: ReliabilityPredictor) -> str:
    """The key of ``PREDICTORS`` that makes predictors like this one.

    Raises:
        InputError: there is none.
    """
    for table in (SINGLE_SCORES, VIEW_SCORES):
        for name, score in table.items():
            if score is fitted:
                return name
    for name, make in PREDICTORS.items():
        if isinstance(make, type) and type(fitted) is make:
            return name
    raise InputError(
        f"expected a predictor of the kinds {', '.join(sorted(PREDICTORS))}, got "
        f"{type(fitted).__name__}: enter it in PREDICTORS"
    )


def state_of_predictor(fitted: ReliabilityPredictor) -> dict[str, FloatArray]:
    """What a predictor has learned, as plain arrays; nothing where it learns nothing."""
    return dict(fitted.state()) if isinstance(fitted, Learning) else {}


def predictor_from_state(name: str, state: Mapping[str, FloatArray]) -> ReliabilityPredictor:
    """Rebuild from :func:`name_of_predictor` and :func:`state_of_predictor`.

    Raises:
        InputError: the name is unknown, or the arrays are not those of such a predictor.
    """
    fresh = predictor(name)
    return type(fresh).from_state(state) if isinstance(fresh, Learning) else fresh
