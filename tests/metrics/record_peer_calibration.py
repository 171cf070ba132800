"""Records what other libraries make of the same sample, in ``peer_calibration.json``.

Too heavy (or, for relplot, not under an open licence) to be a test dependency, so their values are
stored. To record them again, install ``relplot==1.0.3``, ``netcal==1.4.0`` and
``torch-uncertainty==0.13.0`` into an environment of their own and run

    python -m tests.metrics.record_peer_calibration
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import special

PATH = Path(__file__).with_name("peer_calibration.json")
OVERSTATED = (0.0, 0.05, 0.2)
WIDTHS = (0.02, 0.05, 0.2)


def binary_sample(overstated: float) -> tuple[np.ndarray, np.ndarray]:
    """Reliabilities (2000,) and outcomes that are ``overstated`` rarer than stated."""
    rng = np.random.default_rng(3)
    reliability = rng.beta(4.0, 1.5, 2_000)
    return reliability, rng.random(2_000) < reliability - overstated


def classes_sample() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (1000, 4) that are too sharp, and labels."""
    rng = np.random.default_rng(4)
    logits = rng.normal(0.0, 1.5, (1_000, 4))
    labels = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    return special.softmax(1.5 * logits, axis=1), labels


def main() -> None:
    """Ask the peers and write the file."""
    import relplot
    import torch
    from netcal.metrics import ECE
    from torch_uncertainty.metrics.classification import (
        CalibrationError,
        ClasswiseCalibrationError,
    )

    samples = {str(o): binary_sample(o) for o in OVERSTATED}
    probabilities, labels = classes_sample()

    def measured(metric: object) -> float:
        metric.update(torch.from_numpy(probabilities), torch.from_numpy(labels))
        return float(metric.compute())

    record = {
        "command": "python -m tests.metrics.record_peer_calibration",
        "versions": {n: version(n) for n in ("relplot", "netcal", "torch-uncertainty", "torch")},
        "smooth": {
            name: relplot.smECE(values, right.astype(float))
            for name, (values, right) in samples.items()
        },
        "at_width": {
            name: [relplot.smECE_sigma(values, right.astype(float), width) for width in WIDTHS]
            for name, (values, right) in samples.items()
        },
        "netcal_ece": {
            name: float(ECE(bins=15).measure(values, right.astype(int)))
            for name, (values, right) in samples.items()
        },
        "torch_uncertainty": {
            "ece": measured(CalibrationError(task="multiclass", num_classes=4, num_bins=15)),
            "adaptive_ece": measured(
                CalibrationError(task="multiclass", num_classes=4, num_bins=10, adaptive=True)
            ),
            "classwise_ece": measured(ClasswiseCalibrationError(num_classes=4, num_bins=15)),
        },
    }
    PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
