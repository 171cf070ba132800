"""The schedule against the published numbers, its posterior's variance, and re-spacing."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift import Schedule

FIFTEEN = Schedule.exponential(15, least_noise=0.04)
FOUR = Schedule.exponential(4, least_noise=0.2)

NOISE_15 = (
    0.04, 0.2343, 0.3526, 0.4673, 0.5831, 0.702, 0.8247, 0.9517, 1.0833, 1.2198, 1.3613, 1.508,
    1.6599, 1.8172, 1.98,
)  # fmt: skip
VARIANCE_15 = (
    0, 0.0016, 0.0307, 0.0535, 0.0782, 0.1054, 0.1357, 0.1694, 0.2067, 0.2479, 0.2932, 0.3429,
    0.3972, 0.4564, 0.5207,
)  # fmt: skip


@pytest.mark.parametrize(
    ("schedule", "noise", "variances"),
    [
        (FIFTEEN, NOISE_15, VARIANCE_15),
        (FOUR, (0.2, 1.0402, 1.5228, 1.98), (0, 0.0385, 0.5771, 0.9473)),
    ],
)
def test_published_noise_and_variances(
    schedule: Schedule, noise: tuple[float, ...], variances: tuple[float, ...]
) -> None:
    assert [2.0 * root for root in schedule.roots] == pytest.approx(noise, abs=1e-4)
    assert schedule.variances[1:] == pytest.approx(variances, abs=1e-4)
    assert schedule.etas[0] == 0.0
    assert schedule.etas[-1] == pytest.approx(0.9801)
    assert list(schedule.etas) == sorted(set(schedule.etas))


def test_etas_and_posterior_weights_of_four_steps() -> None:
    etas = FOUR.etas
    assert etas[1:] == pytest.approx((0.01, 0.2705, 0.5797, 0.9801), abs=1e-4)
    weights = [before / eta for before, eta in pairwise(etas)]
    assert weights == pytest.approx((0, 0.037, 0.4666, 0.5915), abs=1e-4)


def test_the_logarithm_is_linear_in_a_power_of_the_step() -> None:
    schedule = Schedule.exponential(9, kappa=1.5, power=0.7, end=0.9, least_noise=0.3)
    assert schedule.roots[0] == pytest.approx(0.3 / 1.5)
    assert schedule.roots[-1] == 0.9
    slopes = [
        math.log(root / schedule.roots[0]) / (t / 8) ** 0.7
        for t, root in enumerate(schedule.roots)
        if t
    ]
    assert slopes == pytest.approx([math.log(0.9 / 0.2)] * 8)


def test_a_larger_power_starts_more_slowly() -> None:
    slow = Schedule.exponential(15, power=1.0, least_noise=0.04)
    found = [slow.roots[t] for t in (0, 3, 7, 11, 14)]
    assert found == pytest.approx((0.02, 0.046, 0.141, 0.429, 0.99), abs=6e-4)


def test_a_small_kappa_does_not_raise_the_first_step() -> None:
    # min(m / kappa, m): below kappa = 1 the noise would otherwise start above m.
    assert Schedule.exponential(4, kappa=0.5, least_noise=0.1).roots[0] == 0.1


def test_one_step_goes_all_the_way() -> None:
    one = Schedule.exponential(1)
    assert (one.roots, one.times, one.variances) == ((0.99,), (0,), (0.0, 0.0))


def test_respacing_keeps_the_first_and_the_last_step() -> None:
    four = FIFTEEN.respaced(4)
    assert four.times == (0, 5, 9, 14)
    assert four.roots == tuple(FIFTEEN.roots[t] for t in (0, 5, 9, 14))
    assert four.kappa == FIFTEEN.kappa
    assert FIFTEEN.respaced(15) == FIFTEEN
    for steps in range(1, 16):
        respaced = FIFTEEN.respaced(steps)
        assert respaced.steps == steps
        assert respaced.times[-1] == 14
        assert respaced.roots[-1] == 0.99
    assert FIFTEEN.respaced(8).respaced(2).times == (0, 14)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"steps": 0}, "at least one step"),
        ({"steps": 4, "power": 0.0}, "above 0"),
        ({"steps": 4, "kappa": -1.0}, "above 0"),
        ({"steps": 4, "end": 1.1}, "at most 1"),
        ({"steps": 4, "end": 0.1}, "above 0.1"),
    ],
)
def test_what_is_no_schedule_is_refused(arguments: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Schedule.exponential(**arguments)


def test_values_out_of_order_are_refused() -> None:
    with pytest.raises(InputError, match="increase"):
        Schedule((0.5, 0.4), (0, 1))
    with pytest.raises(InputError, match="one time per step"):
        Schedule((0.4, 0.5), (1, 1))
    with pytest.raises(InputError, match="kappa"):
        Schedule((0.4, 0.5), (0, 1), kappa=math.inf)
    for steps in (0, 16):
        with pytest.raises(InputError, match="1 to 15 steps"):
            FIFTEEN.respaced(steps)
