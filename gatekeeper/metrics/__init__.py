"""What is measured: selective classification, calibration, corruption, restoration.

Numpy and scipy only.
"""

from __future__ import annotations

from gatekeeper.metrics.bootstrap import Interval, bootstrap_interval
from gatekeeper.metrics.calibration import (
    ReliabilityBins,
    brier_score,
    debiased_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_bins,
)
from gatekeeper.metrics.classwise import (
    classwise_calibration_error,
    classwise_interval,
    classwise_noise_floor,
)
from gatekeeper.metrics.corruption import (
    corruption_errors,
    mean_corruption_error,
    relative_mean_corruption_error,
)
from gatekeeper.metrics.noise_floor import NoiseFloor, noise_floor, noise_floor_of
from gatekeeper.metrics.proportions import exact_proportion_interval, exact_upper_bound
from gatekeeper.metrics.restoration import HelpHarm, help_harm, psnr, ssim
from gatekeeper.metrics.selective import (
    Difference,
    RiskCoverageCurve,
    augrc,
    aurc,
    e_aurc,
    failure_auroc,
    failure_auroc_difference,
    fpr_at_95_tpr,
    ideal_coverage,
)
from gatekeeper.metrics.smooth import calibration_error_at_width, smooth_calibration_error

__all__ = [
    "Difference",
    "HelpHarm",
    "Interval",
    "NoiseFloor",
    "ReliabilityBins",
    "RiskCoverageCurve",
    "augrc",
    "aurc",
    "bootstrap_interval",
    "brier_score",
    "calibration_error_at_width",
    "classwise_calibration_error",
    "classwise_interval",
    "classwise_noise_floor",
    "corruption_errors",
    "debiased_calibration_error",
    "e_aurc",
    "exact_proportion_interval",
    "exact_upper_bound",
    "expected_calibration_error",
    "failure_auroc",
    "failure_auroc_difference",
    "fpr_at_95_tpr",
    "help_harm",
    "ideal_coverage",
    "mean_corruption_error",
    "negative_log_likelihood",
    "noise_floor",
    "noise_floor_of",
    "psnr",
    "relative_mean_corruption_error",
    "reliability_bins",
    "smooth_calibration_error",
    "ssim",
]
