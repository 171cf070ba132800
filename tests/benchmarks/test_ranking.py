"""Figures from one sort are those of the metrics; influences are derivatives in image weights."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.ranking import Ranking
from benchmarks.redraws import Redraws
from gatekeeper.errors import InputError
from gatekeeper.metrics import augrc, aurc, failure_auroc, fpr_at_95_tpr


def pool(
    rng: np.random.Generator, n: int, n_images: int, *, ties: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, outcomes and images; an image's rows are alike, as those of a real one are."""
    images = rng.integers(n_images, size=n)
    ease = rng.normal(size=n_images)[images]
    scores = ease + rng.normal(size=n)
    correct = ease + rng.normal(size=n) > -0.5
    return (np.round(scores * 3) / 3 if ties else scores), correct, images


@pytest.mark.parametrize("ties", [False, True])
def test_figures_are_those_of_the_metrics(rng: np.random.Generator, ties: bool) -> None:
    scores, correct, _ = pool(rng, 500, 40, ties=ties)
    ranking = Ranking.of(scores, correct)
    assert ranking.accuracy == correct.mean()
    assert ranking.failure_auroc() == pytest.approx(failure_auroc(scores, correct), abs=1e-12)
    assert ranking.aurc() == pytest.approx(aurc(scores, correct), abs=1e-12)
    assert ranking.augrc() == pytest.approx(augrc(scores, correct), abs=1e-12)
    assert ranking.fpr_at_95_tpr() == fpr_at_95_tpr(scores, correct)


def test_figures_by_hand() -> None:
    ranking = Ranking.of(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    assert ranking.failure_auroc() == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert ranking.aurc() == pytest.approx((0 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
    assert ranking.fpr_at_95_tpr() == 0.5


@pytest.mark.parametrize("outcome", [True, False])
def test_answers_of_one_kind_have_a_risk_but_no_auroc(outcome: bool) -> None:
    ranking = Ranking.of(np.array([0.1, 0.2]), np.array([outcome, outcome]))
    assert not ranking.both
    assert ranking.aurc() == (0.0 if outcome else 1.0)
    for figure in (ranking.failure_auroc, ranking.fpr_at_95_tpr):
        with pytest.raises(InputError, match="right and wrong"):
            figure()


@pytest.mark.parametrize("scores", [[], [0.1, np.nan], [-np.inf, 0.1], [[0.1]]])
def test_scores_that_order_nothing_are_refused(scores: list) -> None:
    with pytest.raises(InputError, match="finite scores"):
        Ranking.of(np.array(scores), np.ones(len(scores), dtype=bool))


def weighted_auroc(scores: np.ndarray, correct: np.ndarray, weights: np.ndarray) -> float:
    """By the definition, pair by pair."""
    above = scores[correct][:, None] - scores[~correct][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    pairs = weights[correct][:, None] * weights[~correct][None, :]
    return float((wins * pairs).sum() / pairs.sum())


def weighted_aurc(scores: np.ndarray, correct: np.ndarray, weights: np.ndarray) -> float:
    """By the definition, threshold by threshold."""
    accepted = scores[None, :] >= scores[:, None]
    risk = (accepted * (weights * ~correct)).sum(axis=1) / (accepted * weights).sum(axis=1)
    return float(weights @ risk / weights.sum())


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("kind", "reference"),
    [("failure_auroc_estimate", weighted_auroc), ("aurc_estimate", weighted_aurc)],
)
def test_influences_are_derivatives(
    rng: np.random.Generator, ties: bool, kind: str, reference: object
) -> None:
    scores, correct, images = pool(rng, 60, 8, ties=ties)
    estimate = getattr(Ranking.of(scores, correct), kind)(images, 9)
    assert estimate.value == pytest.approx(reference(scores, correct, np.ones(60)), abs=1e-12)
    assert estimate.influence.shape == (9,)
    assert estimate.influence[8] == 0.0  # an image without rows
    assert estimate.influence.sum() == pytest.approx(0.0, abs=1e-12)
    step = 1e-5
    for image in range(8):
        bump = step * (images == image)
        slope = reference(scores, correct, 1 + bump) - reference(scores, correct, 1 - bump)
        assert estimate.influence[image] == pytest.approx(slope / (2 * step), abs=1e-7)


@pytest.mark.parametrize(
    ("kind", "metric"), [("failure_auroc_estimate", failure_auroc), ("aurc_estimate", aurc)]
)
def test_interval_agrees_with_redrawing_every_row(
    rng: np.random.Generator, kind: str, metric: object
) -> None:
    scores, correct, images = pool(rng, 1500, 300, ties=False)
    redraws = Redraws(300, n_draws=300)
    ends = redraws.interval(getattr(Ranking.of(scores, correct), kind)(images, 300))
    brute = []
    for times in redraws.times.astype(int):
        rows = np.repeat(np.arange(1500), times[images])
        brute.append(metric(scores[rows], correct[rows]))
    low, high = np.quantile(brute, [0.025, 0.975])
    assert (ends.low, ends.high) == pytest.approx((low, high), abs=0.08 * (high - low))
