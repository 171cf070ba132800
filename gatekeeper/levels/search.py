"""The search: which levels are tried, one after the other, until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.levels.accuracy_process import AccuracyProcess
from gatekeeper.levels.acquisition import MODEL_BASED, SearchState, sampler, sobol_sampler
from gatekeeper.types import FloatArray, IntArray

OnLevel = Callable[[int, FloatArray, int], None]
"""(levels tried, the last one in unit coordinates, its right answers)"""

_CANDIDATES = 2048
_AT_REST = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How to search.

    Attributes:
        threshold: h: a level is reliable where the accuracy is at least that, in (0, 1].
        budget: Levels to try in all, at least 2.
        sampler: Key of ``SAMPLERS``.
        n_initial: Levels of the Sobol design with which a model-based sampler starts, at least 2.
            Does not depend on the budget, so that a larger budget goes on where a smaller ended.
        refit_every: Levels between two fits of the hyperparameters.
        seed: Of the run.
    """

    threshold: float
    budget: int
    sampler: str = "straddle"
    n_initial: int = 12
    refit_every: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be searched."""
        sampler(self.sampler)
        if not 0.0 < self.threshold <= 1.0:
            raise InputError(
                f"expected a threshold on the accuracy in (0, 1], got {self.threshold:g}"
            )
        if self.budget < 2 or self.n_initial < 2 or self.refit_every < 1:
            raise InputError(
                "expected a budget and an initial design of at least 2 levels and a fit every 1 "
                f"or more, got {self.budget}, {self.n_initial} and {self.refit_every}"
            )


@dataclass(slots=True)
class Tried:
    """The levels tried so far, in order.

    Attributes:
        points: In unit coordinates, each of shape (d,).
        n_correct: Right answers at each.
    """

    points: list[FloatArray] = field(default_factory=list)
    n_correct: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of levels."""
        return len(self.n_correct)

    def arrays(self) -> tuple[FloatArray, IntArray]:
        """Points (n, d) and right answers (n,)."""
        return np.array(self.points, dtype=np.float64), np.array(self.n_correct, dtype=np.int64)

    def add(self, point: FloatArray, n_correct: int) -> None:
        """One more."""
        self.points.append(np.asarray(point, dtype=np.float64))
        self.n_correct.append(n_correct)


def search(
    count: Callable[[FloatArray], int],
    n_images: int,
    dimension: int,
    options: SearchOptions,
    *,
    first: FloatArray | None = None,
    pool: FloatArray | None = None,
    on_level: OnLevel = lambda n, point, n_correct: None,
) -> Tried:
    """Try levels until the budget is spent; the same arguments try the same levels.

    Args:
        count: Point in unit coordinates -> right answers, such as ``AccuracyOracle.n_correct``.
        n_images: Images per level.
        dimension: Number of coordinates d.
        options: How to search.
        first: A level to try before all others, shape (d,).
        pool: The only levels that may be tried, shape (M, d), each once; None allows the whole
            space, of which every step sees other candidates.
        on_level: Told of every level.

    Raises:
        InputError: the pool has fewer levels than the budget.
    """
    if pool is not None and len(pool) < options.budget:
        raise InputError(
            f"expected a pool of at least the budget, {options.budget} levels, got {len(pool)}"
        )
    tried = Tried()
    model = _Model(n_images, options)
    left = None if pool is None else np.array(pool, dtype=np.float64)
    while len(tried) < options.budget:
        if first is not None and not tried.points:
            point = first
        else:
            candidates = left if left is not None else _fresh(dimension, first, options, len(tried))
            chosen = model.choose(tried, candidates)
            point = candidates[chosen]
            left = None if left is None else np.delete(left, chosen, axis=0)
        tried.add(point, count(point))
        on_level(len(tried), point, tried.n_correct[-1])
    return tried


def fitted_process(points: FloatArray, n_correct: IntArray, n_images: int) -> AccuracyProcess:
    """An accuracy process fitted on levels tried, hyperparameters included."""
    return AccuracyProcess(n_images).fit(points, n_correct)


class _Model:
    """The sampler with its Gaussian process, whose hyperparameters are fitted now and then."""

    def __init__(self, n_images: int, options: SearchOptions) -> None:
        self._options = options
        self._sampler = sampler(options.sampler)
        self._asks = options.sampler in MODEL_BASED
        self._process = AccuracyProcess(n_images)

    def choose(self, tried: Tried, candidates: FloatArray) -> int:
        """Position of the candidate to try next."""
        options, n = self._options, len(tried)
        waiting = self._asks and n < options.n_initial
        points, n_correct = tried.arrays() if n else _nothing(candidates.shape[1])
        if self._asks and not waiting:
            known = self._process.hyperparameters
            due = (n - options.n_initial) % options.refit_every == 0
            self._process.fit(
                points, n_correct, hyperparameters=None if due else known, start=known
            )
        state = SearchState(
            points=points,
            n_correct=n_correct,
            process=self._process if self._asks and not waiting else None,
            threshold=options.threshold,
            budget=options.budget,
            seed=options.seed,
        )
        return (sobol_sampler if waiting else self._sampler)(state, candidates)


def _nothing(dimension: int) -> tuple[FloatArray, IntArray]:
    return np.empty((0, dimension)), np.empty(0, dtype=np.int64)


def _fresh(
    dimension: int, rest: FloatArray | None, options: SearchOptions, step: int
) -> FloatArray:
    """Random candidates; in half of them some coordinates are at rest.

    Uniform draws alone would never try a level at which one coordinate distorts and the others do
    not, which is where ranges of single coordinates are read.
    """
    generator = np.random.default_rng([options.seed, step, 1])
    drawn = generator.random((_CANDIDATES, dimension))
    if rest is not None:
        still = generator.random((_CANDIDATES // 2, dimension)) < _AT_REST
        drawn[: len(still)] = np.where(still, rest, drawn[: len(still)])
    return drawn
