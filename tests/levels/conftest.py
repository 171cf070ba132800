"""A small study of the small gate's classifier, made once."""

from __future__ import annotations

import pytest

from gatekeeper.levels import (
    AccuracyOracle,
    FixedSet,
    LevelStudy,
    SearchOptions,
    fixed_set,
    parse_space,
    run_study,
)
from tests import small_gate

SPEC = "rotation=-60:60,brightness=0.4:1.6,noise_sigma=0:0.3"


@pytest.fixture(scope="session")
def images() -> FixedSet:
    return fixed_set(small_gate.digits(), small_gate.splits().test[:150], seed=0)


@pytest.fixture(scope="session")
def oracle(images: FixedSet) -> AccuracyOracle:
    return AccuracyOracle(small_gate.classifier(), images, parse_space(SPEC))


@pytest.fixture(scope="session")
def study(oracle: AccuracyOracle) -> LevelStudy:
    return run_study(oracle, SearchOptions(threshold=0.85, budget=40))
