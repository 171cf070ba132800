"""The mapping of predictors: names, what they make, near matches."""

from __future__ import annotations

import pytest

from gatekeeper.errors import InputError
from gatekeeper.protocols import ReliabilityPredictor
from gatekeeper.reliability import (
    PREDICTORS,
    SINGLE_SCORES,
    VIEW_SCORES,
    FeatureNorm,
    LearnedPredictor,
    Mahalanobis,
    MaxLogitPNorm,
    NearestNeighbours,
    Sirc,
    predictor,
)

THAT_LEARN = {
    "feature_norm": FeatureNorm,
    "learned": LearnedPredictor,
    "mahalanobis": Mahalanobis,
    "max_logit_pnorm": MaxLogitPNorm,
    "nearest_neighbours": NearestNeighbours,
    "sirc": Sirc,
}


def test_every_score_has_its_name_in_the_mapping():
    assert set(PREDICTORS) == {*THAT_LEARN, *SINGLE_SCORES, *VIEW_SCORES}


@pytest.mark.parametrize("name", sorted(PREDICTORS))
def test_names_make_predictors(name):
    made = predictor(name)
    assert isinstance(made, ReliabilityPredictor)
    if name in THAT_LEARN:
        assert type(made) is THAT_LEARN[name]
        assert predictor(name) is not made
    else:
        assert made is {**SINGLE_SCORES, **VIEW_SCORES}[name]


def test_unknown_names_are_refused_with_near_matches():
    with pytest.raises(InputError, match="got 'mahalanobi'; did you mean mahalanobis"):
        predictor("mahalanobi")
    with pytest.raises(InputError, match=r"got 'zzz'$"):
        predictor("zzz")
