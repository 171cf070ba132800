"""Lines that tell the time left, at every tenth; bars only where a terminal is one's own."""

from __future__ import annotations

import pytest

from benchmarks.telling import Lines, told


def test_a_line_at_every_tenth_with_the_time_left() -> None:
    now, said = [0.0], []
    lines = Lines(said.append, clock=lambda: now[0])
    lines.start("train", 40)
    for _ in range(40):
        now[0] += 6.0
        lines.advance(1)
    assert len(said) == 10
    # After 4 of 40 steps of 6 s: 0.4 min taken, 36 steps or 3.6 min left.
    assert said[0] == "train: 4 of 40 in 0.4 min, about 3.6 min left"
    assert said[-1] == "train: 40 of 40 in 4.0 min, about 0.0 min left"


def test_each_stage_starts_its_own_clock_and_nothing_to_do_says_nothing() -> None:
    now, said = [0.0], []
    lines = Lines(said.append, clock=lambda: now[0])
    lines.start("none", 0)
    now[0] = 600.0
    lines.start("two", 2)
    now[0] = 660.0
    lines.advance(1)
    assert said == ["two: 1 of 2 in 1.0 min, about 1.0 min left"]


def test_a_large_step_is_told_once() -> None:
    said: list[str] = []
    lines = Lines(said.append, clock=lambda: 0.0)
    lines.start("looks", 100)
    lines.advance(95)
    lines.advance(1)
    assert len(said) == 1


def test_workers_and_logs_get_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for shared in (True, False):  # standard error is no terminal here
        with told(shared=shared) as progress:
            assert isinstance(progress, Lines)
            progress.start("s", 1)
            progress.advance(1)
    assert capsys.readouterr().err.count("s: 1 of 1") == 2
