"""Reliability of distortion levels: every sampler × every way to label levels, side by side.

    python -m benchmarks.levels --data cifar10:PATH     # without --data CIFAR-10 is left out
    python -m benchmarks.levels --quick                 # the 8-pixel digits, within a minute

For each (data set, classifier) pair the accuracy at a pool of levels and at a disjoint grid is
counted once and kept; samplers pick from the pool, the grid judges. One configuration (sampler and
way to label) is named on the pairs of the 8-pixel digits, by its mean F1, and judged on all others
against random sampling with SMOTE.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from benchmarks.harness import RESULTS, Figure, write_results
from benchmarks.kept import Store
from benchmarks.levels_grids import SPEC, Problem, problems
from benchmarks.levels_pairs import Pair, open_pairs
from benchmarks.levels_runs import METHODS, Runs, Scores, all_scores, f1_after
from gatekeeper.errors import InputError
from gatekeeper.levels import SAMPLERS
from gatekeeper.paths import cache_dir
from gatekeeper.types import FloatArray

BASELINE = ("random", "smote")
PLAIN = ("random", "none")
"""Stands in for the baseline on a run whose levels SMOTE refuses."""

SEEDS, QUICK_SEEDS = tuple(range(8)), (0, 1)
BUDGET, QUICK_BUDGET = 96, 28
STEP = 4
N_IMAGES, QUICK_N_IMAGES = 200, 100
BUDGET_SHARE = 0.33
_REDRAWS = 2000

Cell = tuple[str, str]
"""(sampler, way to label)"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """All cells of one problem.

    Attributes:
        problem: The problem.
        cells: (sampler, way to label) -> scores of each seed; None where it refused.
        tried_share: Sampler -> share of the rarer label among the levels tried, mean over seeds.
    """

    problem: Problem
    cells: Mapping[Cell, list[Scores | None]]
    tried_share: Mapping[str, float]

    def f1(self, cell: Cell) -> FloatArray:
        """F1 of each seed; where a method refuses, that of the levels as they are."""
        return np.array(
            [
                _f1(scores) if scores is not None else _f1(plain)
                for scores, plain in zip(
                    self.cells[cell], self.cells[(cell[0], "none")], strict=True
                )
            ]
        )


def _f1(scores: Scores | None) -> float:
    return 0.0 if scores is None or scores.f1 is None else scores.f1


def judge(problem: Problem, runs: Runs, seeds: Sequence[int]) -> Judged:
    """Every sampler, seed and way to label on one problem."""
    cells: dict[Cell, list[Scores | None]] = {}
    shares = {}
    for sampler in sorted(SAMPLERS):
        found = []
        for seed in seeds:
            rows = runs.tried(problem, sampler, seed)
            found.append(float((problem.pool_reliable[rows] == problem.minority).mean()))
            for method, scores in all_scores(problem, rows, seed):
                cells.setdefault((sampler, method), []).append(scores)
        shares[sampler] = fmean(found)
    return Judged(problem=problem, cells=cells, tried_share=shares)


def named_cell(development: Sequence[Judged]) -> Cell:
    """The cell with the best mean F1 over the development problems and seeds."""
    means = {
        (sampler, method): fmean(each.f1((sampler, method)).mean() for each in development)
        for sampler in sorted(SAMPLERS)
        for method in METHODS
    }
    return max(means, key=lambda cell: means[cell])


def figures(
    judged: Sequence[Judged], cell: Cell, runs: Runs, seeds: Sequence[int], budget: int
) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Both figures and the curves that the second one is read from."""
    gains = [each.f1(cell) - each.f1(BASELINE) for each in judged]
    pairs = [each.problem.pair for each in judged]
    low, high = _interval(pairs, gains)
    said = f"{cell[0]} + {cell[1]} against random + smote; mean F1 " + ", ".join(
        f"{sampler} + {method} {fmean(each.f1((sampler, method)).mean() for each in judged):.3f}"
        for sampler, method in dict.fromkeys(
            [cell, BASELINE, ("random", cell[1]), (cell[0], "smote")]
        )
    )
    found = [
        Figure(
            name="f1_gain_over_random_smote",
            value=fmean(float(gain.mean()) for gain in gains),
            low=low,
            high=high,
            target=0.0,
            direction="higher",
            judged="low",
            note=f"{said}, {len(judged)} judged (pair, threshold); pairs and seeds redrawn",
        )
    ]
    budgets = list(range(12, budget + 1, STEP))
    shares, rows = [], []
    for each in judged:
        curve = np.mean(
            [
                f1_after(each.problem, runs.tried(each.problem, cell[0], s), cell[1], s, budgets)
                for s in seeds
            ],
            axis=0,
        )
        wanted = float(each.f1(BASELINE).mean())
        shares.append(np.array([reached(curve, wanted, budgets) / budget]))
        rows.append(
            {
                "pair": each.problem.pair,
                "threshold": each.problem.threshold,
                "curve": f"{cell[0]} + {cell[1]}",
                "budgets": budgets,
                "f1": [round(float(value), 4) for value in curve],
                "f1_of_random_smote": round(wanted, 4),
                "budget_share": round(float(shares[-1][0]), 4),
            }
        )
    low, high = _interval(pairs, shares)
    found.append(
        Figure(
            name="budget_share_for_equal_f1",
            value=fmean(float(share[0]) for share in shares),
            low=low,
            high=high,
            target=BUDGET_SHARE,
            direction="lower",
            judged="high",
            note=f"levels that {cell[0]} + {cell[1]} needs to reach, and from there on keep, the "
            f"F1 that random + smote has after {budget}; pairs redrawn",
        )
    )
    return found, rows


def reached(curve: FloatArray, wanted: float, budgets: Sequence[int]) -> float:
    """The smallest budget from which on the curve stays at or above; twice the last if never."""
    below = np.flatnonzero(np.asarray(curve) < wanted)
    first = 0 if not len(below) else int(below[-1]) + 1
    return float(budgets[first]) if first < len(budgets) else 2.0 * budgets[-1]


def _interval(pairs: Sequence[str], values: Sequence[FloatArray]) -> tuple[float, float]:
    """95 % interval of the mean over problems: pairs are redrawn, and seeds within a problem."""
    generator = np.random.default_rng(0)
    names = sorted(set(pairs))
    of = {
        name: [v for pair, v in zip(pairs, values, strict=True) if pair == name] for name in names
    }
    means = []
    for _ in range(_REDRAWS):
        drawn = [v for name in generator.choice(names, len(names)) for v in of[str(name)]]
        means.append(fmean(float(generator.choice(v, len(v)).mean()) for v in drawn))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def table(found: Sequence[Judged]) -> list[dict[str, Any]]:
    """One row per problem, sampler and way to label; an undefined F1 is a row, too."""
    rows = []
    for each in found:
        problem = each.problem
        for (sampler, method), cell in sorted(each.cells.items()):
            defined = [scores for scores in cell if scores is not None]
            f1 = [scores.f1 for scores in defined if scores.f1 is not None]
            rows.append(
                {
                    "pair": problem.pair,
                    "role": "development" if problem.development else "judged",
                    "threshold": problem.threshold,
                    "minority_share": round(problem.minority_share, 4),
                    "sampler": sampler,
                    "method": method,
                    "minority_share_tried": round(each.tried_share[sampler], 4),
                    "f1": _mean(f1),
                    "f1_std": round(float(np.std(f1)), 4) if f1 else None,
                    "f1_undefined_seeds": len(cell) - len(f1),
                    "balanced_accuracy": _mean([s.balanced_accuracy for s in defined]),
                    "brier": _mean([scores.brier for scores in defined]),
                    "seeds": len(cell),
                }
            )
    return rows


def _mean(values: Sequence[float]) -> float | None:
    return round(fmean(values), 4) if values else None


def print_means(found: Sequence[Judged], title: str) -> None:
    """Mean F1 over problems, samplers down, ways to label across."""
    print(f"\n{title}: mean F1 of the rarer label, {len(found)} (pair, threshold)")
    print(f"{'':<18}" + "".join(f"{method:>14}" for method in METHODS))
    for sampler in sorted(SAMPLERS):
        means = [fmean(e.f1((sampler, m)).mean() for e in found) for m in METHODS]
        print(f"{sampler:<18}" + "".join(f"{mean:>14.3f}" for mean in means))


def described(pairs: Sequence[Pair], found: Sequence[Problem]) -> dict[str, Any]:
    """What the figures were judged on."""
    return {
        "name": "distortion levels",
        "split": "calibrate",
        "space": SPEC,
        "pairs": {pair.name: dict(pair.data) for pair in pairs},
        "peers": {name: metadata.version(name) for name in ("imbalanced-learn",)},
        "n_pool": len(found[0].pool),
        "n_grid": len(found[0].grid),
        "n": sum(len(problem.grid) for problem in found if not problem.development),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Count, search, judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", default=None, help="cifar10:PATH; without it CIFAR-10 is left out"
    )
    parser.add_argument("--quick", action="store_true", help="a small run on 8-pixel digits")
    parser.add_argument("--grids", action="store_true", help="only count and keep the accuracies")
    parser.add_argument("--out", type=Path, default=None, help="folder for levels.json")
    arguments = parser.parse_args(argv)
    quick, started = arguments.quick, time.perf_counter()
    seeds, budget = (QUICK_SEEDS, QUICK_BUDGET) if quick else (SEEDS, BUDGET)
    store = Store(cache_dir() / "levels")
    n_images = QUICK_N_IMAGES if quick else N_IMAGES
    pairs = open_pairs(arguments.data, quick=quick, n_images=n_images, store=store)
    found = problems(pairs, store, quick=quick)
    if arguments.grids:
        return
    runs = Runs(store, budget)
    judged = []
    for problem in found:
        judged.append(judge(problem, runs, seeds))
        print(f"{problem.pair} at {problem.threshold:g}: judged", file=sys.stderr)
    development = [each for each in judged if each.problem.development]
    others = [each for each in judged if not each.problem.development]
    if not development or not others:
        raise InputError("expected development and judged problems, got none: use more levels")
    cell = named_cell(development)
    print_means(development, "development")
    print_means(others, "judged")
    measured, curves = figures(others, cell, runs, seeds, budget)
    for figure in measured:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<36}{figure.value:>10.4f}  target {figure.target:>7}  {verdict}")
    command = "python -m benchmarks.levels" + (" --quick" if quick else "")
    command += f" --data {arguments.data.partition(':')[0]}" if arguments.data else ""
    path = write_results(
        "levels",
        command=command,
        seeds=seeds,
        data=described(pairs, found),
        seconds=time.perf_counter() - started,
        figures=measured,
        table=[*curves, *table(judged)],
        # A quick run must not pass for the benchmark.
        folder=arguments.out or (Path("runs") / "benchmarks" if quick else RESULTS),
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
