"""Scopes and the declared stream."""

from __future__ import annotations

import numpy as np

from gatekeeper.evaluation import Grid, Mix, View
from gatekeeper.evaluation.scopes import Scope, declared_stream, scopes_of
from gatekeeper.evidence import draw_plan
from tests import small_gate

GRID = Grid(("dark", "fog"), (1, 2, 3, 4, 5))
MIX = Mix(("dark",), 0.5)


def test_scopes_cover_the_grid_once_per_kind():
    scopes = list(scopes_of(GRID, held_out=("fog",), stream=np.zeros(3, dtype=int)))
    names = [scope.name for scope in scopes]
    assert names[:5] == ["clean", "declared", "seen", "held_out", "all"]
    assert names.count("corruption") == 2
    assert names.count("condition") == 10
    by_name = {scope.name: scope for scope in scopes[:5]}
    assert by_name["clean"].conditions.tolist() == [0]
    assert by_name["seen"].conditions.tolist() == [1, 2, 3, 4, 5]
    assert by_name["held_out"].conditions.tolist() == [6, 7, 8, 9, 10]
    assert by_name["all"].conditions.tolist() == list(range(1, 11))
    last = scopes[-1]
    assert (last.corruption, last.severity, last.conditions.tolist()) == ("fog", 5, [10])


def test_without_a_gate_nothing_is_seen_or_held_out():
    names = {scope.name for scope in scopes_of(GRID, held_out=None, stream=None)}
    assert names == {"clean", "all", "corruption", "condition"}
    # All corruptions seen: there is no held-out scope.
    names = {scope.name for scope in scopes_of(GRID, held_out=(), stream=None)}
    assert "held_out" not in names
    assert "seen" in names


def test_a_scope_takes_its_rows():
    numbers = np.arange(6.0).reshape(3, 2) / 10
    right = numbers > 0.2
    view = View(scores=numbers, stated=numbers, correct=right, raw_correct=right)
    taken = Scope(name="x", conditions=np.array([2, 0])).of(view)
    assert taken.scores.tolist() == [[0.4, 0.5], [0.0, 0.1]]
    stream = Scope(name="x", stream=np.array([1, 2])).of(view)
    assert stream.scores.tolist() == [[0.2, 0.5]]
    assert stream.accepted is None


def test_the_declared_stream_is_that_of_the_plan():
    data, positions = small_gate.digits(), np.arange(400)
    stream = declared_stream(data, positions, GRID, MIX, seed=7)
    plan = draw_plan(
        data, "test", positions, corruptions=("dark",), clean_share=0.5, seed=7,
        purpose="stream/declared",
    )  # fmt: skip
    found = [GRID.conditions[c] for c in stream]
    assert [name for name, _ in found] == plan.corruptions.tolist()
    assert [severity for _, severity in found] == plan.severities.tolist()
    assert 160 < (stream == 0).sum() < 240


def test_there_is_no_declared_stream_where_a_part_of_it_is_not_evaluated():
    data, positions = small_gate.digits(), np.arange(5)
    for grid, mix in (
        (GRID, None),
        (GRID, Mix(("dark", "snow"), 0.5)),
        (Grid(("dark",), (1, 5)), MIX),
    ):
        assert declared_stream(data, positions, grid, mix, seed=0) is None
