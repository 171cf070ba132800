"""Selective metrics by hand arithmetic, brute force, identities and scikit-learn."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from gatekeeper.errors import InputError
from gatekeeper.metrics.selective import (
    RiskCoverageCurve,
    augrc,
    aurc,
    e_aurc,
    failure_auroc,
    failure_auroc_difference,
    fpr_at_95_tpr,
    ideal_coverage,
)

# Few distinct scores, so that ties are the rule.
TIED_SAMPLES = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30)
MIXED_SAMPLES = TIED_SAMPLES.filter(lambda rows: len({right for _, right in rows}) == 2)


def columns(rows):
    scores, correct = zip(*rows, strict=True)
    return np.array(scores) / 5.0, np.array(correct)


def sample(n, seed, *, decimals=None):
    rng = np.random.default_rng(seed)
    scores = rng.beta(3.0, 1.0, n)
    correct = rng.random(n) < scores
    return (scores if decimals is None else scores.round(decimals)), correct


def test_curve_by_hand_with_a_tie():
    curve = RiskCoverageCurve.from_scores([0.5, 0.9, 0.1, 0.5], [False, True, True, True])
    assert curve.threshold.tolist() == [0.9, 0.5, 0.1]
    assert curve.coverage.tolist() == [0.25, 0.75, 1.0]
    assert curve.selective_risk.tolist() == pytest.approx([0.0, 1 / 3, 0.25])


def test_curve_is_that_of_scikit_learn_seen_from_the_other_side():
    scores, correct = sample(500, 1, decimals=2)
    curve = RiskCoverageCurve.from_scores(scores, correct)
    precision, _, threshold = sklearn_metrics.precision_recall_curve(correct, scores)
    assert curve.threshold.tolist() == threshold[::-1].tolist()
    assert curve.selective_risk == pytest.approx(1.0 - precision[-2::-1], abs=1e-12)


def test_coverage_at_risk_takes_the_last_crossing_and_accepts_equality():
    # Risks along the curve: 1, 1/2, 1/3, 1/4, 2/5.
    curve = RiskCoverageCurve.from_scores([5, 4, 3, 2, 1], [False, True, True, True, False])
    assert curve.coverage_at_risk(0.25) == 0.8
    assert curve.coverage_at_risk(0.4) == 1.0
    assert curve.coverage_at_risk(0.2499) == 0.0
    with pytest.raises(InputError, match="max_risk"):
        curve.coverage_at_risk(5.0)


def test_coverage_at_risk_does_not_split_a_tie():
    curve = RiskCoverageCurve.from_scores([1, 1, 1, 0], [True, True, False, True])
    assert curve.coverage_at_risk(0.3) == 1.0  # 1/4 at the end, although 1/3 within the tie
    assert curve.coverage_at_risk(0.1) == 0.0


def test_aurc_and_e_aurc_by_hand():
    scores, correct = [0.9, 0.8, 0.7], [True, False, True]
    assert aurc(scores, correct) == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    assert e_aurc(scores, correct) == pytest.approx((1 / 2 + 1 / 3) / 3 - (1 / 3) / 3)


@given(TIED_SAMPLES)
def test_aurc_is_the_mean_risk_at_each_rows_own_threshold(rows):
    scores, correct = columns(rows)
    risks = [1.0 - correct[scores >= own].mean() for own in scores]
    assert aurc(scores, correct) == pytest.approx(np.mean(risks), abs=1e-12)


def test_aurc_keeps_ties_together_where_random_tie_breaking_would_split_them():
    scores, correct = np.array([0.9, 0.5, 0.5]), np.array([True, False, True])
    broken = [aurc([3, 2, 1], correct[[0, *order]]) for order in permutations([1, 2])]
    assert aurc(scores, correct) == pytest.approx(2 / 9)
    assert np.mean(broken) == pytest.approx(7 / 36)


def test_augrc_is_the_average_over_random_tie_breaking():
    scores = np.array([2, 1, 1, 1, 1, 0])
    correct = np.array([True, False, True, False, True, False])
    ranks = np.arange(6)[::-1]
    broken = [augrc(ranks, correct[[0, *order, 5]]) for order in permutations([1, 2, 3, 4])]
    assert augrc(scores, correct) == pytest.approx(np.mean(broken), abs=1e-12)


def test_augrc_by_hand():
    # Generalized risk 0, 1/3, 1/3 at coverage 1/3, 2/3, 1: trapezoids 0 + 1/18 + 1/9.
    assert augrc([0.9, 0.8, 0.7], [True, False, True]) == pytest.approx(1 / 6)


@given(MIXED_SAMPLES)
def test_augrc_identity_is_exact(rows):
    scores, correct = columns(rows)
    error = 1.0 - correct.mean()
    expected = (1 - failure_auroc(scores, correct)) * error * (1 - error) + error**2 / 2
    assert augrc(scores, correct) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(50, 400))
def test_mean_generalized_risk_is_augrc_to_order_one_over_n(seed, n):
    """The other usual discretisation, the plain mean over rows, differs by at most 1/n."""
    rng = np.random.default_rng(seed)
    scores, correct = rng.permutation(n), rng.random(n) < 0.7
    mean = np.mean(np.cumsum(~correct[np.argsort(-scores)]) / n)
    assert abs(mean - augrc(scores, correct)) <= 1.0 / n


@given(TIED_SAMPLES, st.randoms(use_true_random=False))
def test_row_order_and_monotone_transforms_change_nothing(rows, random):
    scores, correct = columns(rows)
    shuffled = list(range(len(scores)))
    random.shuffle(shuffled)
    for metric in (aurc, e_aurc, augrc):
        value = metric(scores, correct)
        assert metric(scores[shuffled], correct[shuffled]) == pytest.approx(value, abs=1e-12)
        assert metric(np.exp(3 * scores), correct) == pytest.approx(value, abs=1e-12)


@given(TIED_SAMPLES)
def test_nothing_beats_the_oracle(rows):
    scores, correct = columns(rows)
    assert 0.0 <= e_aurc(scores, correct) <= aurc(scores, correct)


def test_oracle_tends_to_its_closed_form_and_is_reached_by_a_perfect_ranking():
    n, error = 200_000, 0.3
    correct = np.arange(n) >= error * n
    limit = error + (1 - error) * np.log(1 - error)
    assert aurc(np.arange(n), correct) == pytest.approx(limit, abs=1e-5)
    assert e_aurc(np.arange(n), correct) == pytest.approx(0.0, abs=1e-12)
    assert augrc(np.arange(n), correct) == pytest.approx(error**2 / 2, abs=1e-12)


def test_all_right_all_wrong_and_one_image():
    scores = [0.2, 0.4, 0.9]
    right, wrong = [True] * 3, [False] * 3
    assert (aurc(scores, right), e_aurc(scores, right), augrc(scores, right)) == (0, 0, 0)
    assert (aurc(scores, wrong), e_aurc(scores, wrong), augrc(scores, wrong)) == (1, 0, 0.5)
    assert (aurc([0.7], [True]), aurc([0.7], [False]), augrc([0.7], [False])) == (0, 1, 0.5)
    for metric in (failure_auroc, fpr_at_95_tpr):
        with pytest.raises(InputError, match="all right"):
            metric(scores, right)
        with pytest.raises(InputError, match="all wrong"):
            metric(scores, wrong)


def test_a_constant_score_is_uninformative():
    correct = np.array([True] * 7 + [False] * 3)
    assert aurc(np.zeros(10), correct) == pytest.approx(0.3)
    assert augrc(np.zeros(10), correct) == pytest.approx(0.15)
    assert failure_auroc(np.zeros(10), correct) == 0.5
    assert fpr_at_95_tpr(np.zeros(10), correct) == 1.0


@pytest.mark.parametrize(
    "metric", [aurc, e_aurc, augrc, failure_auroc, fpr_at_95_tpr, RiskCoverageCurve.from_scores]
)
@pytest.mark.parametrize(
    ("scores", "correct"),
    [
        ([0.1, 0.2, 0.3], [True, False]),
        ([0.1, float("nan")], [True, False]),
        ([], []),
        ([0.1, 0.2], [1, 0]),
    ],
)
def test_bad_input_is_refused_by_every_metric(metric, scores, correct):
    with pytest.raises(InputError):
        metric(scores, correct)


def test_failure_auroc_by_hand_with_a_tie():
    assert failure_auroc([0.9, 0.5, 0.5], [True, True, False]) == 0.75


@pytest.mark.parametrize("decimals", [None, 1])
def test_failure_auroc_is_that_of_scikit_learn(decimals):
    scores, correct = sample(1000, 2, decimals=decimals)
    expected = sklearn_metrics.roc_auc_score(correct, scores)
    assert failure_auroc(scores, correct) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("decimals", [None, 1])
def test_fpr_at_95_tpr_is_that_of_scikit_learn(decimals):
    scores, correct = sample(1000, 3, decimals=decimals)
    fpr, tpr, _ = sklearn_metrics.roc_curve(correct, scores, drop_intermediate=False)
    assert fpr_at_95_tpr(scores, correct) == pytest.approx(fpr[tpr >= 0.95][0], abs=1e-12)


def test_fpr_at_95_tpr_stops_at_exactly_19_of_20():
    scores = np.arange(23)[::-1]
    correct = np.array([True] * 18 + [False, True, False, True, False])
    assert fpr_at_95_tpr(scores, correct) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("error", "target", "expected"),
    [(0.12, 0.01, 0.88 / 0.99), (0.03, 0.05, 1.0), (0.0, 0.0, 1.0), (1.0, 0.05, 0.0)],
)
def test_ideal_coverage(error, target, expected):
    assert ideal_coverage(error, target) == pytest.approx(expected)


def test_ideal_coverage_is_what_a_perfect_ranking_reaches():
    correct = np.arange(1000) >= 200
    reached = RiskCoverageCurve.from_scores(np.arange(1000), correct).coverage_at_risk(0.05)
    assert reached == pytest.approx(ideal_coverage(0.2, 0.05), abs=1 / 1000)


@pytest.mark.parametrize(("error", "target"), [(-0.1, 0.05), (0.1, 1.0), (0.1, 5.0)])
def test_ideal_coverage_refuses_what_is_no_share(error, target):
    with pytest.raises(InputError):
        ideal_coverage(error, target)


def test_difference_of_failure_auroc_against_a_paired_bootstrap():
    rng = np.random.default_rng(4)
    truth = rng.normal(size=1200)
    correct = truth + rng.normal(size=1200) > -0.8
    a, b = truth + rng.normal(size=1200), truth + 1.5 * rng.normal(size=1200)
    difference = failure_auroc_difference(a, b, correct)
    redrawn = []
    for _ in range(1000):
        rows = rng.integers(1200, size=1200)
        redrawn.append(
            failure_auroc(a[rows], correct[rows]) - failure_auroc(b[rows], correct[rows])
        )
    assert difference.value == pytest.approx(failure_auroc(a, correct) - failure_auroc(b, correct))
    half_width = stats.norm.ppf(0.95) * np.std(redrawn)
    assert difference.high - difference.value == pytest.approx(half_width, rel=0.08)
    assert difference.value - difference.low == pytest.approx(half_width, rel=0.08)
    # One-sided: 5 % of the redraws lie below `low`, not 2.5 %.
    assert difference.low == pytest.approx(np.quantile(redrawn, 0.05), abs=0.1 * half_width)


def test_difference_variance_against_the_definition_with_ties():
    scores_a, correct = sample(60, 5, decimals=1)
    scores_b = np.random.default_rng(6).random(60).round(1)

    def kernel(scores):
        right, wrong = scores[correct][:, None], scores[~correct][None, :]
        return (right > wrong) + 0.5 * (right == wrong)

    gap = kernel(scores_a) - kernel(scores_b)
    variance = gap.mean(1).var(ddof=1) / gap.shape[0] + gap.mean(0).var(ddof=1) / gap.shape[1]
    reach = stats.norm.ppf(0.9) * np.sqrt(variance)
    difference = failure_auroc_difference(scores_a, scores_b, correct, confidence_level=0.9)
    assert difference.value == pytest.approx(gap.mean(), abs=1e-12)
    assert difference.low == pytest.approx(gap.mean() - reach, abs=1e-12)
    assert difference.high == pytest.approx(gap.mean() + reach, abs=1e-12)


def test_difference_of_equal_scores_is_nothing_and_changes_sign_with_the_order():
    scores, correct = sample(200, 7)
    other = np.random.default_rng(8).random(200)
    same = failure_auroc_difference(scores, 2 * scores, correct)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    there = failure_auroc_difference(scores, other, correct)
    back = failure_auroc_difference(other, scores, correct)
    assert there.low > 0.0
    assert (back.value, back.low) == pytest.approx((-there.value, -there.high))


@pytest.mark.parametrize("correct", [[True, True, True, False], [False, False, False, True]])
def test_difference_needs_two_of_each_kind(correct):
    with pytest.raises(InputError, match="two right and two wrong"):
        failure_auroc_difference([1, 2, 3, 4], [4, 3, 2, 1], correct)


def test_difference_refuses_other_lengths_and_levels():
    with pytest.raises(InputError, match="one per score"):
        failure_auroc_difference([1, 2, 3, 4], [1, 2, 3], [True, True, False, False])
    with pytest.raises(InputError, match="confidence_level"):
        failure_auroc_difference([1, 2], [1, 2], [True, False], confidence_level=1.0)
