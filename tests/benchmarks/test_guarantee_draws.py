"""Redraws: the walk of all draws at once against the walk of the product, counts by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.guarantee_draws import (
    Outcomes,
    Walk,
    declared_mix,
    draw_certify_sets,
    group_claims,
    last_passed,
    mean_acceptance,
    mean_ends_over_draws,
    of_mix,
    outcomes_at,
    step_tails,
    threshold_outcomes,
)
from gatekeeper.recipe import ConditionsRecipe
from gatekeeper.risk_control import ThresholdPath, fixed_sequence_test, group_certificates
from tests.small_gate import small

TARGET = 0.2


def random_walk(rng: np.random.Generator, n: int = 60, n_steps: int = 12) -> Walk:
    """Thresholds on a score that knows something, from strict to lenient."""
    score = rng.random(n)
    wrong = rng.random(n) > score
    accepted = score[:, None] >= np.linspace(0.9, 0.0, n_steps)
    return Walk(accepted=accepted, wrong=accepted & wrong[:, None])


def five_rows() -> Walk:
    """Two steps over five images: 2 of them accepted, none wrong; then 4 accepted, 1 wrong."""
    accepted = np.array([[1, 1], [1, 1], [0, 1], [0, 1], [0, 0]], dtype=bool)
    wrong = np.array([[0, 0], [0, 0], [0, 0], [0, 1], [0, 0]], dtype=bool)
    return Walk(accepted=accepted, wrong=wrong)


def test_certify_sets_are_drawn_with_replacement_and_evenly() -> None:
    times = draw_certify_sets(5, 1_000, n_draws=200, seed=0)
    assert times.shape == (200, 5)
    assert (times.sum(axis=1) == 1_000).all()
    # A count has variance n p (1 - p) = 160.
    assert times.mean() == 200
    assert times.var() == pytest.approx(160, rel=0.15)
    assert not np.array_equal(times, draw_certify_sets(5, 1_000, n_draws=200, seed=1))
    assert np.array_equal(times[:3], draw_certify_sets(5, 1_000, n_draws=3, seed=0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_every_draw_ends_where_the_product_would_end(seed: int, level: float) -> None:
    walk = random_walk(np.random.default_rng(seed), n=300)
    times = draw_certify_sets(300, 600, n_draws=40, seed=seed)
    steps = last_passed(step_tails(times, walk, TARGET), level)
    found = outcomes_at(steps, walk)
    for draw, counts in enumerate(times.astype(int)):
        rows = np.repeat(np.arange(300), counts)
        verdict = fixed_sequence_test(
            walk.wrong[rows].sum(axis=0),
            walk.accepted[rows].sum(axis=0),
            target_risk=TARGET,
            confidence_level=level,
        )
        assert found.certified[draw] == verdict.certified
        assert steps[draw] == (-1 if verdict.index is None else verdict.index)
    assert len(np.unique(steps)) > 1


def test_the_population_is_the_judge() -> None:
    walk = five_rows()
    assert walk.coverage.tolist() == [0.4, 0.8]
    assert walk.risk.tolist() == [0.0, 0.25]
    found = outcomes_at(np.array([-1, 0, 1, 1]), walk)
    assert found.certified.tolist() == [False, True, True, True]
    assert found.coverage.tolist() == [0.0, 0.4, 0.8, 0.8]
    assert found.risk.tolist() == [0.0, 0.0, 0.25, 0.25]
    assert found.violations(0.2) == 2
    assert found.violations(0.25) == 0  # at the target is not above it
    assert found.first(3).violations(0.2) == 1
    # The first two images in 3 of 4 draws, the next two in 2 of 4.
    assert mean_acceptance(np.array([-1, 0, 1, 1]), walk).tolist() == [0.75, 0.75, 0.5, 0.5, 0.0]


def test_nothing_accepted_is_no_risk_and_no_certificate() -> None:
    nothing = Walk(accepted=np.zeros((3, 1), bool), wrong=np.zeros((3, 1), bool))
    times = draw_certify_sets(3, 50, n_draws=5, seed=0)
    steps = last_passed(step_tails(times, nothing, 0.05), 0.95)
    assert steps.tolist() == [-1] * 5
    assert outcomes_at(steps, nothing).violations(0.05) == 0


def test_a_threshold_is_judged_on_the_population_too() -> None:
    scores, correct = np.array([0.1, 0.5, 0.5, 0.9]), np.array([True, False, True, True])
    times = np.array([[2, 0, 0, 1], [0, 0, 0, 4], [1, 1, 1, 1]], dtype=np.float32)
    answers = iter([0.5, None, 0.95])
    seen = []

    def choose(drawn, right):
        seen.append((drawn.tolist(), right.tolist()))
        return next(answers)

    found = threshold_outcomes(times, scores, correct, choose)
    assert seen[0] == ([0.1, 0.1, 0.9], [True, True, True])
    assert seen[1] == ([0.9] * 4, [True] * 4)
    assert found.certified.tolist() == [True, False, True]
    assert found.coverage.tolist() == [0.75, 0.0, 0.0]
    assert found.risk.tolist() == pytest.approx([1 / 3, 0.0, 0.0])
    assert found.violations(0.3) == 1


@pytest.mark.parametrize("seed", range(3))
def test_group_claims_are_those_of_the_product(seed: int) -> None:
    rng = np.random.default_rng(seed)
    walk = random_walk(rng)
    groups = {"a": rng.random(60) < 0.5, "b": rng.random(60) < 0.3, "all": np.ones(60, bool)}
    times = draw_certify_sets(60, 400, n_draws=40, seed=seed)
    steps = last_passed(step_tails(times, walk, TARGET), 0.9)
    steps[:4] = 0, 0, 1, -1  # a walk of one step, too
    claims = group_claims(times, walk, groups, steps, target_risk=TARGET, confidence_level=0.9)
    assert claims.names == ("a", "b", "all")
    for draw, counts in enumerate(times.astype(int)):
        if steps[draw] < 0:
            assert not claims.certified[draw].any()
            continue
        rows, end = np.repeat(np.arange(60), counts), steps[draw] + 1
        stated = group_certificates(
            walk.accepted[rows, :end],
            walk.wrong[rows, :end],
            {name: mask[rows] for name, mask in groups.items()},
            TARGET,
            0.9,
        )
        assert claims.certified[draw].tolist() == [group.certified for group in stated]
        true = [
            walk.wrong[mask, end - 1].sum() > TARGET * walk.accepted[mask, end - 1].sum()
            for mask in groups.values()
        ]
        assert claims.violated[draw].tolist() == (claims.certified[draw] & true).tolist()
    assert claims.certified.any()
    assert claims.n_violated == sum(row.any() for row in claims.violated)


def test_walk_replays_the_policy() -> None:
    judged = small().result.certify
    path = ThresholdPath(raw=np.array([0.9, 0.5]), restored=np.array([0.9, 0.5]))
    walk = Walk.of(judged, path, 0.1)
    accepted, wrong = judged.counts(path, 0.1)
    assert walk.accepted.sum(axis=0).tolist() == accepted.tolist()
    assert walk.wrong.sum(axis=0).tolist() == wrong.tolist()
    assert walk.coverage == pytest.approx(accepted / len(judged))


def test_mixes_name_every_condition_once() -> None:
    conditions = ConditionsRecipe(seen=("gaussian", "dark"), held_out=(), clean_share=0.5)
    assert declared_mix(conditions) == {"": 0.5, "gaussian": 0.25, "dark": 0.25}
    assert declared_mix(conditions, 0.8) == pytest.approx({"": 0.8, "gaussian": 0.1, "dark": 0.1})


def test_another_mix_keeps_all_of_what_became_more_frequent() -> None:
    judged = small().result.certify
    conditions = ConditionsRecipe(seen=("impulse", "dark", "gaussian"), held_out=())
    source = declared_mix(conditions)
    cleaner = of_mix(judged, source, declared_mix(conditions, 0.8))
    was_clean, is_clean = judged.plan.corruptions == "", cleaner.plan.corruptions == ""
    assert is_clean.sum() == was_clean.sum()
    # Kept of the others: (0.2 / 0.5) / (0.8 / 0.5) = a quarter.
    n_others = int((~was_clean).sum())
    assert (~is_clean).sum() == pytest.approx(n_others / 4, abs=4 * np.sqrt(n_others * 3 / 16))


def test_interval_over_draws() -> None:
    constant = mean_ends_over_draws([np.full(10, 0.1), np.full(20, 0.3)])
    assert (constant.value, constant.low, constant.high) == pytest.approx((0.2, 0.2, 0.2))
    draws = np.random.default_rng(0).normal(size=1_000)
    found = mean_ends_over_draws([draws])
    reach = 1.96 * draws.std() / np.sqrt(1_000)
    assert found.value == pytest.approx(draws.mean())
    assert found.high - found.value == pytest.approx(reach, rel=0.1)
    assert found.value - found.low == pytest.approx(reach, rel=0.1)


def test_outcomes_of_a_cheat_are_counted() -> None:
    """The best step with hindsight on the draw itself breaks the promise; the walk keeps it."""
    score = np.random.default_rng(1).permutation(np.repeat(np.linspace(0, 1, 50), 8))
    # Risk at every step is just above the target: each certificate is a violation.
    wrong = np.zeros(400, bool)
    wrong[np.argsort(score, kind="stable")[::4]] = True
    accepted = score[:, None] >= np.linspace(0.9, 0.0, 40)
    walk = Walk(accepted=accepted, wrong=accepted & wrong[:, None])
    assert (walk.risk > 0.2).all()
    tails = step_tails(draw_certify_sets(400, 200, n_draws=500, seed=0), walk, 0.2)
    honest = outcomes_at(last_passed(tails, 0.9), walk)
    best = np.where(tails.min(axis=1) <= 0.1, tails.argmin(axis=1), -1)
    cheating = outcomes_at(best, walk)
    assert isinstance(cheating, Outcomes)
    assert honest.violations(0.2) <= 0.1 * 500
    assert cheating.violations(0.2) > 2 * max(honest.violations(0.2), 1)


def test_shapes_of_a_population_that_is_not_there() -> None:
    judged = SimpleNamespace(steps=lambda path, margin: (np.ones((2, 1), bool), np.eye(2, 1) > 0))
    walk = Walk.of(judged, SimpleNamespace(), 0.0)
    assert walk.risk.tolist() == [0.5]
    assert walk.take(np.array([False, True])).risk.tolist() == [0.0]
