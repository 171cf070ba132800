from __future__ import annotations

from gatekeeper.cli.progress import Bars


def test_one_bar_per_stage(capsys):
    with Bars() as bars:
        bars.start("train: classifier", 3)
        bars.advance(2)
        bars.advance(1)
        bars.start("test: looks", 10)
        bars.advance(10)
        bars.start("test: restored looks", 0)
        bars.start("test: looks", 5)
        bars.advance(4)
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = [line for line in shown.err.splitlines() if line.strip()]
    assert len(lines) == 2
    assert lines[0].startswith("train: classifier")
    assert "3/3" in lines[0]
    assert "14/15" in lines[1]


def test_nothing_to_advance_before_a_stage(capsys):
    with Bars() as bars:
        bars.advance(1)
    assert capsys.readouterr().err.strip() == ""
