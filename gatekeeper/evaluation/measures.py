"""All figures of one view on one set of conditions, with intervals and noise floors."""

from __future__ import annotations

import math

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.evaluation.redraws import Estimate, Ranking, StatedBins, estimate
from gatekeeper.evaluation.views import View
from gatekeeper.metrics import (
    NoiseFloor,
    RiskCoverageCurve,
    augrc,
    aurc,
    brier_score,
    debiased_calibration_error,
    e_aurc,
    exact_proportion_interval,
    exact_upper_bound,
    expected_calibration_error,
    failure_auroc,
    help_harm,
    noise_floor,
    smooth_calibration_error,
)
from gatekeeper.types import BoolArray, IntArray

_FLOOR_DRAWS = 100
_SMOOTH_DRAWS = 100
_SMOOTH_ROWS = 10_000


def measure(
    view: View, times: IntArray, *, target_risk: float, seed: int, smooth: bool = True
) -> dict[str, tuple[Estimate, NoiseFloor | None]]:
    """Metric -> estimate and, for calibration errors, the noise floor.

    Where each image occurs once (S = 1), shares have exact intervals; all others are bootstraps
    over images, because rows of one image depend on one another.

    Args:
        view: S conditions x N images.
        times: Redraws of the images, shape (R, N), as from ``redraws``.
        target_risk: Of the coverage at risk, in (0, 1).
        seed: Of the noise floors.
        smooth: Whether the smooth calibration error is wanted, which costs more than the rest.

    Returns:
        ``accuracy``; ``failure_auroc``, ``aurc``, ``augrc`` and ``coverage_at_risk`` of the
        ranking, with ``…_oracle`` and ``…_random`` (a perfect and an uninformative ranking of the
        same answers); ``ece``, ``ece_debiased``, ``smooth_ece`` and ``brier``. Where the view is
        gated also ``coverage``, ``risk`` (selective), ``harm`` (right answers turned wrong, of all
        images), ``help_harm`` (ratio) and ``restored``. What is not defined has the value None.
    """
    found: dict[str, tuple[Estimate, NoiseFloor | None]] = {
        "accuracy": (_share(view.correct, times), None)
    }
    found |= {name: (value, None) for name, value in _ranking(view, times, target_risk).items()}
    found |= _calibration(view, times, seed)
    if smooth:
        found["smooth_ece"] = (_smooth(view, times), None)
    if view.accepted is not None:
        found |= {name: (value, None) for name, value in _gated(view, times).items()}
    return found


def _share(events: BoolArray, times: IntArray) -> Estimate:
    """The share of rows with an event."""
    if len(events) == 1:
        count, n = int(events.sum()), events.size
        low, high = exact_proportion_interval(count, n)
        return Estimate(value=count / n, low=low, high=high)
    per_image = events.mean(axis=0)
    found = estimate(float(events.mean()), times @ per_image / times.sum(axis=1))
    return _never_certain(found, n_images=events.shape[1])


def _ratio(events: BoolArray, among: BoolArray, times: IntArray) -> Estimate:
    """The share of rows with an event among some rows; not defined where there is none."""
    n_among, n_events = int(among.sum()), int((events & among).sum())
    if not n_among:
        return Estimate(value=None)
    if len(events) == 1:
        low, high = exact_proportion_interval(n_events, n_among)
        return Estimate(value=n_events / n_among, low=low, high=high)
    above, below = times @ (events & among).sum(axis=0), times @ among.sum(axis=0)
    draws = np.where(below > 0, above / np.maximum(below, 1), np.nan)
    found = estimate(n_events / n_among, draws)
    return _never_certain(found, n_images=int(among.any(axis=0).sum()))


def _never_certain(found: Estimate, *, n_images: int) -> Estimate:
    """A share of 0 or 1 is 0 or 1 in every redraw; the exact bound over images is left then."""
    if found.value not in (0.0, 1.0):
        return found
    low, high = exact_proportion_interval(n_images if found.value else 0, n_images)
    return Estimate(value=found.value, low=low, high=high)


def _ranking(view: View, times: IntArray, target_risk: float) -> dict[str, Estimate]:
    scores, correct = view.scores.ravel(), view.correct.ravel()
    ranking = Ranking(view.scores, view.correct)
    drawn = [ranking.measure(row, target_risk) for row in times]
    draws = {name: np.array([draw[name] for draw in drawn]) for name in Ranking.METRICS}
    error = float(1.0 - correct.mean())
    area, excess = aurc(scores, correct), e_aurc(scores, correct)
    curve = RiskCoverageCurve.from_scores(scores, correct)
    found = {
        "aurc": estimate(area, draws["aurc"]),
        "aurc_oracle": Estimate(value=area - excess),
        "aurc_random": Estimate(value=error),
        "augrc": estimate(augrc(scores, correct), draws["augrc"]),
        "augrc_oracle": Estimate(value=error**2 / 2.0),
        "augrc_random": Estimate(value=error / 2.0),
        "coverage_at_risk": estimate(
            curve.coverage_at_risk(target_risk), draws["coverage_at_risk"]
        ),
        "coverage_at_risk_oracle": Estimate(value=min(1.0, (1.0 - error) / (1.0 - target_risk))),
        "failure_auroc": Estimate(value=None),
    }
    if 0.0 < error < 1.0:
        found["failure_auroc"] = estimate(failure_auroc(scores, correct), draws["failure_auroc"])
    return found


def _calibration(
    view: View, times: IntArray, seed: int
) -> dict[str, tuple[Estimate, NoiseFloor | None]]:
    stated, correct = view.stated.ravel(), view.correct.ravel()
    draws = StatedBins(view.stated, view.correct).measure(times)
    values = {
        "ece": expected_calibration_error(stated, correct),
        "ece_debiased": debiased_calibration_error(stated, correct),
        "brier": brier_score(stated, correct),
    }
    found: dict[str, tuple[Estimate, NoiseFloor | None]] = {
        name: (estimate(value, draws[name]), None) for name, value in values.items()
    }
    floor = noise_floor(stated, n_draws=_FLOOR_DRAWS, seed=seed)
    found["ece"] = (found["ece"][0], floor)
    return found


def _smooth(view: View, times: IntArray) -> Estimate:
    """The smooth error knows no weights: rows are repeated, so only small sets get an interval."""
    value = smooth_calibration_error(view.stated.ravel(), view.correct.ravel())
    if view.stated.size > _SMOOTH_ROWS:
        return Estimate(value=value)
    draws = [
        smooth_calibration_error(
            np.repeat(view.stated, row, axis=1).ravel(),
            np.repeat(view.correct, row, axis=1).ravel(),
        )
        for row in times[:_SMOOTH_DRAWS]
    ]
    return estimate(value, np.array(draws))


def _gated(view: View, times: IntArray) -> dict[str, Estimate]:
    if view.accepted is None or view.restored is None:
        raise InputError("expected a gated view, got one without actions")
    helped, harmed = ~view.raw_correct & view.correct, view.raw_correct & ~view.correct
    return {
        "coverage": _share(view.accepted, times),
        "risk": _ratio(~view.correct, view.accepted, times),
        "restored": _share(view.restored, times),
        "harm": _share(harmed, times),
        "help": _share(helped, times),
        "help_harm": _help_harm(view, helped, harmed, times),
    }


def _help_harm(view: View, helped: BoolArray, harmed: BoolArray, times: IntArray) -> Estimate:
    """The ratio; not defined where nothing was harmed."""
    if len(helped) == 1:
        found = help_harm(view.raw_correct[0], view.correct[0])
        ends = [None if math.isinf(end) else end for end in (found.ratio, found.low, found.high)]
        return Estimate(value=ends[0], low=ends[1], high=ends[2])
    n_helped, n_harmed = int(helped.sum()), int(harmed.sum())
    if not n_harmed:
        return Estimate(value=None)
    # On the scale of logarithms, where a ratio is as far from 1 : 2 as from 2 : 1; half an image
    # keeps a redraw without help or harm finite.
    above, below = times @ helped.sum(axis=0) + 0.5, times @ harmed.sum(axis=0) + 0.5
    centre = math.log((n_helped + 0.5) / (n_harmed + 0.5))
    logs = estimate(centre, np.log(above / below), lowest=-math.inf, highest=math.inf)
    return Estimate(
        value=n_helped / n_harmed,
        low=None if logs.low is None else math.exp(logs.low),
        high=None if logs.high is None else math.exp(logs.high),
    )


def clean_harm_rate(view: View) -> tuple[Estimate, int, int]:
    """Clean images whose right answer the policy turned wrong, of those answered rightly.

    Args:
        view: The policy on clean images only, S = 1.

    Returns:
        Rate with its exact one-sided 95 % upper bound as ``high``; the count; what it is of.
    """
    right = view.raw_correct[0]
    flips, n_right = int((right & ~view.correct[0]).sum()), int(right.sum())
    if not n_right:
        return Estimate(value=None), 0, 0
    high = exact_upper_bound(flips, n_right)
    return Estimate(value=flips / n_right, low=0.0, high=high), flips, n_right
