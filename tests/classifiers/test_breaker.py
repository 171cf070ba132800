"""The breaker's states, by a clock that stands still."""

from __future__ import annotations

import pytest

from gatekeeper.classifiers.breaker import BreakerOpenError, BreakerState, CircuitBreaker
from gatekeeper.errors import InputError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failures=3, reset_s=10.0, clock=clock)


def fail(breaker: CircuitBreaker, n: int = 1) -> None:
    for _ in range(n):
        with pytest.raises(OSError, match="down"), breaker.attempt(spared=KeyError):
            raise OSError("down")


def succeed(breaker: CircuitBreaker) -> None:
    with breaker.attempt():
        pass


def test_it_opens_after_failures_in_a_row(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    succeed(breaker)  # starts the count anew
    fail(breaker, 2)
    assert breaker.state is BreakerState.CLOSED
    fail(breaker)
    assert breaker.state is BreakerState.OPEN


def test_open_it_lets_nothing_pass_and_says_until_when(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now += 4.0
    with pytest.raises(BreakerOpenError, match=r"failed 3 times in a row .* for 6 s") as told:
        succeed(breaker)
    assert told.value.retry_after_s == 6.0


def test_a_probe_that_succeeds_closes_it(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 9.999
    assert breaker.state is BreakerState.OPEN
    clock.now += 0.001
    assert breaker.state is BreakerState.HALF_OPEN
    succeed(breaker)
    assert breaker.state is BreakerState.CLOSED
    fail(breaker, 2)  # the count began anew
    assert breaker.state is BreakerState.CLOSED


def test_a_probe_that_fails_opens_it_anew(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10.0
    fail(breaker)
    assert breaker.state is BreakerState.OPEN
    clock.now += 9.0
    with pytest.raises(BreakerOpenError) as told:
        succeed(breaker)
    assert told.value.retry_after_s == 1.0


def test_one_probe_at_a_time(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10.0
    with breaker.attempt():
        with pytest.raises(BreakerOpenError) as told:
            succeed(breaker)
        assert told.value.retry_after_s == 1.0
    assert breaker.state is BreakerState.CLOSED


def test_spared_errors_show_that_the_other_side_works(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 2)
    with pytest.raises(KeyError), breaker.attempt(spared=KeyError):
        raise KeyError
    fail(breaker, 2)
    assert breaker.state is BreakerState.CLOSED
    fail(breaker)
    clock.now += 10.0
    with pytest.raises(KeyError), breaker.attempt(spared=KeyError):
        raise KeyError
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("well", [True, False])
def test_what_began_before_it_opened_changes_nothing(
    breaker: CircuitBreaker, clock: Clock, well: bool
) -> None:
    late = breaker.attempt()
    late.__enter__()
    fail(breaker, 3)
    clock.now += 5.0
    late.__exit__(*((None, None, None) if well else (OSError, OSError("late"), None)))
    assert breaker.state is BreakerState.OPEN
    clock.now += 5.0
    assert breaker.state is BreakerState.HALF_OPEN


def test_a_probe_that_is_broken_off_gives_its_place_back(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now += 10.0
    with pytest.raises(KeyboardInterrupt), breaker.attempt():
        raise KeyboardInterrupt
    clock.now += 10.0
    succeed(breaker)
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize(("failures", "reset_s"), [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_what_cannot_be_meant(failures: int, reset_s: float) -> None:
    with pytest.raises(InputError, match="at least 1 failure and a reset_s above 0"):
        CircuitBreaker(failures=failures, reset_s=reset_s)
