"""What a fit leaves out: learning from too few images, symptoms that clean images show, too."""

from __future__ import annotations

from gatekeeper.signals.reasons import reasons
from gatekeeper.types import FloatArray

WITHOUT_LEARNING = "max_softmax"
"""The score that stands in where nothing is learned."""

_LEAST_CALIBRATE = 500
_SYMPTOM_FREE = 0.99


def too_few_to_learn(n_calibrate: int) -> str | None:
    """Why nothing is learned from so few *calibrate* images, as a sentence; None if they suffice.

    A learned predictor that cannot be calibrated is worse than a plain score that can.
    """
    if n_calibrate >= _LEAST_CALIBRATE:
        return None
    return (
        f"reliability is the calibrated {WITHOUT_LEARNING}, nothing is learned: expected at least "
        f"{_LEAST_CALIBRATE} calibrate images, got {n_calibrate}"
    )


def symptom_limits(signals: FloatArray) -> dict[str, float]:
    """Strength of each symptom that one clean image in a hundred reaches.

    What looks like noise in a photograph may be the texture of a fabric: a symptom is worth telling
    only where it is stronger than clean images of the same kind show it.

    Args:
        signals: Of clean images, shape (N, D).

    Returns:
        Code -> strength in (0, 1]; symptoms that fewer images show are left out.
    """
    found: dict[str, list[float]] = {}
    for row in signals:
        for symptom in reasons(row):
            found.setdefault(symptom.code, []).append(symptom.strength)
    n_told = len(signals) - int(_SYMPTOM_FREE * len(signals))
    return {
        code: float(sorted(strengths, reverse=True)[n_told])
        for code, strengths in found.items()
        if len(strengths) > n_told
    }
