"""Seconds of runs that were cut short, by a clock that is wound by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.evaluation_meter import Meter, seconds_of_each


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_cell_that_was_cut_short_counts_once(tmp_path: Path) -> None:
    clock = Clock()
    first = Meter(tmp_path / "seconds", clock=clock)
    for _ in range(2):
        first.start("cell", 10)
        clock.now += 3.0
        first.advance(10)
    # Killed in the second cell: only the end of the first was kept.
    assert first.seconds == 3.0
    again = Meter(tmp_path / "seconds", clock=clock)
    again.start("cell", 10)
    clock.now += 4.0
    assert again.keep() == pytest.approx(3.0 + 4.0)


def test_parts_that_are_done_are_not_done_again(tmp_path: Path) -> None:
    clock, done = Clock(), []

    def work(name: str, seconds: float):
        def do() -> None:
            if name == "c" and "c" not in done:
                done.append(name)
                raise KeyboardInterrupt
            done.append(name)
            clock.now += seconds

        return do

    parts = {"a": work("a", 1.0), "b": work("b", 2.0), "c": work("c", 4.0)}
    with pytest.raises(KeyboardInterrupt):
        seconds_of_each(tmp_path / "parts", parts, clock=clock)
    with (tmp_path / "parts").open("a") as kept:
        kept.write('{"part": "c", "sec')  # a line that was cut short
    expected = {"a": 1.0, "b": 2.0, "c": 4.0}
    assert seconds_of_each(tmp_path / "parts", parts, clock=clock) == expected
    assert seconds_of_each(tmp_path / "parts", parts, clock=clock) == expected
    assert done == ["a", "b", "c", "c"]
