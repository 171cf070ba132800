"""Several subjects on the same images: paired differences and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import stats

from gatekeeper.evaluation.answers import Answers
from gatekeeper.evaluation.redraws import Ranking, estimate
from gatekeeper.evaluation.scopes import Scope
from gatekeeper.evaluation.views import View, main_view
from gatekeeper.metrics import aurc, failure_auroc
from gatekeeper.risk_control.multiple import adjusted_by_holm
from gatekeeper.types import FloatArray, IntArray

_FLIPS = 9_999
_CHUNK = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of one subject less that of another, on the same images and conditions.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        scope: Of ``MAIN_SCOPES``.
        metric: ``accuracy`` of the final answers, ``failure_auroc`` or ``aurc``.
        value: First minus second; None where one of them is not defined.
        low: Lower end of the paired two-sided 95 % interval.
        high: Upper end.
        test: ``exact McNemar`` or ``sign flips over images``; None where none was made.
        p_value: Two-sided, that both are equally accurate.
        adjusted_p_value: After Holm, over all tests of the evaluation.
    """

    first: str
    second: str
    scope: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    test: str | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None


def compare(
    answers: Mapping[str, Answers],
    scopes: Sequence[Scope],
    times: IntArray,
    *,
    target_risk: float,
    seed: int,
) -> list[Comparison]:
    """All pairs of subjects on all scopes, with the tests corrected for their number.

    Args:
        answers: Name -> answers to the same images and conditions.
        scopes: What to compare on.
        times: Redraws of the images, shape (R, N).
        target_risk: Only passed on.
        seed: Of the sign flips.

    Returns:
        Pair by pair, scope by scope.
    """
    found: list[Comparison] = []
    for first, second in combinations(answers, 2):
        for scope in scopes:
            one, other = (scope.of(main_view(answers[name])) for name in (first, second))
            pair = _Pair(first=first, second=second, scope=scope.name, one=one, other=other)
            found.append(_accuracy(pair, times, seed))
            found += _rankings(pair, times, target_risk)
    return _adjusted(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Two subjects on one scope."""

    first: str
    second: str
    scope: str
    one: View
    other: View

    def comparison(
        self, metric: str, value: float | None, low: float | None, high: float | None
    ) -> Comparison:
        """Without a test."""
        return Comparison(
            first=self.first,
            second=self.second,
            scope=self.scope,
            metric=metric,
            value=value,
            low=low,
            high=high,
        )


def _accuracy(pair: _Pair, times: IntArray, seed: int) -> Comparison:
    difference = pair.one.correct.mean(axis=0) - pair.other.correct.mean(axis=0)
    value = float(difference.mean())
    ends = estimate(value, times @ difference / times.sum(axis=1), lowest=-1.0)
    if len(pair.one.correct) == 1:
        test, p_value = "exact McNemar", _mcnemar(difference)
    else:
        test, p_value = "sign flips over images", _sign_flips(difference, seed)
    found = pair.comparison("accuracy", value, ends.low, ends.high)
    return replace(found, test=test, p_value=p_value)


def _mcnemar(difference: FloatArray) -> float:
    """Two-sided exact binomial test that either is as often right alone as the other.

    Source:
        McNemar 1947, in its exact form.
    """
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    if better + worse == 0:
        return 1.0
    return float(stats.binomtest(better, better + worse, 0.5).pvalue)


def _sign_flips(difference: FloatArray, seed: int) -> float:
    """Two-sided permutation test: under equality each image's difference may change its sign.

    The observed value counts as one of the permutations, so that the level is exact.
    """
    rng = np.random.default_rng(seed)
    observed = abs(float(difference.sum()))
    as_large, left = 1, _FLIPS
    while left:
        rows = min(_CHUNK, left)
        signs = rng.integers(0, 2, size=(rows, len(difference)), dtype=np.int8) * 2 - 1
        as_large += int((np.abs(signs @ difference) >= observed * (1.0 - 1e-12)).sum())
        left -= rows
    return as_large / (_FLIPS + 1)


def _rankings(pair: _Pair, times: IntArray, target_risk: float) -> list[Comparison]:
    views = (pair.one, pair.other)
    if not all(0 < view.correct.mean() < 1 for view in views):
        return [pair.comparison(name, None, None, None) for name in ("failure_auroc", "aurc")]
    rankings = [Ranking(view.scores, view.correct) for view in views]
    drawn = [[ranking.measure(row, target_risk) for row in times] for ranking in rankings]
    found = []
    for metric, of in (("failure_auroc", failure_auroc), ("aurc", aurc)):
        ours, theirs = (of(view.scores.ravel(), view.correct.ravel()) for view in views)
        draws = np.array([a[metric] - b[metric] for a, b in zip(*drawn, strict=True)])
        ends = estimate(ours - theirs, draws, lowest=-1.0)
        found.append(pair.comparison(metric, ours - theirs, ends.low, ends.high))
    return found


def _adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    tested = {row: each.p_value for row, each in enumerate(found) if each.p_value is not None}
    if not tested:
        return list(found)
    corrected = dict(zip(tested, adjusted_by_holm(list(tested.values())).tolist(), strict=True))
    return [replace(each, adjusted_p_value=corrected.get(row)) for row, each in enumerate(found)]
