"""Which level to try next: random, Sobol, grid, or where a Gaussian process says it pays.

Every sampler picks one of a set of candidate levels that have not been tried; one line in
``SAMPLERS`` enters a new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.levels.accuracy_process import AccuracyProcess, is_reliable
from gatekeeper.levels.space import grid_points, sobol_points
from gatekeeper.types import FloatArray, IntArray

STRADDLE_WIDTH = 1.96


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchState:
    """What a sampler knows when it picks.

    Attributes:
        points: Levels tried, shape (n, d), in unit coordinates.
        n_correct: Right answers at each, shape (n,).
        process: Fitted on them; None for samplers that do not ask.
        threshold: h.
        budget: Levels that will be tried in all, n included.
        seed: Of the run.
    """

    points: FloatArray
    n_correct: IntArray
    process: AccuracyProcess | None
    threshold: float
    budget: int
    seed: int


Sampler = Callable[[SearchState, FloatArray], int]
"""(state, candidates (M, d)) -> position of the level to try next"""


def random_sampler(state: SearchState, candidates: FloatArray) -> int:
    """Any candidate, each as likely as the others."""
    generator = np.random.default_rng([state.seed, len(state.points)])
    return int(generator.integers(len(candidates)))


def sobol_sampler(state: SearchState, candidates: FloatArray) -> int:
    """The candidate nearest to the next point of a scrambled Sobol sequence."""
    tried = len(state.points)
    wanted = sobol_points(candidates.shape[1], tried + 1, seed=state.seed)[tried]
    return _nearest(wanted, candidates)


def grid_sampler(state: SearchState, candidates: FloatArray) -> int:
    """The candidate nearest to the next point of the regular grid that the budget affords.

    The grid's points come in an order drawn by the seed, so that a search that is cut short has
    not only seen one end of the space.
    """
    dimension = candidates.shape[1]
    per_axis = max(1, math.floor(state.budget ** (1.0 / dimension) + 1e-9))
    counts = [per_axis] * dimension
    # One more along an axis where the budget allows.
    for axis in range(dimension):
        larger = [*counts[:axis], counts[axis] + 1, *counts[axis + 1 :]]
        counts = larger if math.prod(larger) <= state.budget else counts
    lattice = grid_points(counts)
    order = np.random.default_rng(state.seed).permutation(len(lattice))
    return _nearest(lattice[order[len(state.points) % len(lattice)]], candidates)


def straddle_sampler(state: SearchState, candidates: FloatArray) -> int:
    """Where the process is unsure and near the threshold: largest 1.96 σ − |μ − h|, as angles.

    Source:
        Bryan et al. 2005, "Active learning for identifying function threshold boundaries".
    """
    verdict = _process(state).verdict(candidates, state.threshold)
    return int(np.argmax(STRADDLE_WIDTH * verdict.std - np.abs(verdict.margin)))


def minority_sampler(state: SearchState, candidates: FloatArray) -> int:
    """Where the label that is rarer so far is likely and little is known: largest P(label) · σ.

    Source:
        Ours. The published method's acquisition is not public (arXiv:2412.16881).
    """
    process = _process(state)
    verdict = process.verdict(candidates, state.threshold)
    labels = is_reliable(state.n_correct, process.n_images, state.threshold)
    reliable_is_rarer = 2 * int(labels.sum()) <= len(labels)
    rarer = verdict.probability if reliable_is_rarer else 1.0 - verdict.probability
    return int(np.argmax(rarer * verdict.std))


SAMPLERS: dict[str, Sampler] = {
    "grid": grid_sampler,
    "minority_seeking": minority_sampler,
    "random": random_sampler,
    "sobol": sobol_sampler,
    "straddle": straddle_sampler,
}

MODEL_BASED = frozenset({"minority_seeking", "straddle"})
"""Samplers that ask the Gaussian process; they start with a Sobol design."""


def sampler(name: str) -> Sampler:
    """The sampler of that name.

    Raises:
        InputError: there is none; near matches are named.
    """
    if name not in SAMPLERS:
        near = get_close_matches(name, SAMPLERS, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"expected one of the samplers {', '.join(SAMPLERS)}, got {name!r}{hint}")
    return SAMPLERS[name]


def _process(state: SearchState) -> AccuracyProcess:
    if state.process is None:
        raise InputError("this sampler asks a Gaussian process: fit one on the levels tried")
    return state.process


def _nearest(wanted: FloatArray, candidates: FloatArray) -> int:
    return int(np.argmin(((candidates - wanted) ** 2).sum(axis=1)))
