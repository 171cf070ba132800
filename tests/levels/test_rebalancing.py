from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.levels.accuracy_process import AccuracyProcess
from gatekeeper.levels.rebalancing import (
    CERTAIN,
    REBALANCERS,
    Aid,
    LabelledLevels,
    rebalancer,
)

AID = Aid(seed=0)


def levels(n: int = 40, n_reliable: int = 6) -> LabelledLevels:
    points = np.random.default_rng(0).random((n, 2))
    return LabelledLevels.even(points, np.arange(n) < n_reliable)


def rows_of(points: np.ndarray) -> set[tuple[float, ...]]:
    return {tuple(point) for point in points.tolist()}


@pytest.mark.parametrize("name", ["random_over", "smote", "adasyn"])
def test_over_sampling_adds_to_the_minority_only(name):
    before = levels()
    after = REBALANCERS[name](before, AID)
    assert rows_of(before.points) <= rows_of(after.points)
    assert rows_of(after.points[~after.reliable]) == rows_of(before.points[~before.reliable])
    assert int((~after.reliable).sum()) == 34
    # ADASYN rounds per level.
    assert abs(int(after.reliable.sum()) - 34) <= (4 if name == "adasyn" else 0)
    assert after.weights.tolist() == [1.0] * len(after.points)


def test_repeated_levels_are_levels():
    before = levels()
    after = REBALANCERS["random_over"](before, AID)
    assert rows_of(after.points[after.reliable]) == rows_of(before.points[:6])


@pytest.mark.parametrize("name", ["smote", "adasyn"])
def test_new_levels_lie_between_two_of_the_minority(name):
    before = levels()
    after = REBALANCERS[name](before, AID)
    new = [p for p in after.points if tuple(p.tolist()) not in rows_of(before.points)]
    assert len(new) >= 24
    own = before.points[:6]
    for point in new:
        gaps = []
        for i in range(6):
            for j in range(6):
                if i == j:
                    continue
                edge = own[j] - own[i]
                share = np.clip((point - own[i]) @ edge / (edge @ edge), 0, 1)
                gaps.append(np.abs(own[i] + share * edge - point).max())
        assert min(gaps) < 1e-9


def test_under_sampling_drops_from_the_majority_only():
    before = levels()
    after = REBALANCERS["random_under"](before, AID)
    assert rows_of(after.points[after.reliable]) == rows_of(before.points[:6])
    assert int((~after.reliable).sum()) == 6
    assert rows_of(after.points) <= rows_of(before.points)


def test_weights_by_hand():
    after = REBALANCERS["class_weights"](levels(40, 10), AID)
    assert after.weights[:10].tolist() == [2.0] * 10
    assert after.weights[10:] == pytest.approx([2 / 3] * 30)
    assert after.weights.sum() == pytest.approx(40)


def test_none_changes_nothing():
    before = levels()
    assert REBALANCERS["none"](before, AID) is before


def test_synthetic_levels_are_certain_and_of_the_minority():
    points = np.random.default_rng(1).random((60, 2))
    counts = np.round(200 * (1 - 0.8 * points[:, 0])).astype(int)
    process = AccuracyProcess(200).fit(points, counts)
    reliable = counts >= 180
    assert 0 < reliable.sum() < 12
    before = LabelledLevels.even(points, reliable)
    aid = Aid(seed=0, process=process, threshold=0.9)
    after = REBALANCERS["gp_synthetic"](before, aid)
    added = after.points[60:]
    assert len(added) == 60 - 2 * int(reliable.sum())
    assert after.reliable[60:].all()
    assert (process.verdict(added, 0.9).probability >= CERTAIN).all()
    # The true surface reaches 0.9 up to x = 0.125.
    assert added[:, 0].max() < 0.13
    none = LabelledLevels.even(points, np.zeros(60, bool))
    assert REBALANCERS["gp_synthetic"](none, aid).reliable.sum() == 60
    unlikely = Aid(seed=0, process=process, threshold=1.0)
    assert len(REBALANCERS["gp_synthetic"](none, unlikely).points) == 60
    rarer_unreliable = LabelledLevels.even(points, np.arange(60) < 50)
    low = Aid(seed=0, process=process, threshold=0.3)
    fewer = REBALANCERS["gp_synthetic"](rarer_unreliable, low)
    assert not fewer.reliable[60:].any()
    assert (process.verdict(fewer.points[60:], 0.3).probability <= 1 - CERTAIN).all()


@pytest.mark.parametrize(
    ("name", "n_minority"),
    [("class_weights", 0), ("random_over", 0), ("random_under", 0), ("smote", 1), ("adasyn", 1)],
)
def test_too_few_of_the_rarer_label_are_refused(name, n_minority):
    with pytest.raises(InputError, match=f"got {n_minority}"):
        REBALANCERS[name](levels(20, n_minority), AID)


@pytest.mark.parametrize("name", ["random_over", "random_under", "smote", "adasyn"])
def test_even_labels_are_left_alone(name):
    before = levels(20, 10)
    assert REBALANCERS[name](before, AID) is before


def test_adasyn_without_mixed_neighbourhoods_is_refused():
    points = np.concatenate([np.zeros((6, 2)), np.ones((20, 2))]) + np.random.default_rng(0).normal(
        0, 1e-3, (26, 2)
    )
    with pytest.raises(InputError, match="choose another rebalancer"):
        REBALANCERS["adasyn"](LabelledLevels.even(points, np.arange(26) < 6), AID)


def test_unknown_names_and_a_missing_process_are_refused():
    with pytest.raises(InputError, match="did you mean smote"):
        rebalancer("smotee")
    assert rebalancer("none") is REBALANCERS["none"]
    with pytest.raises(InputError, match="Gaussian process"):
        REBALANCERS["gp_synthetic"](levels(), AID)


def test_the_rarer_label():
    assert levels(40, 6).minority
    assert not levels(40, 30).minority
    assert levels(40, 20).minority
    assert levels(40, 30).n_minority == 10
