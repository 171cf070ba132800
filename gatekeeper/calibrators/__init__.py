"""From scores to probabilities of being right; one line here enters a new calibrator.

``CALIBRATORS`` maps the name that recipes and bundles use to the class. ``TemperatureScaler`` and
``VectorScaler`` are not among them: they turn logits into class probabilities, not scores into
reliabilities.
"""

from __future__ import annotations

from difflib import get_close_matches

from gatekeeper.calibrators.beta import BetaCalibrator
from gatekeeper.calibrators.histogram import HistogramCalibrator
from gatekeeper.calibrators.isotonic import IsotonicCalibrator
from gatekeeper.calibrators.logistic import LogisticCalibrator
from gatekeeper.calibrators.shift_aware import ShiftAwareCalibrator
from gatekeeper.calibrators.temperature import TemperatureScaler
from gatekeeper.calibrators.vector import VectorScaler
from gatekeeper.calibrators.venn_abers import VennAbersCalibrator
from gatekeeper.errors import InputError
from gatekeeper.protocols import Calibrator

__all__ = [
    "CALIBRATORS",
    "BetaCalibrator",
    "HistogramCalibrator",
    "IsotonicCalibrator",
    "LogisticCalibrator",
    "ShiftAwareCalibrator",
    "TemperatureScaler",
    "VectorScaler",
    "VennAbersCalibrator",
    "calibrator",
]

CALIBRATORS: dict[str, type[Calibrator]] = {
    "beta": BetaCalibrator,
    "histogram": HistogramCalibrator,
    "isotonic": IsotonicCalibrator,
    "logistic": LogisticCalibrator,
    "shift_aware": ShiftAwareCalibrator,
    "venn_abers": VennAbersCalibrator,
}


def calibrator(name: str) -> Calibrator:
    """A new, unfitted calibrator of that name.

    Args:
        name: A key of ``CALIBRATORS``.

    Raises:
        InputError: the name is unknown; the message lists near matches and all names.

    Example:
        >>> calibrator("logistic").fit([0.2, 0.7, 0.9], [False, True, True]).reliability([]).size
        0
    """
    if name not in CALIBRATORS:
        near = get_close_matches(name, CALIBRATORS, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(
            f"expected one of the calibrators {', '.join(sorted(CALIBRATORS))}, got {name!r}{hint}"
        )
    return CALIBRATORS[name]()
