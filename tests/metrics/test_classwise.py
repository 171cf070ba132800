"""Classwise calibration error by hand, against torch-uncertainty's values, and its floor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from gatekeeper.errors import InputError
from gatekeeper.metrics.calibration import debiased_calibration_error, expected_calibration_error
from gatekeeper.metrics.classwise import (
    classwise_calibration_error,
    classwise_interval,
    classwise_noise_floor,
)
from tests.metrics.record_peer_calibration import binary_sample, classes_sample

RECORD = json.loads(Path(__file__).with_name("peer_calibration.json").read_text(encoding="utf-8"))


def calibrated(n, seed, n_classes=4):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 1.5, (n, n_classes))
    labels = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    return special.softmax(logits, axis=1), labels


def test_by_hand():
    """Class 0 states .8, .8, .3 and occurs 1, 0, 0; class 1 the rest; class 2 never."""
    probabilities = [[0.8, 0.2, 0.0], [0.8, 0.1, 0.1], [0.3, 0.6, 0.1]]
    labels = [0, 1, 1]
    class_0 = (2 * abs(0.8 - 0.5) + 0.3) / 3
    class_1 = (2 * abs(0.15 - 0.5) + 0.4) / 3
    class_2 = 0.2 / 3
    error = classwise_calibration_error(probabilities, labels, n_bins=2)
    assert error == pytest.approx((class_0 + class_1 + class_2) / 3)


def test_values_of_torch_uncertainty_and_netcal():
    probabilities, labels = classes_sample()
    theirs = RECORD["torch_uncertainty"]
    answered, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    assert classwise_calibration_error(probabilities, labels) == pytest.approx(
        theirs["classwise_ece"], abs=1e-7
    )
    assert expected_calibration_error(answered, correct) == pytest.approx(theirs["ece"], abs=1e-7)
    mass = expected_calibration_error(answered, correct, n_bins=10, binning="mass")
    assert mass == pytest.approx(theirs["adaptive_ece"], abs=1e-7)
    for overstated, expected in RECORD["netcal_ece"].items():
        error = expected_calibration_error(*binary_sample(float(overstated)))
        assert error == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("binning", ["width", "mass"])
@pytest.mark.parametrize("debiased", [False, True])
def test_it_is_the_mean_over_the_classes(binning, debiased):
    probabilities, labels = calibrated(300, 1)
    single = debiased_calibration_error if debiased else expected_calibration_error
    expected = [single(probabilities[:, k], labels == k, binning=binning) for k in range(4)]
    ours = classwise_calibration_error(probabilities, labels, binning=binning, debiased=debiased)
    assert ours == pytest.approx(np.mean(expected))


def test_two_classes_err_alike():
    probabilities, labels = calibrated(400, 2, n_classes=2)
    assert classwise_calibration_error(probabilities, labels, binning="mass") == pytest.approx(
        expected_calibration_error(probabilities[:, 0], labels == 0, binning="mass"), rel=0.05
    )


def test_perfect_and_worst():
    certain = np.eye(3)
    assert classwise_calibration_error(certain, [0, 1, 2]) == 0.0
    assert classwise_calibration_error(certain, [1, 2, 0]) == pytest.approx(2 / 3)
    assert classwise_calibration_error([[0.75, 0.25]], [0]) == pytest.approx(0.25)


@pytest.mark.parametrize("debiased", [False, True])
def test_floor_is_what_a_calibrated_sample_shows(debiased):
    observed = [
        classwise_calibration_error(*calibrated(500, seed), debiased=debiased) for seed in range(60)
    ]
    probabilities = calibrated(500, 0)[0]
    floor = classwise_noise_floor(probabilities, n_draws=60, seed=1, debiased=debiased)
    assert floor.mean == pytest.approx(np.mean(observed), rel=0.05)
    assert floor.p95 == pytest.approx(np.quantile(observed, 0.95), rel=0.1)
    assert floor == classwise_noise_floor(probabilities, n_draws=60, seed=1, debiased=debiased)


def test_floor_of_certainty_is_zero():
    floor = classwise_noise_floor(np.eye(3), n_draws=5, seed=0)
    assert (floor.mean, floor.p95) == (0.0, 0.0)


def test_interval_holds_the_estimate_and_knows_shared_images():
    probabilities, labels = classes_sample()
    alone = classwise_interval(probabilities, labels, n_draws=60, seed=2)
    assert alone.low < alone.value < alone.high
    assert alone.value == classwise_calibration_error(probabilities, labels)
    twice = classwise_interval(
        np.tile(probabilities, (2, 1)),
        np.tile(labels, 2),
        images=np.tile(np.arange(1_000), 2),
        n_draws=60,
        seed=2,
    )
    # The same images are drawn with the same seed, so the intervals are the same.
    assert (twice.low, twice.high) == pytest.approx((alone.low, alone.high), abs=1e-12)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[0.5, 0.6]], [0], "sum to 1 in every row"),
        ([[1.5, -0.5]], [0], r"lie in \[0, 1\]"),
        ([[np.nan, 1.0]], [0], r"lie in \[0, 1\]"),
        ([["a", "b"]], [0], "must be numbers"),
        ([0.5, 0.5], [0], r"shape \(N, K\)"),
        (np.zeros((0, 3)), [], r"shape \(N, K\)"),
        ([[1.0]], [0], "K at least 2"),
        ([[0.5, 0.5]], [2], "lie in 0…1, got 2 to 2"),
        ([[0.5, 0.5]], [0.0], "labels must be integers"),
        ([[0.5, 0.5]], [0, 1], r"of shape \(1,\)"),
    ],
)
def test_bad_input_is_refused(probabilities, labels, message):
    with pytest.raises(InputError, match=message):
        classwise_calibration_error(probabilities, labels)
    with pytest.raises(InputError, match=message):
        classwise_interval(probabilities, labels, seed=0)


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="n_draws must be at least 1"):
        classwise_noise_floor([[0.5, 0.5]], n_draws=0, seed=0)
    with pytest.raises(InputError, match="n_bins must be at least 1"):
        classwise_calibration_error([[0.5, 0.5]], [0], n_bins=0)
