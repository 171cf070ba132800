from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.levels import (
    AccuracyOracle,
    SearchOptions,
    counts_at,
    is_reliable,
    run_study,
    sobol_points,
)
from tests import small_gate


def test_the_mildest_level_comes_first(study, oracle):
    assert study.points[0].tolist() == oracle.space.mildest.tolist()
    assert study.mildest_accuracy == oracle.accuracy(oracle.space.mildest)
    assert len(study.points) == 40


def test_labels_are_counts_at_the_threshold(study):
    assert study.reliable.tolist() == [c / 150 >= 0.85 for c in study.n_correct.tolist()]
    assert 0.1 < study.reliable.mean() < 0.9


def test_the_rule_tells_levels_that_were_not_tried(study, oracle):
    judged = sobol_points(3, 96, seed=11)
    expected = is_reliable(counts_at(oracle, judged), 150, 0.85)
    found = study.rule.is_reliable(judged)
    f1 = 2 * (found & expected).sum() / (found.sum() + expected.sum())
    assert expected.mean() < 0.4
    assert f1 > 0.85
    # Every single level of a safe box is reliable, as far as 50 of them tell.
    ranges = study.ranges()
    assert ranges.factor > 0.1
    low = study.space.to_unit(np.array([each.low for each in ranges.jointly]))
    high = study.space.to_unit(np.array([each.high for each in ranges.jointly]))
    inside = low + sobol_points(3, 50, seed=4) * (high - low)
    assert is_reliable(counts_at(oracle, inside), 150, 0.85).mean() >= 0.95


def test_the_budget_is_counted_in_classifier_evaluations(study):
    body = study.to_json()
    assert body["budget"] == {
        "levels": 40,
        "images_per_level": 150,
        "classifier_evaluations": 6000,
        "evaluated_now": 6000,
    }
    assert len(body["levels"]) == 40
    assert body["levels"][0]["rotation"] == 0.0
    assert json.loads(json.dumps(body, allow_nan=False)) == body
    assert body["share_reliable"] == study.share_reliable


def test_a_study_goes_on_where_it_was_cut_short(images, oracle, study, tmp_path):
    kept = tmp_path / "levels.jsonl"
    options = SearchOptions(threshold=0.85, budget=40)

    def fresh():
        return AccuracyOracle(small_gate.classifier(), images, oracle.space, kept=kept)

    def stop(n, point, n_correct):
        if n == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(fresh(), options, on_level=stop)
    again = run_study(fresh(), options)
    assert again.n_evaluated == 25
    assert np.array_equal(again.points, study.points)
    assert again.n_correct.tolist() == study.n_correct.tolist()


def test_a_second_opinion_agrees_mostly_or_says_why_not(study):
    opinion = study.second_opinion("gp_synthetic")
    assert opinion["agreement"] > 0.7
    assert opinion["reason"] == ""
    only = replace(study, n_correct=np.full(40, 150))
    refused = only.second_opinion("smote")
    assert refused["agreement"] is None
    assert "SMOTE needs at least 2" in refused["reason"]
    with pytest.raises(InputError, match="SMOTE"):
        only.distortion_classifier("smote")
