"""The gate part of ``restoration``: a gate with several restorers, judged where it was not fitted.

The clean images that bound its harm are those of *validation* and *test*, and those of *fit* and
*calibrate* by gates that were fitted on the other half of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.denoise_then_classify import paired
from benchmarks.kept import code_digest
from benchmarks.restoration_runs import RESTORED, Runs
from gatekeeper.bundle import FittedGate
from gatekeeper.corruptions import GROUPS
from gatekeeper.errors import InputError
from gatekeeper.evaluation import Streams, final_correct, judge_streams, replay
from gatekeeper.evidence import TableBuilder, draw_plan
from gatekeeper.fitting import FitResult, Fitter
from gatekeeper.images import Splits
from gatekeeper.judging import Judged, judge
from gatekeeper.metrics import help_harm
from gatekeeper.paths import cache_dir
from gatekeeper.protocols import Restorer
from gatekeeper.recipe import Recipe, parse_recipe
from gatekeeper.restorers import RESTORERS
from gatekeeper.types import FloatArray, IntArray

SEEN = ("gaussian", "shot_noise", "impulse", "gaussian_blur", "dark")
HELD_OUT = ("speckle", "contrast", "motion_blur", "jpeg_compression")
"""Nothing may learn from these: neither restorers nor gate."""

RESTORER_OF = {
    "gaussian": "unet", "shot_noise": "autoencoder", "impulse": "median",
    "gaussian_blur": "unet", "dark": "exposure",
}  # fmt: skip
COSTS = {"median": 0.125, "exposure": 0.0625, "autoencoder": 1.0, "unet": 2.0}
"""Declared, in passes of the classifier, so that a cell is the same on every machine."""

MAX_ATTEMPTS = 2


def gate_recipe(seed: int, *, quick: bool) -> Recipe:
    """What the gate is fitted to."""
    small = {"hidden": 16, "members": 1, "epochs": 2, "looks_per_image": 2}
    body = {
        "name": "restoration",
        "seed": seed,
        "classifier": {"kind": "timm"},
        "conditions": {"seen": list(SEEN), "held_out": list(HELD_OUT)},
        "restorers": {
            "restorer_of": RESTORER_OF,
            # Trained by the benchmark; the names alone are read here.
            "records": {"unet": "benchmark", "autoencoder": "benchmark"},
            "arbitrate": True,
            "max_attempts": MAX_ATTEMPTS,
            "costs": COSTS,
        },
        "predictor": small if quick else {"looks_per_image": 2},
        "policy": {"target_risk": 0.2 if quick else 0.05},
    }
    return parse_recipe(body, source="the benchmark", folder=Path())


class Gates:
    """Gates on the restorers of one cell, and what they do.

    Args:
        runs: The trained restorers.
        quick: Whether this is the small run.
        cells: Folder of evidence cells; the cache's by default.
    """

    def __init__(self, runs: Runs, *, quick: bool, cells: Path | None = None) -> None:
        self.runs, self.recipe = runs, gate_recipe(runs.seed, quick=quick)
        trained = {"unet": runs.restorers[RESTORED], "autoencoder": runs.restorers["autoencoder"]}
        plain = {name: RESTORERS[name]() for name in ("median", "exposure")}
        self.restorers: dict[str, Restorer] = {**plain, **trained}
        self.builder = TableBuilder(
            runs.data,
            runs.classifier,
            self.restorers,
            cache=cells or cache_dir() / "cells",
            progress=runs.progress,
        )

    def counts(self) -> Mapping[str, FloatArray]:
        """All that the figures need of this cell, from the disk or measured and kept."""
        facts = {
            **self.runs.facts,
            "recipe": self.recipe.model_dump(mode="json"),
            "gate code": code_digest("benchmarks.restoration_gates"),
        }
        return self.runs.store.arrays("gate", facts, self._measured)

    def _measured(self) -> Mapping[str, FloatArray]:
        result = self._fitted(self.runs.splits)
        fitted = result.fitted
        streams = judge_streams(
            fitted,
            self.runs.data,
            self.runs.splits,
            self.recipe.conditions,
            builder=self.builder,
            doubt_below=self.recipe.policy.doubt_below,
            seed=self.recipe.seed,
        )
        clean = [flips(fitted, streams.streams["clean"])]
        parts = [*clean, flips(fitted, self._clean(fitted, self.runs.splits.validation))]
        for own, other in halves(self.runs.splits):
            half = self._fitted(own).fitted
            parts += [flips(half, self._clean(half, rows)) for rows in (other.fit, other.calibrate)]
        return {
            "clean_test": np.array(clean[0], dtype=np.float64),
            "clean_all": np.sum(parts, axis=0).astype(np.float64),
            "noise": np.array(noise_counts(fitted, streams), dtype=np.float64),
            "elsewhere": np.array([worst_excess(fitted, streams)]),
            "arbitration": self._efficiency(fitted, streams.streams["declared"]),
            "coverage": coverage_gain(result),
        }

    def _fitted(self, splits: Splits) -> FitResult:
        return Fitter(
            self.runs.data,
            splits,
            self.runs.spec,
            self.runs.classifier,
            self.restorers,
            self.recipe,
            builder=self.builder,
        ).run()

    def _clean(self, fitted: FittedGate, rows: IntArray) -> Judged:
        plan = draw_plan(
            self.runs.data,
            "test",  # of this judgement: these rows fitted nothing of the gate that is judged
            rows,
            corruptions=[],
            clean_share=1.0,
            seed=self.recipe.seed,
            purpose="restoration/clean",
        )
        doubt_below = self.recipe.policy.doubt_below
        return judge(fitted, self.builder.raw(plan), self.builder, doubt_below=doubt_below)

    def _efficiency(self, fitted: FittedGate, declared: Judged) -> FloatArray:
        """Accuracy of the policy, of the best single path, and where any path is right."""
        table = self.builder.raw(declared.plan)
        rows = np.arange(len(table))
        paths = [table.correct]
        for name in self.restorers:
            names = np.full(len(rows), name, dtype="<U32")
            paths.append(self.builder.restored(table, rows, names).correct)
        policy = final_correct(declared, replay(fitted, declared))
        singles = [path.mean() for path in paths]
        return np.array([policy.mean(), max(singles), np.any(paths, axis=0).mean()])


def halves(splits: Splits) -> list[tuple[Splits, Splits]]:
    """(own half, other half) of *fit* and *calibrate*, both ways."""
    first, second = (
        replace(splits, fit=splits.fit[start::2], calibrate=splits.calibrate[start::2])
        for start in (0, 1)
    )
    return [(first, second), (second, first)]


def flips(fitted: FittedGate, clean: Judged) -> tuple[int, int]:
    """Right answers on clean images that become wrong, and right answers."""
    final = final_correct(clean, replay(fitted, clean))
    return int((clean.raw_correct & ~final).sum()), int(clean.raw_correct.sum())


def noise_counts(fitted: FittedGate, streams: Streams) -> tuple[int, int, int, int]:
    """Helped and harmed images under noise, held-out noise included: all severities, severity 1."""
    found = np.zeros(4, dtype=int)
    for names, judged in streams.families.items():
        if all(GROUPS[family] == "noise" for family in names.split("+")):
            final = final_correct(judged, replay(fitted, judged))
            mild = judged.plan.severities == 1
            every = help_harm(judged.raw_correct, final)
            least = help_harm(judged.raw_correct[mild], final[mild])
            found += [every.help, every.harm, least.help, least.harm]
    return int(found[0]), int(found[1]), int(found[2]), int(found[3])


def worst_excess(fitted: FittedGate, streams: Streams) -> float:
    """Upper bound of (harm − help) ÷ n in the worst family outside noise.

    Raises:
        InputError: there is no such family.
    """
    bounds = []
    for names, judged in streams.families.items():
        if any(GROUPS[family] != "noise" for family in names.split("+")):
            final = final_correct(judged, replay(fitted, judged))
            bounds.append(-paired(judged.raw_correct, final).low)
    if not bounds:
        raise InputError("expected a family outside noise to judge harm by, got none")
    return max(bounds)


def coverage_gain(result: FitResult) -> FloatArray:
    """Certified coverage with restoration less that without: value and paired interval."""
    certificate, judged = result.fitted.certificate, result.certify
    accepted = replay(result.fitted, judged).accepted & certificate["certified"]
    alone = certificate["variants"]["no_restorer"]
    without = (judged.raw_reliability >= alone["accept_raw_at"]) & alone["certified"]
    found = paired(without, accepted)
    return np.array([found.value, found.low, found.high])
