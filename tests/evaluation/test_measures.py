"""Figures by hand, against scikit-learn, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from gatekeeper.errors import InputError
from gatekeeper.evaluation import View, measure
from gatekeeper.evaluation.measures import clean_harm_rate
from gatekeeper.evaluation.redraws import redraws
from gatekeeper.metrics import exact_proportion_interval, noise_floor


def view(correct, accepted=None, raw=None, stated=None) -> View:
    right = np.array(correct, dtype=bool)
    given = np.full(right.shape, 0.5) if stated is None else np.array(stated)
    gated = accepted is not None
    return View(
        scores=given,
        stated=given,
        correct=right,
        raw_correct=right if raw is None else np.array(raw, dtype=bool),
        accepted=np.array(accepted, dtype=bool) if gated else None,
        restored=np.zeros(right.shape, dtype=bool) if gated else None,
    )


def values(found):
    return {name: value.value for name, (value, _) in found.items()}


def measured(given: View, **options):
    times = redraws(given.correct.shape[1], n_draws=30, seed=0)
    return measure(given, times, target_risk=0.2, seed=0, **options)


def test_a_stream_by_hand():
    # Ten images, once each: eight accepted of which two are wrong.
    accepted = [[1] * 8 + [0] * 2]
    correct, raw = [[1, 1, 1, 1, 1, 1, 0, 0, 0, 1]], [[1, 1, 1, 1, 0, 0, 1, 0, 0, 1]]
    found = measured(view(correct, accepted, raw))
    expected = {"accuracy": 0.7, "coverage": 0.8, "risk": 0.25, "help": 0.2, "harm": 0.1}
    expected |= {"help_harm": 2.0, "restored": 0.0, "aurc": 0.3, "aurc_random": 0.3}
    expected |= {"augrc": 0.15, "augrc_random": 0.15, "augrc_oracle": 0.045}
    assert {name: values(found)[name] for name in expected} == pytest.approx(expected)
    for name, ends in {"risk": (2, 8), "coverage": (8, 10), "accuracy": (7, 10)}.items():
        estimate = found[name][0]
        assert (estimate.low, estimate.high) == exact_proportion_interval(*ends)
    # The oracle accepts the seven right ones first: risks 0 seven times, 1/8, 2/9, 3/10.
    assert values(found)["aurc_oracle"] == pytest.approx((1 / 8 + 2 / 9 + 3 / 10) / 10)
    assert values(found)["coverage_at_risk_oracle"] == pytest.approx(0.7 / 0.8)


def test_a_classifier_against_scikit_learn(rng):
    stated = rng.random((4, 50))
    correct = rng.random((4, 50)) < stated
    found = measured(view(correct, stated=stated))
    assert "coverage" not in found
    auroc = roc_auc_score(correct.ravel(), stated.ravel())
    assert values(found)["failure_auroc"] == pytest.approx(auroc, abs=1e-12)
    brier = brier_score_loss(correct.ravel(), stated.ravel())
    assert values(found)["brier"] == pytest.approx(brier, abs=1e-12)
    for name in ("failure_auroc", "aurc", "ece", "brier", "accuracy", "smooth_ece"):
        estimate = found[name][0]
        assert estimate.low < estimate.value < estimate.high, name
    assert found["ece"][1] == noise_floor(stated.ravel(), n_draws=100, seed=0)
    assert found["accuracy"][1] is None
    assert "smooth_ece" not in measured(view(correct, stated=stated), smooth=False)


def test_rows_of_one_image_are_no_more_evidence_than_the_image():
    # Twenty conditions under which every image behaves alike: as much as one condition.
    once = np.array([[1] * 15 + [0] * 5])
    many = np.repeat(once, 20, axis=0)
    wide = measured(view(many))["accuracy"][0]
    assert wide.value == 0.75
    # A binomial over 400 independent rows would be a third of that.
    assert wide.high - wide.low > 0.25


def test_what_is_never_seen_keeps_an_upper_bound_over_images():
    found = measured(view(np.ones((3, 20)), accepted=np.ones((3, 20))))
    assert found["harm"][0].value == 0.0
    assert found["harm"][0].high == exact_proportion_interval(0, 20)[1]
    assert found["risk"][0].high == exact_proportion_interval(0, 20)[1]
    assert found["accuracy"][0].low == exact_proportion_interval(20, 20)[0]
    assert found["failure_auroc"][0].value is None
    assert found["help_harm"][0].value is None


def test_risk_is_not_defined_where_nothing_is_accepted():
    for n_conditions in (1, 3):
        shape = (n_conditions, 6)
        found = measured(view(np.eye(*shape), accepted=np.zeros(shape)))
        assert found["risk"][0].value is None
        assert found["coverage"][0].value == 0.0


def test_help_and_harm_over_many_conditions():
    raw = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    final = np.array([[1, 0, 1, 0], [1, 1, 1, 0]])
    found = measured(view(final, accepted=np.ones((2, 4)), raw=raw))
    assert values(found)["help_harm"] == 3.0
    assert values(found)["help"] == 3 / 8
    assert values(found)["harm"] == 1 / 8


def test_clean_harm_is_of_the_answers_that_were_right():
    raw, final = [[1] * 9 + [0]], [[1] * 8 + [0, 1]]
    rate, flips, n_right = clean_harm_rate(view(final, accepted=[[1] * 10], raw=raw))
    assert (flips, n_right) == (1, 9)
    assert rate.value == pytest.approx(1 / 9)
    assert rate.high == pytest.approx(0.4291, abs=1e-4)  # one-sided exact: B(1; 9, p) = 0.05
    nothing = clean_harm_rate(view([[0, 1]], accepted=[[1, 1]], raw=[[0, 0]]))
    assert nothing[0].value is None


def test_a_view_without_actions_has_no_gated_figures():
    given = view([[1, 0]])
    broken = View(scores=given.scores, stated=given.stated, correct=given.correct,
                  raw_correct=given.raw_correct, accepted=given.correct)  # fmt: skip
    with pytest.raises(InputError, match="gated view"):
        measured(broken)
