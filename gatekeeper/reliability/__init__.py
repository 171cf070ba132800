"""Reliability predictors order answers by trust; a calibrator makes probabilities of it.

One line in ``PREDICTORS`` enters a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from gatekeeper.errors import InputError
from gatekeeper.protocols import ReliabilityPredictor
from gatekeeper.reliability.agreement import VIEW_SCORES, ViewScore
from gatekeeper.reliability.learned import LearnedPredictor
from gatekeeper.reliability.mahalanobis import Mahalanobis
from gatekeeper.reliability.nearest import NearestNeighbours
from gatekeeper.reliability.pnorm import MaxLogitPNorm
from gatekeeper.reliability.probe_layout import PROBE_VIEWS, ProbeLayout
from gatekeeper.reliability.scores import SINGLE_SCORES, SingleScore
from gatekeeper.reliability.sirc import FeatureNorm, Sirc

__all__ = [
    "PREDICTORS",
    "PROBE_VIEWS",
    "SINGLE_SCORES",
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
    "predictor",
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
