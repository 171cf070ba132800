from __future__ import annotations

import threading

import pytest

from gatekeeper.batch import TIMINGS, BatchOptions, LocalRunner, Plan, Shard, open_source
from gatekeeper.batch import local as local_module
from gatekeeper.images import DecodeLimits


@pytest.fixture
def plan(folder):
    return Plan(open_source(folder), Shard(), BatchOptions(chunk=2, batch=2))


def without_timings(tables):
    return [table.drop_columns(list(TIMINGS)).to_pylist() for table in tables]


def test_chunks_come_in_order_and_none_twice(stages, facts, plan):
    done = list(LocalRunner(stages, facts, DecodeLimits())(plan, [0, 1, 2]))
    assert [index for index, _ in done] == [0, 1, 2]
    paths = [row["path"] for _, table in done for row in table.to_pylist()]
    assert paths == ["a.png", "b.png", "c.png", "d.png", "e.png", "f.png"]


def test_a_chunk_does_not_depend_on_the_others(stages, facts, plan):
    runner = LocalRunner(stages, facts, DecodeLimits())
    together = without_timings(table for _, table in runner(plan, [0, 1, 2]))
    alone = without_timings(next(runner(plan, [index]))[1] for index in (0, 1, 2))
    assert together == alone
    assert list(runner(plan, [])) == []


def test_decoding_runs_ahead_and_no_further_than_allowed(stages, facts, folder, monkeypatch):
    begun, started = [], threading.Event()
    decode = local_module.decode_items

    def noted(items, size, limits):
        begun.append(items[0].place)
        started.set()
        return decode(items, size, limits)

    monkeypatch.setattr(local_module, "decode_items", noted)
    options = BatchOptions(chunk=1, ahead=2, decode_threads=1)
    run = LocalRunner(stages, facts, DecodeLimits())(
        Plan(open_source(folder), Shard(), options), range(6)
    )
    next(run)
    assert started.wait(10)
    run.close()
    # The one that was computed and at most two ahead of it.
    assert len(begun) <= 3
    assert begun[0] == "a.png"


def test_an_error_of_decoding_itself_ends_the_run(stages, facts, plan, monkeypatch):
    def bug(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(local_module, "decode_items", bug)
    with pytest.raises(RuntimeError, match="a bug"):
        list(LocalRunner(stages, facts, DecodeLimits())(plan, [0, 1]))
