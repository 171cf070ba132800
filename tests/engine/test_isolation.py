"""One poison item never fails its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.engine import StageError
from gatekeeper.engine.isolation import Isolated, run_isolated


class ExhaustedError(Exception):
    pass


class FatalError(Exception):
    pass


class Machine:
    """Squares numbers; negative ones are poison; notes the sizes of its batches."""

    def __init__(self, fits: int = 1000) -> None:
        self.sizes: list[int] = []
        self.fits = fits

    def __call__(self, part: Sequence[int]) -> Sequence[int | Exception]:
        self.sizes.append(len(part))
        if len(part) > self.fits:
            raise ExhaustedError
        if min(part) < 0:
            raise ValueError
        return [each * each for each in part]


def run(machine: Machine, items: Sequence[int]) -> Isolated[int]:
    return run_isolated(
        machine,
        items,
        is_exhausted=lambda error: isinstance(error, ExhaustedError),
        is_fatal=lambda error: isinstance(error, FatalError),
    )


@pytest.mark.parametrize("at", range(32))
def test_one_poison_item_among_32(at: int) -> None:
    items = list(range(32))
    items[at] = -1
    machine = Machine()
    done = run(machine, items)
    assert isinstance(done.results[at], ValueError)
    assert [r for i, r in enumerate(done.results) if i != at] == [
        i * i for i in range(32) if i != at
    ]
    assert len(machine.sizes) == 1 + 2 * 5  # log2(32) = 5 halvings, two parts each
    assert done.batch is None


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=20))
def test_exactly_the_poison_fails(items: list[int]) -> None:
    results = run(Machine(), items).results
    assert [isinstance(r, ValueError) for r in results] == [item < 0 for item in items]
    assert [r for r in results if isinstance(r, int)] == [i * i for i in items if i >= 0]


def test_memory_that_runs_out_halves_the_batch() -> None:
    machine = Machine(fits=3)
    done = run(machine, range(16))
    assert done.results == [i * i for i in range(16)]
    assert done.batch == 2
    assert machine.sizes == [16, 8, 4, *[2] * 8]


def test_an_item_too_large_by_itself_fails_alone() -> None:
    done = run(Machine(fits=0), [1, 2])
    assert [type(r) for r in done.results] == [ExhaustedError, ExhaustedError]
    assert done.batch == 1


def test_a_fatal_error_ends_it() -> None:
    def dead(part: Sequence[int]) -> Sequence[int]:
        raise FatalError

    with pytest.raises(FatalError):
        run_isolated(
            dead, [1, 2], is_exhausted=lambda _: False, is_fatal=lambda e: isinstance(e, FatalError)
        )


def test_too_few_results_are_an_error_of_their_items() -> None:
    def short(part: Sequence[int]) -> Sequence[int]:
        return [each for each in part if each]

    done = run_isolated(short, [1, 0, 2], is_exhausted=lambda _: False, is_fatal=lambda _: False)
    assert done.results[::2] == [1, 2]
    assert isinstance(done.results[1], StageError)
