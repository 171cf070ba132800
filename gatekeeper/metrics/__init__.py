"""What is measured: selective classification, calibration and restoration; numpy and scipy only."""

from __future__ import annotations

from gatekeeper.metrics.calibration import (
    Interval,
    NoiseFloor,
    ReliabilityBins,
    bootstrap_interval,
    brier_score,
    debiased_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
    noise_floor,
    reliability_bins,
)
from gatekeeper.metrics.restoration import HelpHarm, help_harm, psnr, ssim
from gatekeeper.metrics.selective import (
    Difference,
    RiskCoverageCurve,
    augrc,
    aurc,
    e_aurc,
    exact_proportion_interval,
    exact_upper_bound,
    failure_auroc,
    failure_auroc_difference,
    fpr_at_95_tpr,
    ideal_coverage,
)

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
    "negative_log_likelihood",
    "noise_floor",
    "psnr",
    "reliability_bins",
    "ssim",
]
