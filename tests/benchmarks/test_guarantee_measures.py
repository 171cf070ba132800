"""What is measured of one gate, against the gate itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks import guarantee_measures
from benchmarks.guarantee_fits import GateFit
from benchmarks.guarantee_measures import (
    LEVELS,
    MAPIE,
    MSP,
    OURS,
    RISKS,
    SGR,
    WITHOUT_RESTORATION,
    kept_answers,
    measure,
    variants,
    walk_of,
)
from benchmarks.kept import Store
from gatekeeper.fitting import path_through
from gatekeeper.gate import Gate
from tests.small_gate import recipe, small

TARGET, LEVEL, DRAWS = 0.1, 0.95, 25


@cache
def fit() -> GateFit:
    """The small gate; its certify images stand in for the population."""
    result = small().result
    return GateFit(
        key="small",
        recipe=recipe(),
        margin=result.fitted.gate.switch_margin,
        calibrate=result.calibrate,
        certify=result.certify,
        test=result.certify,
        flag_level=0.01,
        declared_p=np.ones(2),
        held_out=("contrast",),
        severities=np.array([3]),
        held_out_p=np.zeros((1, 2)),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("peers"))


@pytest.fixture(scope="module")
def measured(store: Store):  # Measured
    return measure(fit(), n_draws=DRAWS, store=store)


def rows(measured, table: str, **wanted: object) -> list[dict]:
    return [
        row
        for row in measured.rows
        if row["table"] == table and all(row[key] == value for key, value in wanted.items())
    ]


def test_baseline_orders_by_the_maximum_softmax_and_restores_nothing() -> None:
    found = variants(fit())
    msp = found[MSP].population
    order = np.argsort(fit().test.msp)
    assert (np.diff(msp.raw_reliability[order]) >= 0).all()
    assert np.mean(msp.raw_reliability) == pytest.approx(msp.raw_correct.mean(), abs=0.05)
    for name in (MSP, WITHOUT_RESTORATION):
        assert np.isnan(found[name].population.restored_reliability).all()
        assert np.isnan(found[name].calibrate.restored_reliability).all()
    assert found[OURS].population is fit().test


def test_final_score_accepts_what_the_policy_accepts() -> None:
    scores, correct = kept_answers(fit())
    judged = fit().test
    for threshold in (0.3, 0.7, 0.95):
        gate = Gate(
            accept_raw_at=threshold, accept_restored_at=threshold, switch_margin=fit().margin
        )
        replay = gate.replay(judged.raw_reliability, judged.restored_reliability)
        assert np.array_equal(scores >= threshold, replay.accepted)
    raw_kept = scores == judged.raw_reliability
    assert np.array_equal(correct[raw_kept], judged.raw_correct[raw_kept])


def test_path_is_frozen_on_calibrate() -> None:
    walk = walk_of(fit(), variants(fit())[OURS], TARGET)
    path = path_through(fit().calibrate, fit().margin, fit().recipe.policy)
    accepted, wrong = fit().test.counts(path, fit().margin)
    assert walk.accepted.sum(axis=0).tolist() == accepted.tolist()
    assert walk.wrong.sum(axis=0).tolist() == wrong.tolist()


def test_every_way_target_and_level_has_a_row(measured) -> None:
    for method in (OURS, WITHOUT_RESTORATION, MSP):
        for risk in RISKS:
            for level in LEVELS:
                found = rows(
                    measured,
                    "certified on redraws",
                    method=method,
                    target_risk=risk,
                    confidence_level=level,
                )
                assert len(found) == 1
                assert found[0]["draws"] == DRAWS
                assert 0 <= found[0]["violations"] <= DRAWS * found[0]["certified_share"] + 1e-9


def test_figures_agree_with_rows(measured) -> None:
    def row(method: str, level: float = LEVEL) -> dict:
        wanted = {"method": method, "target_risk": TARGET, "confidence_level": level}
        (found,) = rows(measured, "certified on redraws", **wanted)
        return found

    assert row(OURS)["certified_coverage"] == pytest.approx(measured.ours.coverage.mean(), abs=1e-5)
    assert row(OURS)["certified_coverage"] > 0
    gain = row(OURS)["certified_coverage"] - row(MSP)["certified_coverage"]
    assert measured.gain.mean() == pytest.approx(gain, abs=2e-5)
    assert measured.gain.shape == (len(fit().test),)
    assert measured.violations == {level: row(OURS, level)["violations"] for level in LEVELS}
    assert row(SGR)["certified_coverage"] == pytest.approx(
        measured.peers[SGR].coverage.mean(), abs=1e-5
    )


def test_peers_do_not_beat_the_walk_by_much(measured) -> None:
    """All guarantee the same on the same draws; more looks cost the peers coverage."""
    assert measured.peers[SGR].coverage.mean() <= measured.ours.coverage.mean() + 0.02
    assert measured.peers[SGR].certified.any()


def test_certificate_and_groups_are_those_of_the_gate(measured) -> None:
    certificate = small().result.fitted.certificate
    (whole,) = rows(measured, "certificate", group="all")
    assert whole["certified"] == certificate["certified"]
    assert whole["n_accepted"] == certificate["n_accepted"]
    assert whole["n_wrong"] == certificate["n_wrong"]
    stated = [row for row in rows(measured, "certificate") if row["group"] != "all"]
    assert [row["group"] for row in stated] == [g["name"] for g in certificate["groups"]]
    assert [row["n_wrong"] for row in stated] == [g["n_wrong"] for g in certificate["groups"]]
    claimed = rows(measured, "group claims on redraws")
    assert [row["group"] for row in claimed] == ["any", *(row["group"] for row in stated)]
    assert claimed[0]["violations"] >= max(row["violations"] for row in claimed[1:])


def test_other_mixes_are_judged_on_their_own_images(measured) -> None:
    found = rows(measured, "certified on redraws of another mix", confidence_level=LEVEL)
    assert [row["clean_share"] for row in found] == [0.8, 0.2]
    n_clean = int((fit().test.plan.corruptions == "").sum())
    assert (
        found[0]["n_population"] > n_clean > found[1]["n_population"] - (len(fit().test) - n_clean)
    )
    # Cleaner traffic is easier.
    assert found[0]["certified_coverage"] >= found[1]["certified_coverage"]


def test_peers_are_kept_on_disk(
    measured,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guarantee_measures, "sgr", None)
    again = measure(fit(), n_draws=DRAWS, store=store)
    assert np.array_equal(again.peers[SGR].coverage, measured.peers[SGR].coverage)


def test_without_mapie_its_rows_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarantee_measures, "mapie_is_there", lambda: False)
    found = measure(fit(), n_draws=5, store=Store(tmp_path))
    assert set(found.peers) == {SGR}
    assert not any(row.get("method") in MAPIE for row in found.rows)
