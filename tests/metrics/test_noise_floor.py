"""Noise floors: closed form of one bin, what calibrated samples show, any metric."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.metrics.calibration import (
    debiased_calibration_error,
    expected_calibration_error,
)
from gatekeeper.metrics.noise_floor import NoiseFloor, noise_floor, noise_floor_of
from gatekeeper.metrics.smooth import smooth_calibration_error
from tests.metrics.test_calibration import sample


def test_noise_floor_of_one_bin_has_its_closed_form():
    n, stated = 2000, 0.8
    floor = noise_floor(np.full(n, stated), n_draws=4000, seed=0)
    spread = math.sqrt(stated * (1 - stated) / n)
    assert floor.mean == pytest.approx(spread * math.sqrt(2 / math.pi), rel=0.04)
    assert floor.p95 == pytest.approx(1.96 * spread, rel=0.05)


def test_noise_floor_is_what_a_calibrated_sample_shows():
    observed = [expected_calibration_error(*sample(1000, seed)) for seed in range(200)]
    floor = noise_floor(sample(1000, 0)[0], seed=1)
    assert floor.mean == pytest.approx(np.mean(observed), rel=0.06)
    assert floor.p95 == pytest.approx(np.quantile(observed, 0.95), rel=0.12)


def test_noise_floor_is_zero_where_all_is_certain_and_repeats_with_its_seed():
    certain = noise_floor([0.0, 1.0, 1.0], seed=0)
    assert (certain.mean, certain.p95) == (0.0, 0.0)
    reliability = sample(300, 5)[0]
    first = noise_floor(reliability, n_draws=20, seed=7, binning="mass")
    assert first == noise_floor(reliability, n_draws=20, seed=7, binning="mass")
    assert first != noise_floor(reliability, n_draws=20, seed=8, binning="mass")


def test_the_floor_of_any_metric_is_that_of_its_own_redraws():
    reliability = sample(500, 3)[0]
    for binning in ("width", "mass"):
        general = noise_floor_of(
            lambda r, c, how=binning: expected_calibration_error(r, c, binning=how),
            reliability,
            n_draws=30,
            seed=9,
        )
        special = noise_floor(reliability, binning=binning, n_draws=30, seed=9)
        assert general.mean == pytest.approx(special.mean, abs=1e-12)
        assert general.p95 == pytest.approx(special.p95, abs=1e-12)


@pytest.mark.parametrize("metric", [smooth_calibration_error, debiased_calibration_error])
def test_the_floor_is_what_calibrated_samples_show_for_other_metrics_too(metric):
    observed = [metric(*sample(600, seed)) for seed in range(120)]
    floor = noise_floor_of(metric, sample(600, 0)[0], n_draws=120, seed=1)
    assert floor.mean == pytest.approx(np.mean(observed), rel=0.12)
    assert floor.p95 == pytest.approx(np.quantile(observed, 0.95), rel=0.2)


def test_mean_and_percentile_by_hand():
    floor = NoiseFloor.of_draws(np.arange(21) / 100.0)
    assert (floor.mean, floor.p95) == (pytest.approx(0.1), pytest.approx(0.19))


def test_no_redraw_is_refused():
    with pytest.raises(InputError, match="n_draws must be at least 1"):
        noise_floor_of(smooth_calibration_error, [0.5], n_draws=0, seed=0)
