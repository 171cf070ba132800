"""Paired tests against scipy, a full enumeration and known power."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from gatekeeper.evaluation import Answers, compare
from gatekeeper.evaluation.comparison import _mcnemar, _sign_flips
from gatekeeper.evaluation.redraws import redraws
from gatekeeper.evaluation.scopes import Scope


def answers(correct, msp=None) -> Answers:
    right = np.array(correct, dtype=bool)
    labels = np.zeros(right.shape[1], dtype=int)
    given = np.full(right.shape, 0.5) if msp is None else msp
    return Answers(labels=labels, raw_labels=np.where(right, 0, 1), msp=given, gate=None)


def rows(found, metric):
    return [each for each in found if each.metric == metric]


def test_mcnemar_is_the_exact_binomial_of_the_discordant():
    difference = np.array([1] * 8 + [-1] * 2 + [0] * 90)
    assert _mcnemar(difference) == pytest.approx(stats.binomtest(2, 10).pvalue)
    assert _mcnemar(difference) == pytest.approx(112 / 1024)
    assert _mcnemar(np.zeros(5)) == 1.0


def test_sign_flips_agree_with_all_flips_and_with_scipy(rng):
    difference = rng.normal(0.4, 1, size=12)
    sums = [abs(np.dot(signs, difference)) for signs in product((-1, 1), repeat=12)]
    exact = np.mean(np.array(sums) >= abs(difference.sum()) * (1 - 1e-12))
    assert _sign_flips(difference, 0) == pytest.approx(exact, abs=0.02)
    peer = stats.permutation_test(
        (difference,), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert exact == pytest.approx(peer.pvalue, abs=1e-9)
    assert _sign_flips(difference, 0) == _sign_flips(difference, 0)
    assert _sign_flips(np.zeros(9), 0) == 1.0
    assert _sign_flips(np.ones(40), 0) == 1 / 10_000


def test_a_pair_is_compared_on_every_scope_and_corrected(rng):
    base = rng.random((3, 80)) < 0.7
    better = base | (rng.random((3, 80)) < 0.5)
    given = {"a": answers(better, rng.random((3, 80))), "b": answers(base, rng.random((3, 80)))}
    scopes = [
        Scope(name="clean", conditions=np.array([0])),
        Scope(name="all", conditions=np.array([1, 2])),
    ]
    times = redraws(80, n_draws=100, seed=0)
    found = compare(given, scopes, times, target_risk=0.1, seed=0)
    clean, pooled = rows(found, "accuracy")
    assert (clean.first, clean.second, clean.scope) == ("a", "b", "clean")
    assert clean.value == pytest.approx(better[0].mean() - base[0].mean())
    assert clean.test == "exact McNemar"
    n_better = int((better[0] & ~base[0]).sum())
    assert clean.p_value == pytest.approx(2 * 0.5**n_better)  # never worse
    assert pooled.test == "sign flips over images"
    assert pooled.value == pytest.approx(better[1:].mean() - base[1:].mean())
    assert pooled.low > 0
    # Holm: the smaller p-value is doubled.
    smaller = min(clean, pooled, key=lambda each: each.p_value)
    assert smaller.adjusted_p_value == pytest.approx(2 * smaller.p_value)
    assert rows(found, "aurc")[0].p_value is None


def test_three_models_make_three_pairs_and_equal_ones_do_not_differ(rng):
    right, scores = rng.random((1, 50)) < 0.6, rng.random((1, 50))
    given = {name: answers(right, scores) for name in ("a", "b", "c")}
    scope = [Scope(name="clean", conditions=np.array([0]))]
    found = compare(given, scope, redraws(50, n_draws=30, seed=0), target_risk=0.1, seed=0)
    assert [(each.first, each.second) for each in rows(found, "accuracy")] == [
        ("a", "b"), ("a", "c"), ("b", "c"),
    ]  # fmt: skip
    assert all(each.value == each.low == each.high == 0.0 for each in found)
    assert all(each.adjusted_p_value == 1.0 for each in rows(found, "accuracy"))


def test_rankings_are_not_compared_where_nothing_can_be_ranked():
    given = {"a": answers([[1, 1, 1]]), "b": answers([[1, 0, 1]])}
    scope = [Scope(name="clean", conditions=np.array([0]))]
    found = compare(given, scope, redraws(3, n_draws=30, seed=0), target_risk=0.1, seed=0)
    assert rows(found, "failure_auroc")[0].value is None
    assert rows(found, "accuracy")[0].value == pytest.approx(1 / 3)
