"""What is pooled, over which rows, against whom: by plain loops over made-up scores."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest

from benchmarks.detection import MSP, Detection, mean_numbers
from benchmarks.held_out import ADAPTED_SCORES, SINGLE_SCORES
from benchmarks.ours import OURS, WITHOUT_SECOND
from benchmarks.peers import PEERS
from benchmarks.redraws import Redraws
from gatekeeper.metrics import aurc, failure_auroc, failure_auroc_difference
from tests.benchmarks.stub_rotation import CORRUPTIONS, N_IMAGES, StubRotation

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def rotation() -> StubRotation:
    return StubRotation("first")


@pytest.fixture(scope="module")
def detection(rotation: StubRotation) -> Detection:
    return Detection(rotation, SEEDS)


def rows_of(rotation: StubRotation, group: str, pool: str) -> np.ndarray:
    held_out = np.isin(rotation.kinds, CORRUPTIONS[group])
    return held_out if pool == "held-out" else ~held_out


@pytest.mark.parametrize("pool", ["seen", "held-out"])
def test_gap_closed(rotation: StubRotation, detection: Detection, pool: str) -> None:
    found = detection.gap_closed(pool)
    for seed, estimate in zip(SEEDS, found, strict=True):
        gaps = []
        for group in CORRUPTIONS:
            rows = rows_of(rotation, group, pool)
            ours = failure_auroc(rotation.ours(group, seed)["test"][rows], rotation.correct[rows])
            msp = failure_auroc(rotation.single(MSP)[rows], rotation.correct[rows])
            gaps.append((ours - msp) / (1 - msp))
        assert estimate.value == pytest.approx(fmean(gaps), abs=1e-12)
        assert estimate.influence.shape == (N_IMAGES,)


def test_aurc_cut(rotation: StubRotation, detection: Detection) -> None:
    cuts = []
    for group in CORRUPTIONS:
        rows = rows_of(rotation, group, "held-out")
        ours = aurc(rotation.ours(group, 1)["test"][rows], rotation.correct[rows])
        cuts.append(1 - ours / aurc(rotation.single(MSP)[rows], rotation.correct[rows]))
    assert detection.aurc_cut()[1].value == pytest.approx(fmean(cuts), abs=1e-12)


def test_best_single_score_is_chosen_with_hindsight(
    rotation: StubRotation, detection: Detection
) -> None:
    means = {}
    for name in SINGLE_SCORES:
        means[name] = fmean(
            failure_auroc(rotation.single(name)[rows], rotation.correct[rows])
            for rows in (rows_of(rotation, group, "held-out") for group in CORRUPTIONS)
        )
    for name in ADAPTED_SCORES:
        parts = []
        for group in CORRUPTIONS:
            held_out = rows_of(rotation, group, "held-out")
            among = held_out[rotation.grid.judged(group)]
            scores = rotation.adapted(name, group)[among]
            parts.append(failure_auroc(scores, rotation.correct[held_out]))
        means[f"{name}, fitted like ours"] = fmean(parts)
    best, found = detection.against_best_single()
    assert best == max(means, key=means.get)
    ours = fmean(
        failure_auroc(rotation.ours(group, 0)["test"][rows], rotation.correct[rows])
        for group, rows in ((g, rows_of(rotation, g, "held-out")) for g in CORRUPTIONS)
    )
    assert found[0].value == pytest.approx(ours - means[best], abs=1e-12)


def test_clean_comparison_is_delongs(rotation: StubRotation, detection: Detection) -> None:
    """On clean images each image is one row: the known paired interval must come out."""
    redraws = Redraws(N_IMAGES, n_draws=4000)
    clean = rotation.kinds == ""
    for one in detection.comparisons(redraws):
        if one.family or one.group != "noise":
            continue
        assert not one.held_out
        known = [
            failure_auroc_difference(
                rotation.ours("noise", seed)["test"][clean],
                rotation.single(MSP)[clean],
                rotation.correct[clean],
            )
            for seed in SEEDS
        ]
        assert one.ends.value == pytest.approx(fmean(k.value for k in known), abs=1e-12)
        reach = one.ends.value - fmean(k.low for k in known)
        assert one.ends.low == pytest.approx(one.ends.value - reach, abs=0.12 * reach)
        assert one.ends.high == pytest.approx(one.ends.value + reach, abs=0.12 * reach)
        return
    pytest.fail("no comparison on clean images")


def test_every_family_is_compared_under_every_group(detection: Detection) -> None:
    found = detection.comparisons(Redraws(N_IMAGES, n_draws=20))
    places = {(c.family, c.group): c.held_out for c in found}
    assert len(found) == len(places) == 4 * 2
    assert places["gaussian", "noise"]
    assert not places["gaussian", "digital"]
    assert places["pixelate", "digital"]
    assert not places["", "digital"]


def test_table_has_every_method_on_every_pool(rotation: StubRotation, detection: Detection) -> None:
    rows = detection.rows()
    places = [(row["method"], row["group"], row["pool"]) for row in rows]
    assert len(places) == len(set(places))
    adapted = {f"{name}, fitted like ours" for name in ADAPTED_SCORES}
    assert {p[0] for p in places if p[1:] == ("noise", "held-out")} == (
        {OURS, WITHOUT_SECOND} | set(PEERS) | set(SINGLE_SCORES) | adapted
    )
    assert {p[0] for p in places if p[1:] == ("", "clean")} == set(SINGLE_SCORES)
    assert all(row["gap_closed"] == 0.0 for row in rows if row["method"] == MSP)
    row = next(r for r in rows if (r["method"], r["group"], r["pool"]) == (OURS, "noise", "seen"))
    kept = rows_of(rotation, "noise", "seen")
    values = [
        failure_auroc(rotation.ours("noise", seed)["test"][kept], rotation.correct[kept])
        for seed in SEEDS
    ]
    assert row["failure_auroc"] == round(fmean(values), 5)
    assert row["seeds"] == 2


def test_severities_part_the_held_out_rows(rotation: StubRotation, detection: Detection) -> None:
    rows = [row for row in detection.severity_rows() if row["group"] == "noise"]
    assert [(row["method"], row["severity"]) for row in rows] == [
        (method, severity) for severity in (1, 5) for method in (OURS, MSP)
    ]
    kept = rows_of(rotation, "noise", "held-out") & (rotation.grid.severities == 5)
    assert rows[3]["aurc"] == round(aurc(rotation.single(MSP)[kept], rotation.correct[kept]), 5)


def test_numbers_are_averaged_over_seeds() -> None:
    assert mean_numbers([{"a": 0.1, "b": 1.0}, {"a": 0.2, "b": 0.0}]) == {"a": 0.15, "b": 0.5}
