"""Streams and their figures, counted again by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.errors import InputError
from gatekeeper.evaluation.streams import (
    Streams,
    clean_harm,
    conditions_flags,
    coverage_at_risk,
    curves,
    decided,
    examples,
    family_of,
    judge_streams,
    summarise,
    telling_rows,
)
from gatekeeper.evidence import TableBuilder
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.routing import Arbiter, Budget
from tests import small_gate


@pytest.fixture(scope="module")
def fitted():
    return small_gate.small().result.fitted


@pytest.fixture(scope="module")
def streams(fitted) -> Streams:
    data, recipe = small_gate.digits(), small_gate.recipe()
    return judge_streams(
        fitted, data, small_gate.splits(), recipe.conditions,
        builder=TableBuilder(data, fitted.classifier, fitted.restorers),
        doubt_below=recipe.policy.doubt_below, seed=0,
    )  # fmt: skip


def test_every_stream_holds_each_test_image_once(streams: Streams) -> None:
    test = sorted(small_gate.splits().test.tolist())
    for judged in [*streams.streams.values(), *streams.families.values()]:
        assert sorted(judged.plan.positions.tolist()) == test


def test_streams_hold_what_they_declare(streams: Streams) -> None:
    seen, held_out = {"impulse", "dark", "gaussian"}, {"contrast", "speckle"}
    kinds = {name: set(j.plan.corruptions.tolist()) for name, j in streams.streams.items()}
    assert kinds == {
        "clean": {""},
        "declared": {"", *seen},
        "open": {"", *seen, *held_out},
        "seen_families": seen,
        "held_out_families": held_out,
    }
    families = {name: set(j.plan.corruptions.tolist()) for name, j in streams.families.items()}
    assert families == {family_of(name): {name} for name in seen | held_out}
    assert set(streams.held_out) == {family_of(name) for name in held_out}
    assert family_of("dark") == "+".join(CORRUPTIONS["dark"].families)


def test_figures_by_hand(fitted, streams: Streams) -> None:
    judged = streams.streams["declared"]
    found = summarise(fitted, judged)
    gate = fitted.gate
    accepted = wrong = restored = helped = harmed = 0
    for i in range(len(judged)):
        second = judged.restored_reliability[i]
        outcome = gate.decide(judged.raw_reliability[i], None if np.isnan(second) else second)
        final = judged.restored_labels[i] if outcome.keep_restored else judged.raw_labels[i]
        raw_right, right = judged.raw_labels[i] == judged.labels[i], final == judged.labels[i]
        accepted += outcome.action == "accept"
        wrong += outcome.action == "accept" and not right
        restored += judged.raw_reliability[i] < gate.accept_raw_at and not np.isnan(second)
        helped += right and not raw_right
        harmed += raw_right and not right
    assert (found["n"], found["n_accepted"], found["n_wrong_accepted"]) == (600, accepted, wrong)
    assert (found["help"], found["harm"]) == (helped, harmed)
    assert found["coverage"] == accepted / 600
    assert found["selective_risk"] == wrong / accepted
    assert found["restored_share"] == restored / 600
    right = judged.raw_labels == judged.labels
    assert found["accuracy_no_gate"] == right.mean()
    np.testing.assert_allclose(
        found["failure_auroc"]["gatekeeper"], roc_auc_score(right, judged.raw_score)
    )
    np.testing.assert_allclose(found["failure_auroc"]["msp"], roc_auc_score(right, judged.msp))
    json.dumps(found, allow_nan=False)


def test_clean_harm_counts_right_answers_turned_wrong(fitted, streams: Streams) -> None:
    clean = streams.streams["clean"]
    found = clean_harm(fitted, clean)
    assert found["clean_flips"] == summarise(fitted, clean)["harm"]
    assert found["clean_correct"] == (clean.raw_labels == clean.labels).sum()
    assert found["clean_harm_rate"] == found["clean_flips"] / found["clean_correct"]
    assert found["clean_harm_rate"] < found["clean_harm_upper_bound"] < 0.1


def test_coverage_at_risk_with_one_threshold_is_the_best_prefix(fitted, streams: Streams) -> None:
    judged = streams.streams["open"]
    order = np.argsort(-judged.raw_score)
    wrong = np.cumsum(judged.raw_labels[order] != judged.labels[order])
    kept = np.flatnonzero(wrong <= 0.1 * np.arange(1, 601))
    found = coverage_at_risk(fitted, judged, 0.1)
    assert found["raw"] == (kept[-1] + 1) / 600  # scores are all different
    assert len(np.unique(judged.raw_score)) == 600
    assert all(0 <= value <= 1 for value in found.values())


def test_curves_rise_in_coverage_and_stay_thin(fitted, streams: Streams) -> None:
    for curve in curves(fitted, streams.streams["open"]).values():
        assert len(curve.coverage) <= 300
        assert (np.diff(curve.coverage) > 0).all()
        assert curve.coverage[-1] == 1.0


def test_conditions_are_flagged_where_traffic_differs(fitted, streams: Streams) -> None:
    assert not conditions_flags(fitted, streams.streams["declared"])["flagged"]
    assert conditions_flags(fitted, streams.families[family_of("contrast")])["flagged"]
    short = streams.streams["clean"].take(np.arange(10))
    assert "not tested" in conditions_flags(fitted, short)["reason"]


def test_examples_show_what_was_judged(fitted, streams: Streams) -> None:
    judged = streams.streams["declared"]
    rows = telling_rows(fitted, judged, per_kind=2)
    assert len(rows)
    found = examples(Gatekeeper(fitted, "c"), small_gate.digits(), judged, rows)
    for example, row in zip(found, rows, strict=True):
        assert example.truth == judged.labels[row]
        assert (example.corruption or "") == judged.plan.corruptions[row]
        assert example.received.shape == (28, 28, 3)
        assert example.received.dtype == np.uint8
        assert (example.restored is not None) == (len(example.decision.attempts) == 2)
        assert example.decision.attempts[0].label == judged.raw_labels[row]
        if example.corruption is None:
            pixels = small_gate.digits().images[judged.plan.positions[row]]
            np.testing.assert_array_equal(example.received[..., 0], pixels)
    with pytest.raises(InputError, match="within the 600 judged"):
        examples(Gatekeeper(fitted, "c"), small_gate.digits(), judged, np.array([600]))


def test_the_restored_image_shown_is_that_of_the_answer_that_counts(fitted) -> None:
    # Two restorers are tried on every doubted image; the second one makes it worse.
    restorers = {"median": fitted.restorers["median"], "exposure": fitted.restorers["exposure"]}
    order = np.array(["median", "exposure"])
    budget = Budget(costs=dict.fromkeys(order.tolist(), 1.0), look_cost=1.0, max_attempts=2)

    class Always(Arbiter):
        def plan(self, first, allowed):
            return np.broadcast_to(order, (len(first), 2)).copy()

    strict = replace(fitted.gate, accept_raw_at=0.999, accept_restored_at=0.999)
    gatekeeper = Gatekeeper(
        replace(fitted, arbiter=Always(budget), gate=strict, restorers=restorers), "c"
    )
    images = small_gate.stream_images(24)
    counted = set()
    for image, (decision, restored) in zip(images, decided(gatekeeper, images), strict=True):
        tried = decision.attempts[1:]
        if not tried:
            assert restored is None
            continue
        best = max(tried, key=lambda attempt: attempt.reliability).restorer
        counted.add((best, len(tried)))
        expected = restorers[best].restore(image[None], seeds=np.zeros(1, dtype=np.int64))[0]
        pixels = (expected * 255).round().byte().permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(restored, pixels)
    # Not always the last one that was tried.
    assert {("median", 2), ("exposure", 2)} <= counted
