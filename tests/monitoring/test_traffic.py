"""Windows follow one another; each says what the bundle's own test and estimator say of it."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.monitoring import (
    AccuracyEstimator,
    ConditionsTest,
    Seen,
    TrafficState,
    TrafficWatch,
)


@pytest.fixture
def conditions(rng: np.random.Generator) -> ConditionsTest:
    return ConditionsTest().fit(rng.normal(size=(2000, 3)), rng.uniform(size=2000))


def traffic(rng: np.random.Generator, n: int, shift: float = 0.0) -> list[Seen]:
    raw = rng.uniform(size=n)
    return [
        Seen(
            signals=rng.normal(size=3) + shift,
            raw_reliability=float(each),
            reliability=float(each) / 2,
            accepted=bool(each > 0.5),
        )
        for each in raw
    ]


def test_whole_windows_are_tested_and_the_rest_waits(
    conditions: ConditionsTest, rng: np.random.Generator
) -> None:
    watch = TrafficWatch(conditions, None, window=100)
    assert watch.state == TrafficState()
    seen = traffic(rng, 250)
    left = watch.test(seen)
    assert left == seen[200:]
    assert (watch.state.n_images, watch.state.n_windows) == (200, 2)
    last = seen[100:200]
    expected = conditions.p_value(
        np.stack([each.signals for each in last]),
        np.array([each.raw_reliability for each in last]),
    )
    assert watch.state.p_value == expected
    assert watch.state.accuracy is watch.state.accepted_risk is None


def test_another_kind_of_traffic_is_flagged(conditions: ConditionsTest) -> None:
    rng = np.random.default_rng(1)  # certified traffic is flagged once in a hundred windows
    watch = TrafficWatch(conditions, None)
    watch.test(traffic(rng, 500, shift=1.0))
    assert watch.state.flagged
    watch.test(traffic(rng, 500))
    assert (watch.state.flagged, watch.state.n_flagged, watch.state.n_windows) == (False, 1, 2)


def test_the_estimates_are_those_of_the_final_reliabilities(
    conditions: ConditionsTest, rng: np.random.Generator
) -> None:
    stated = rng.uniform(size=400)
    groups = np.repeat(["a", "b"], 200)
    right = rng.uniform(size=400) < stated
    estimator = AccuracyEstimator().fit(
        stated, right, cells=groups, groups=groups, accepted=stated > 0.5
    )
    watch = TrafficWatch(conditions, estimator, window=100)
    seen = traffic(rng, 100)
    watch.test(seen)
    final = np.array([each.reliability for each in seen])
    accepted = np.array([each.accepted for each in seen])
    assert watch.state.accuracy == estimator.accuracy(final)
    assert watch.state.accepted_risk == estimator.accepted_risk(final, accepted)
    assert estimator.knows_risk


def test_without_accepted_answers_there_is_no_risk(
    conditions: ConditionsTest, rng: np.random.Generator
) -> None:
    stated = rng.uniform(size=40)
    groups = np.repeat(["a", "b"], 20)
    whole = AccuracyEstimator().fit(
        stated, stated > 0.5, cells=groups, groups=groups, accepted=stated > 0.2
    )
    without = AccuracyEstimator().fit(stated, stated > 0.5, cells=groups, groups=groups)
    none_accepted = [
        Seen(signals=each.signals, raw_reliability=0.2, reliability=0.2, accepted=False)
        for each in traffic(rng, 50)
    ]
    for estimator, seen in ((whole, none_accepted), (without, traffic(rng, 50))):
        watch = TrafficWatch(conditions, estimator, window=50)
        watch.test(seen)
        assert watch.state.accuracy is not None
        assert watch.state.accepted_risk is None
