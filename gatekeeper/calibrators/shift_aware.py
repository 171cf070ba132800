"""Calibration that follows the context, tried out on regions of contexts that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from gatekeeper.calibrators.conditional import ConditionalLink
from gatekeeper.calibrators.inputs import (
    Float64Array,
    context_array,
    outcome_array,
    score_array,
    state_arrays,
)
from gatekeeper.calibrators.isotonic import IsotonicCalibrator
from gatekeeper.calibrators.left_out import Discount, chosen
from gatekeeper.calibrators.link import IDENTITY
from gatekeeper.calibrators.surroundings import Coordinates, Surroundings
from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import BoolArray, FloatArray

# Fewer rows than these cannot show what a context means elsewhere.
_LEAST_ROWS = 200

_STATE_NAMES = (
    "centre",
    "scale",
    "axes",
    "score",
    "tilt",
    "height",
    "references",
    "ordinary",
    "discount",
    "knots",
    "values",
)


class ShiftAwareCalibrator:
    """Reliability from the score by a curve that shifts and tilts with the context.

    log-odds = a(c) · score + b(c) with a(c) > 0, where ln a and b are linear in clamped
    coordinates of the context c, followed by an isotonic curve. Fit it on clean *and* corrupted
    rows with the signals of each image as context: where the images look noisy, dark or blurred
    the same score is then worth less, and clean images keep their own curve.

    What it says of contexts that it was never fitted on is what it is judged by: the contexts of
    the fit are cut into regions, each is left out in turn, and the strength with which the context
    may act is the one that predicts the left-out regions best. Where the score itself knows all
    about the shift, that is not at all. From the same left-out regions it learns how much to
    discount answers whose context lies beyond everything seen. With fewer than 200 rows, or
    without context, it is isotonic calibration of the score.

    Args:
        seed: Of the rows that are tried, the regions and the contexts that are remembered.

    Attributes:
        coordinates_: Of the context.
        link_: From score and coordinates to log-odds.
        surroundings_: Contexts that were seen, or None without context or with few rows.
        discount_: For contexts beyond those.
        curve_: From discounted log-odds to reliability.
        ridge_: The chosen one of ``left_out.RIDGES``; it is not part of the state.

    Source:
        Ours. Fitting on perturbed rows: Tomani et al. 2021, "Post-hoc uncertainty calibration for
        domain drift scenarios" (arXiv:2012.10988). A calibrator for easy and one for hard images,
        and a way between them: Chen et al. 2023, "Adaptive calibrator ensemble" (arXiv:2303.05331).
    """

    coordinates_: Coordinates
    link_: ConditionalLink
    surroundings_: Surroundings | None
    discount_: Discount
    curve_: IsotonicCalibrator
    ridge_: float

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(
        self, scores: FloatArray, correct: BoolArray, *, context: FloatArray | None = None
    ) -> Self:
        """Learn from outcomes.

        Args:
            scores: Shape (N,), N at least 1, finite; higher is more reliable. Log-odds suit best.
            correct: Whether the classifier was right, boolean, shape (N,).
            context: Shape (N, C), finite, or None.

        Raises:
            InputError: shapes differ, N is 0, or a value is NaN or infinite.
        """
        values = score_array(scores)
        outcomes = outcome_array(correct, n=len(values))
        beside = context_array(context, n=len(values))
        self.coordinates_ = Coordinates.unused(beside.shape[1])
        self.surroundings_ = None
        self.discount_ = Discount(shrink=0.0, lower=0.0)
        self.ridge_ = np.inf
        if len(values) >= _LEAST_ROWS:
            self.coordinates_ = Coordinates.of(beside)
        points = self.coordinates_(beside)
        if points.shape[1]:
            self.surroundings_ = Surroundings.of(points, seed=self.seed)
            self.ridge_, self.discount_ = chosen(values, points, outcomes, seed=self.seed)
        self.link_ = ConditionalLink.fit(values, points, outcomes, ridge=self.ridge_)
        self.curve_ = IsotonicCalibrator().fit(self._log_odds(values, points), outcomes)
        return self

    def reliability(self, scores: FloatArray, *, context: FloatArray | None = None) -> FloatArray:
        """Probability of being right.

        Args:
            scores: Shape (N,), finite; N may be 0.
            context: Shape (N, C) with the C of fit, or None if fitted without.

        Returns:
            Shape (N,), in (0, 1), non-decreasing in the score at a fixed context.

        Raises:
            NotFittedError: before :meth:`fit`.
            InputError: as :meth:`fit`, or another context than in fit.
        """
        self._check_fitted()
        values = score_array(scores)
        points = self.coordinates_(context_array(context, n=len(values)))
        return self.curve_.reliability(self._log_odds(values, points))

    def _log_odds(self, scores: Float64Array, points: Float64Array) -> Float64Array:
        log_odds = self.link_.log_odds(scores, points)
        if self.surroundings_ is None:
            return log_odds
        return self.discount_(log_odds, self.surroundings_.excess(points))

    def state(self) -> dict[str, FloatArray]:
        """The fitted parameters as plain arrays of one dimension.

        Raises:
            NotFittedError: before :meth:`fit`.
        """
        self._check_fitted()
        seen = self.surroundings_
        curve = self.curve_.state()
        return {
            "centre": self.coordinates_.centre.copy(),
            "scale": self.coordinates_.scale.copy(),
            "axes": self.coordinates_.axes.flatten(),
            "score": np.array([self.link_.centre, self.link_.spread]),
            "tilt": self.link_.tilt.copy(),
            "height": self.link_.height.copy(),
            "references": np.zeros(0) if seen is None else seen.references.flatten(),
            "ordinary": np.zeros(0) if seen is None else np.array([seen.ordinary]),
            "discount": np.array([self.discount_.shrink, self.discount_.lower]),
            "knots": curve["knots"],
            "values": curve["values"],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`.

        Raises:
            InputError: the arrays are not those that :meth:`state` gives, or do not fit together.
        """
        arrays = dict(zip(_STATE_NAMES, state_arrays(state, names=_STATE_NAMES), strict=True))
        width = len(arrays["tilt"]) - 1
        _check_lengths({name: len(array) for name, array in arrays.items()}, width)
        new = cls()
        new.coordinates_ = Coordinates(
            centre=arrays["centre"],
            scale=arrays["scale"],
            axes=arrays["axes"].reshape(len(arrays["centre"]), width),
        )
        centre, spread = arrays["score"]
        new.link_ = ConditionalLink(
            centre=float(centre), spread=float(spread), tilt=arrays["tilt"], height=arrays["height"]
        )
        new.surroundings_ = None
        if len(arrays["ordinary"]):
            new.surroundings_ = Surroundings(
                references=arrays["references"].reshape(-1, width),
                ordinary=float(arrays["ordinary"][0]),
            )
        shrink, lower = arrays["discount"]
        new.discount_ = Discount(shrink=float(shrink), lower=float(lower))
        curve = {name: arrays[name] for name in ("knots", "values")}
        new.curve_ = IsotonicCalibrator.from_state({**IDENTITY.state(), **curve})
        return new

    def _check_fitted(self) -> None:
        if not hasattr(self, "curve_"):
            raise NotFittedError(
                "this ShiftAwareCalibrator has learned nothing yet; call fit first"
            )


def _check_lengths(lengths: Mapping[str, int], width: int) -> None:
    """Refuse arrays that do not fit together."""
    n_columns = lengths["centre"]
    seen = lengths["ordinary"]
    expected = {
        "scale": n_columns,
        "axes": n_columns * width,
        "score": 2,
        "height": width + 1,
        "discount": 2,
        "ordinary": 1 if width else 0,
    }
    wrong = [name for name, length in expected.items() if lengths[name] != length]
    n_references, rest = divmod(lengths["references"], width) if width else (0, 0)
    if width < 0 or rest or (seen and n_references < 1):
        wrong.append("references")
    if wrong:
        raise InputError(
            f"expected a state with arrays that fit together, got {', '.join(wrong)} of another "
            "length; fit again"
        )
