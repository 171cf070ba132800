"""What each sampler tries, and how well each way to label levels does after it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.kept import Store, code_digest
from benchmarks.levels_grids import Problem
from gatekeeper.errors import InputError
from gatekeeper.levels import (
    MODEL_BASED,
    REBALANCERS,
    AccuracyProcess,
    DistortionClassifier,
    LevelRule,
    LevelSetRule,
    SearchOptions,
    fitted_process,
    search,
)
from gatekeeper.types import BoolArray, FloatArray, IntArray

RULE = "gp_level_set"
"""The Gaussian process's own rule, in place of rebalancer and distortion-classifier."""

METHODS = (*sorted(REBALANCERS), RULE)

N_INITIAL = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How well a grid was labelled.

    Attributes:
        f1: Of the rarer label; None where it is not defined.
        balanced_accuracy: Mean of the shares of both labels that are found.
        brier: Mean squared error of the stated probability.
    """

    f1: float | None
    balanced_accuracy: float
    brier: float


def scores(problem: Problem, rule: LevelRule) -> Scores:
    """Judge a rule on the grid of a problem."""
    truth = problem.grid_reliable == problem.minority
    found = rule.is_reliable(problem.grid) == problem.minority
    probability = rule.probability(problem.grid)
    return Scores(
        f1=f1_score(found, truth),
        balanced_accuracy=float((found[truth].mean() + (~found[~truth]).mean()) / 2),
        brier=float(((probability - problem.grid_reliable) ** 2).mean()),
    )


def f1_score(found: BoolArray, truth: BoolArray) -> float | None:
    """2 TP / (2 TP + FP + FN); None where nothing is positive and nothing was said to be."""
    total = int(found.sum()) + int(truth.sum())
    return float(2 * (found & truth).sum() / total) if total else None


class Runs:
    """The levels that samplers tried, kept on disk, and rules learned from them.

    Args:
        store: Keeps the order in which levels were tried.
        budget: Levels per run.
    """

    def __init__(self, store: Store, budget: int) -> None:
        self._store, self._budget = store, budget
        self._code = code_digest("gatekeeper.levels.search")

    def tried(self, problem: Problem, sampler: str, seed: int) -> IntArray:
        """Positions in the pool, in the order in which they were tried."""
        facts = {
            "sampler": sampler,
            "seed": seed,
            "budget": self._budget,
            "n_initial": N_INITIAL,
            "threshold": problem.threshold,
            "n_images": problem.n_images,
            "pool": hashlib.sha256(problem.pool.tobytes()).hexdigest(),
            "counts": hashlib.sha256(problem.pool_counts.tobytes()).hexdigest(),
            "code": self._code,
        }
        if sampler not in MODEL_BASED:
            # What these try does not depend on what they find.
            del facts["counts"], facts["threshold"]

        def make() -> dict[str, IntArray]:
            return {"order": self._search(problem, sampler, seed)}

        kept = self._store.arrays(f"run-{sampler}", facts, make)
        return kept["order"].astype(np.int64)

    def _search(self, problem: Problem, sampler: str, seed: int) -> IntArray:
        place = {point.tobytes(): row for row, point in enumerate(problem.pool)}
        options = SearchOptions(
            threshold=problem.threshold,
            budget=self._budget,
            sampler=sampler,
            n_initial=N_INITIAL,
            seed=seed,
        )
        tried = search(
            lambda point: int(problem.pool_counts[place[point.tobytes()]]),
            problem.n_images,
            problem.pool.shape[1],
            options,
            pool=problem.pool,
        )
        return np.array([place[point.tobytes()] for point in tried.points], dtype=np.int64)


def learned(
    problem: Problem, rows: IntArray, method: str, seed: int, process: AccuracyProcess | None
) -> LevelRule | None:
    """A rule learned from the levels tried; None where the method refuses them.

    Args:
        problem: Gives levels and labels.
        rows: Positions in the pool.
        method: Of ``METHODS``.
        seed: Of folds and resampling.
        process: Fitted on the same levels; made where it is None and needed.
    """
    points, counts = problem.pool[rows], problem.pool_counts[rows]
    if process is None and method in {RULE, "gp_synthetic"}:
        process = fitted_process(points, counts, problem.n_images)
    if method == RULE and process is not None:
        return LevelSetRule(process, problem.threshold)
    try:
        return DistortionClassifier(method, seed=seed).fit(
            points, problem.pool_reliable[rows], process=process, threshold=problem.threshold
        )
    except InputError:
        return None


def all_scores(
    problem: Problem, rows: IntArray, seed: int, methods: Sequence[str] = METHODS
) -> Iterator[tuple[str, Scores | None]]:
    """Every method on the same levels tried; None where it refuses them."""
    points, counts = problem.pool[rows], problem.pool_counts[rows]
    process = fitted_process(points, counts, problem.n_images)
    for method in methods:
        rule = learned(problem, rows, method, seed, process)
        yield method, None if rule is None else scores(problem, rule)


def f1_after(
    problem: Problem, rows: IntArray, method: str, seed: int, budgets: Sequence[int]
) -> FloatArray:
    """F1 of the rarer label after the first 12, 16, … levels; 0 where it is not defined."""
    found = []
    for budget in budgets:
        rule = learned(problem, rows[:budget], method, seed, None)
        value = None if rule is None else scores(problem, rule).f1
        found.append(0.0 if value is None else value)
    return np.array(found)
