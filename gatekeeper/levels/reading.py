"""What a study of levels says of single images: the level each seems to be at, and the map there.

These numbers are inputs of the learned predictor. They claim nothing by themselves: the map speaks
about levels, and the level of an image is an estimate.

They are off by default: they help a little on families that were seen and cost more on those left
out (benchmark ``level_inputs``). The signals that they are read off, the predictor reads anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.levels.accuracy_process import AccuracyProcess
from gatekeeper.levels.estimate import LevelEstimator
from gatekeeper.levels.gaussian_process import Hyperparameters
from gatekeeper.levels.search import SearchOptions
from gatekeeper.levels.space import LevelSpace, parse_space
from gatekeeper.levels.study import LevelStudy
from gatekeeper.types import FloatArray

_ESTIMATOR = "estimator."

FAMILIES_OF: Mapping[str, frozenset[str]] = {
    "rotation": frozenset({"rotation"}),
    "scale": frozenset({"scale"}),
    "shift_x": frozenset({"shift"}),
    "shift_y": frozenset({"shift"}),
    "blur_sigma": frozenset({"gaussian_blur"}),
    "brightness": frozenset({"brightness", "dark"}),
    "contrast": frozenset({"contrast"}),
    "noise_sigma": frozenset({"gaussian"}),
    "jpeg_quality": frozenset({"jpeg"}),
}
"""Coordinate -> families of corruptions that a map over it has seen."""


def families_of(space: LevelSpace) -> frozenset[str]:
    """Families of corruptions that a map over this space has seen."""
    return frozenset(family for name in space.names for family in FAMILIES_OF[name])


class LevelReader:
    """Signals of an image -> its estimated level and the map's probability there.

    Args:
        study: The finished study.
        estimator: Fitted, for the study's space.

    Raises:
        InputError: the estimator is for another space.
    """

    def __init__(self, study: LevelStudy, estimator: LevelEstimator) -> None:
        if estimator.space.spec != study.space.spec:
            raise InputError(
                f"expected an estimator of the levels {study.space.spec}, got one of "
                f"{estimator.space.spec}: fit it for the study's space"
            )
        self.study = study
        self.estimator = estimator

    @property
    def n_columns(self) -> int:
        """Columns that :meth:`read` yields: one per coordinate, and the probability."""
        return self.study.space.dimension + 1

    def read(self, signals: FloatArray) -> FloatArray:
        """The estimated level in unit coordinates, then P(accuracy there ≥ threshold).

        Args:
            signals: Shape (B, D), as from ``gatekeeper.signals.read_signals``.

        Returns:
            Shape (B, n_columns), all in [0, 1].

        Raises:
            NotFittedError: the estimator has not been fitted.
        """
        points = self.estimator.point_of(signals)
        return np.concatenate([points, self.study.rule.probability(points)[:, None]], axis=1)

    def state(self) -> dict[str, FloatArray]:
        """Study and estimator as plain arrays; the space as the bytes of its text.

        Raises:
            NotFittedError: the estimator has not been fitted.
            InputError: the study's process has not been fitted.
        """
        study = self.study
        chosen = study.process.hyperparameters
        if chosen is None:
            raise InputError("expected a fitted study of levels, got one whose process is not")
        spec = np.frombuffer(study.space.spec.encode(), dtype=np.uint8)
        own = {
            "space": spec.astype(np.float64),
            "points": study.points,
            "n_correct": study.n_correct.astype(np.float64),
            "n_images": np.array(float(study.n_images)),
            "threshold": np.array(study.options.threshold),
            "hyperparameters": chosen.to_log(),
        }
        return own | {f"{_ESTIMATOR}{n}": array for n, array in self.estimator.state().items()}

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`."""
        space = parse_space(bytes(np.asarray(state["space"]).astype(np.uint8)).decode())
        points, n_images = np.asarray(state["points"]), int(state["n_images"])
        n_correct = np.asarray(state["n_correct"]).astype(np.int64)
        process = AccuracyProcess(n_images).fit(
            points,
            n_correct,
            hyperparameters=Hyperparameters.from_log(np.asarray(state["hyperparameters"])),
        )
        study = LevelStudy(
            space=space,
            options=SearchOptions(
                threshold=float(state["threshold"]), budget=max(2, len(n_correct))
            ),
            n_images=n_images,
            points=points,
            n_correct=n_correct,
            n_evaluated=0,
            process=process,
        )
        known = {
            name.removeprefix(_ESTIMATOR): array
            for name, array in state.items()
            if name.startswith(_ESTIMATOR)
        }
        return cls(study, LevelEstimator.from_state(space, known))
