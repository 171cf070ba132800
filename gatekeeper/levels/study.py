"""The whole study of one classifier over one level space: search, rule, ranges; resumable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.levels.accuracy import AccuracyOracle
from gatekeeper.levels.accuracy_process import AccuracyProcess, is_reliable
from gatekeeper.levels.classifier import DistortionClassifier, LevelSetRule
from gatekeeper.levels.gaussian_process import Hyperparameters
from gatekeeper.levels.ranges import SafeRanges, safe_ranges
from gatekeeper.levels.search import OnLevel, SearchOptions, fitted_process, search
from gatekeeper.levels.space import LevelSpace, parse_space, sobol_points
from gatekeeper.types import BoolArray, FloatArray, IntArray

_JUDGED = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LevelStudy:
    """What was tried and what follows from it.

    Attributes:
        space: The level space.
        options: How it was searched.
        n_images: Images per level.
        points: Levels tried, shape (n, d), in unit coordinates.
        n_correct: Right answers at each, shape (n,).
        n_evaluated: Levels that were evaluated in this run; the others had been kept.
        process: The Gaussian process fitted on all of them.
    """

    space: LevelSpace
    options: SearchOptions
    n_images: int
    points: FloatArray
    n_correct: IntArray
    n_evaluated: int
    process: AccuracyProcess

    @property
    def reliable(self) -> BoolArray:
        """Label of every level tried, shape (n,)."""
        return is_reliable(self.n_correct, self.n_images, self.options.threshold)

    @property
    def rule(self) -> LevelSetRule:
        """The Gaussian process's own rule."""
        return LevelSetRule(self.process, self.options.threshold)

    @property
    def mildest_accuracy(self) -> float:
        """Accuracy at the mildest level, which is tried first."""
        return float(self.n_correct[0]) / self.n_images

    @property
    def share_reliable(self) -> float:
        """Share of the space that the rule calls reliable, from 4,096 Sobol points."""
        return float(self.rule.is_reliable(_everywhere(self.space)).mean())

    def ranges(self) -> SafeRanges:
        """How far each coordinate may go."""
        return safe_ranges(self.rule, self.space)

    def distortion_classifier(self, rebalance: str = "smote") -> DistortionClassifier:
        """A distortion-classifier learned from the levels tried.

        Raises:
            InputError: the rebalancer refuses, such as SMOTE with one level of the rarer label.
        """
        return DistortionClassifier(rebalance, seed=self.options.seed).fit(
            self.points, self.reliable, process=self.process, threshold=self.options.threshold
        )

    def second_opinion(self, rebalance: str) -> dict[str, Any]:
        """How far a distortion-classifier agrees with the rule over the space, ready for JSON."""
        try:
            judge = self.distortion_classifier(rebalance)
        except InputError as error:
            return {"rebalance": rebalance, "agreement": None, "reason": str(error)}
        everywhere = _everywhere(self.space)
        same = judge.is_reliable(everywhere) == self.rule.is_reliable(everywhere)
        return {"rebalance": rebalance, "agreement": float(same.mean()), "reason": ""}

    def to_json(self) -> dict[str, Any]:
        """Everything but the maps, ready for JSON."""
        chosen = self.process.hyperparameters
        return {
            "space": self.space.to_json(),
            "threshold": self.options.threshold,
            "sampler": self.options.sampler,
            "seed": self.options.seed,
            "budget": {
                "levels": len(self.points),
                "images_per_level": self.n_images,
                "classifier_evaluations": len(self.points) * self.n_images,
                "evaluated_now": self.n_evaluated * self.n_images,
            },
            "mildest_accuracy": self.mildest_accuracy,
            "share_reliable": self.share_reliable,
            "safe_ranges": self.ranges().to_json(),
            "process": None
            if chosen is None
            else {
                "signal_std": chosen.signal_std,
                "lengths": list(chosen.lengths),
                "noise_share": chosen.noise_share,
                "noise_variance": self.process.noise_variance,
            },
            "levels": [
                {
                    **self.space.named(point),
                    "n_correct": int(count),
                    "accuracy": int(count) / self.n_images,
                    "reliable": bool(reliable),
                }
                for point, count, reliable in zip(
                    self.points, self.n_correct, self.reliable, strict=True
                )
            ],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The study that :meth:`to_json` wrote, with the process that it had.

        Raises:
            InputError: something is missing, or is not what such a record holds.
        """
        try:
            space = parse_space(
                ",".join(f"{a['name']}={a['low']}:{a['high']}" for a in record["space"])
            )
            levels = [[float(each[name]) for name in space.names] for each in record["levels"]]
            n_correct = np.array([int(each["n_correct"]) for each in record["levels"]])
            n_images = int(record["budget"]["images_per_level"])
            options = SearchOptions(
                threshold=float(record["threshold"]),
                budget=len(levels),
                sampler=str(record["sampler"]),
                seed=int(record["seed"]),
            )
            fitted = record["process"]
            chosen = Hyperparameters(
                signal_std=float(fitted["signal_std"]),
                lengths=tuple(float(length) for length in fitted["lengths"]),
                noise_share=float(fitted["noise_share"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"expected the record of a study of levels, got one without what is needed "
                f"({type(error).__name__}: {error}): write it again with `gatekeeper levels`"
            ) from error
        points = space.to_unit(np.array(levels))
        process = AccuracyProcess(n_images).fit(points, n_correct, hyperparameters=chosen)
        return cls(
            space=space,
            options=options,
            n_images=n_images,
            points=points,
            n_correct=n_correct,
            n_evaluated=0,
            process=process,
        )


def run_study(
    oracle: AccuracyOracle,
    options: SearchOptions,
    *,
    on_level: OnLevel = lambda n, point, n_correct: None,
) -> LevelStudy:
    """Search the oracle's space and fit the rule.

    The mildest level is tried first. Levels that the oracle has kept cost nothing, so a study that
    was cut short, or one with a smaller budget, goes on where it ended.

    Args:
        oracle: Classifier, fixed set and space.
        options: How to search.
        on_level: Told of every level.
    """
    tried = search(
        oracle.n_correct,
        oracle.n_images,
        oracle.space.dimension,
        options,
        first=oracle.space.mildest,
        on_level=on_level,
    )
    points, n_correct = tried.arrays()
    return LevelStudy(
        space=oracle.space,
        options=options,
        n_images=oracle.n_images,
        points=points,
        n_correct=n_correct,
        n_evaluated=oracle.n_evaluated,
        process=fitted_process(points, n_correct, oracle.n_images),
    )


def _everywhere(space: LevelSpace) -> FloatArray:
    return np.asarray(sobol_points(space.dimension, _JUDGED, seed=0))
