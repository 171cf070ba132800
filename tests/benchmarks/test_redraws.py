"""Estimates with influences, and intervals by redrawing images, against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.redraws import Ends, Estimate, Redraws, mean_ends, mean_of
from gatekeeper.errors import InputError


def mean_estimate(values: np.ndarray) -> Estimate:
    """The mean over images, whose influence is known: (x − mean) / n."""
    return Estimate(value=float(values.mean()), influence=(values - values.mean()) / len(values))


def test_each_redraw_holds_as_many_images_as_there_are() -> None:
    times = Redraws(7, n_draws=50, seed=3).times
    assert times.shape == (50, 7)
    assert (times.sum(axis=1) == 7).all()
    assert times.std() > 0


def test_redraws_are_those_of_their_seed() -> None:
    first = Redraws(9, n_draws=5, seed=1).times
    assert (first == Redraws(9, n_draws=5, seed=1).times).all()
    assert (first != Redraws(9, n_draws=5, seed=2).times).any()


def test_interval_of_a_mean_is_the_bootstrap_of_that_mean(rng: np.random.Generator) -> None:
    values = rng.gamma(2.0, size=40)
    redraws = Redraws(40, n_draws=400)
    redrawn = redraws.times @ values / 40  # exact: a mean is linear in the weights
    ends = redraws.interval(mean_estimate(values))
    assert ends.value == pytest.approx(values.mean())
    assert (ends.low, ends.high) == pytest.approx(tuple(np.quantile(redrawn, [0.025, 0.975])))
    one_sided = redraws.interval(mean_estimate(values), one_sided=True)
    assert (one_sided.low, one_sided.high) == pytest.approx(
        tuple(np.quantile(redrawn, [0.05, 0.95]))
    )


def test_interval_of_a_normal_mean_is_about_two_standard_errors(rng: np.random.Generator) -> None:
    values = rng.normal(size=2000)
    ends = Redraws(2000, n_draws=2000).interval(mean_estimate(values))
    standard_error = values.std() / np.sqrt(2000)
    assert ends.high - ends.low == pytest.approx(2 * 1.96 * standard_error, rel=0.08)


def test_gap_closed_and_cut_by_hand() -> None:
    flat = np.zeros(2)
    ours, reference = Estimate(value=0.9, influence=flat), Estimate(value=0.8, influence=flat)
    assert ours.minus(reference).value == pytest.approx(0.1)
    assert ours.gap_closed(reference).value == pytest.approx(0.5)
    assert ours.relative_cut(reference).value == pytest.approx(-0.125)
    half = Estimate(value=0.03, influence=flat).relative_cut(Estimate(value=0.06, influence=flat))
    assert half.value == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["minus", "gap_closed", "relative_cut"])
def test_influences_are_derivatives(kind: str, rng: np.random.Generator) -> None:
    """Of a combination of two weighted means, by finite differences in the weights."""
    a, b = rng.uniform(0.4, 0.9, size=(2, 12))

    def combined(weights: np.ndarray) -> float:
        flat = np.zeros(1)
        means = [Estimate(value=float(weights @ x / weights.sum()), influence=flat) for x in (a, b)]
        return getattr(means[0], kind)(means[1]).value

    found = getattr(mean_estimate(a), kind)(mean_estimate(b))
    step = 1e-6
    for image in range(12):
        bump = np.zeros(12)
        bump[image] = step
        slope = (combined(1 + bump) - combined(1 - bump)) / (2 * step)
        assert found.influence[image] == pytest.approx(slope, abs=1e-8)
    assert found.influence.sum() == pytest.approx(0.0, abs=1e-12)


def test_a_gap_or_cut_of_nothing_is_refused() -> None:
    one, zero = (Estimate(value=v, influence=np.zeros(1)) for v in (1.0, 0.0))
    with pytest.raises(InputError, match="below 1"):
        zero.gap_closed(one)
    with pytest.raises(InputError, match="above 0"):
        one.relative_cut(zero)


def test_mean_of_estimates_averages_image_by_image() -> None:
    parts = [
        Estimate(value=0.2, influence=np.array([0.1, -0.1])),
        Estimate(value=0.4, influence=np.array([0.3, -0.3])),
    ]
    mean = mean_of(parts)
    assert mean.value == pytest.approx(0.3)
    assert mean.influence.tolist() == pytest.approx([0.2, -0.2])


def test_opposite_influences_cancel() -> None:
    """Two classifiers that err on different halves of the images have a sure mean."""
    values = np.tile([0.0, 1.0], 50)
    together = mean_of([mean_estimate(values), mean_estimate(1 - values)])
    ends = Redraws(100, n_draws=100).interval(together)
    assert (ends.low, ends.high) == pytest.approx((0.5, 0.5))


def test_pessimistic_ends_by_hand() -> None:
    redraws = Redraws(3, n_draws=2)
    redrawn = np.linspace(0.0, 1.0, 1001)  # quantiles 0.025 and 0.975
    ends = redraws.pessimistic(0.4, redrawn)
    assert (ends.low, ends.high) == pytest.approx((0.0, 0.975))
    low_biased = redraws.pessimistic(0.7, redrawn)
    assert (low_biased.low, low_biased.high) == pytest.approx((0.025, 1.375))


def test_ends_are_averaged_end_by_end() -> None:
    ends = mean_ends([Ends(value=0.2, low=0.1, high=0.5), Ends(value=0.4, low=0.2, high=0.6)])
    assert (ends.value, ends.low, ends.high) == pytest.approx((0.3, 0.15, 0.55))
