from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from gatekeeper.batch import (
    TIMINGS,
    BatchFiles,
    BatchOptions,
    LocalRunner,
    Plan,
    Shard,
    open_source,
    run_batch,
)
from gatekeeper.errors import InputError
from gatekeeper.images import DecodeLimits


@pytest.fixture
def plan(folder):
    return Plan(open_source(folder), Shard(), BatchOptions(chunk=2, batch=2))


@pytest.fixture
def runner(stages, facts):
    return LocalRunner(stages, facts, DecodeLimits())


@pytest.fixture
def files(tmp_path):
    return BatchFiles.beside(tmp_path / "out.parquet")


class KilledError(Exception):
    pass


def killed_after(runner, n):
    """A runner that is lost once it has given ``n`` chunks."""

    def run(plan, pending):
        for done, each in enumerate(runner(plan, pending)):
            if done == n:
                raise KilledError
            yield each

    return run


def rows(path):
    return pq.read_table(path).drop_columns(list(TIMINGS)).to_pylist()


class Noted:
    def __init__(self):
        self.told = []

    def start(self, stage, total):
        self.told.append((stage, total))

    def advance(self, n):
        self.told.append(n)


def test_three_files_and_nothing_else(plan, facts, runner, files, tmp_path):
    progress = Noted()
    summary = run_batch(plan, facts, runner, files, progress=progress, lineage={"command": "c"})
    made = {path.name for path in tmp_path.iterdir()} - {"images"}
    assert made == {"out.parquet", "out.summary.json", "out.html"}
    assert json.loads(files.summary.read_text(encoding="utf-8")) == summary
    assert (summary["n_images"], summary["n_errors"], summary["n_accepted"]) == (6, 2, 3)
    assert progress.told == [("images decided", 6), 2, 2, 2]
    assert len(rows(files.rows)) == 6


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_run_that_was_killed_goes_on_to_the_same_rows(plan, facts, runner, files, tmp_path, n):
    whole = BatchFiles.beside(tmp_path / "whole.parquet")
    run_batch(plan, facts, runner, whole)
    with pytest.raises(KilledError):
        run_batch(plan, facts, killed_after(runner, n), files)
    assert not files.rows.exists()
    summary = run_batch(plan, facts, runner, files, resume=True)
    assert rows(files.rows) == rows(whole.rows)
    assert summary["computed_now"] == 6 - 2 * n


def test_killed_between_the_output_and_the_end(plan, facts, runner, files, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("gatekeeper.batch.checkpoints.shutil.rmtree", lambda *_, **__: None)
        summary = run_batch(plan, facts, runner, files)
    before = files.rows.read_bytes()
    assert run_batch(plan, facts, runner, files, resume=True) == summary
    assert files.rows.read_bytes() == before
    assert not files.rows.with_name("out.parquet.part").exists()


def test_killed_between_the_page_and_the_output(plan, facts, runner, files, monkeypatch):
    def lost(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("gatekeeper.batch.checkpoints.Checkpoints.make_output", lost)
        with pytest.raises(KilledError):
            run_batch(plan, facts, runner, files)
    assert files.page.exists()
    summary = run_batch(plan, facts, runner, files, resume=True)
    assert (summary["computed_now"], len(rows(files.rows))) == (0, 6)


def test_nothing_is_overwritten(plan, facts, runner, files):
    for path in (files.rows, files.summary, files.page):
        path.write_text("mine", encoding="utf-8")
        for resume in (False, True):
            with pytest.raises(InputError):
                run_batch(plan, facts, runner, files, resume=resume)
        assert path.read_text(encoding="utf-8") == "mine"
        path.unlink()


def test_shards_behind_one_another_are_the_whole(plan, facts, runner, tmp_path):
    run_batch(plan, facts, runner, BatchFiles.beside(tmp_path / "whole.parquet"))
    parts = []
    for index in (1, 2, 3):
        files = BatchFiles.beside(tmp_path / f"part{index}.parquet")
        shard = Plan(plan.source, Shard(index, 3), plan.options)
        run_batch(shard, facts, runner, files)
        parts += rows(files.rows)
    assert parts == rows(tmp_path / "whole.parquet")


def test_a_shard_without_images_is_an_empty_table(plan, facts, runner, files):
    empty = Plan(plan.source, Shard(1, 7), plan.options)
    assert run_batch(empty, facts, runner, files)["n_images"] == 0
    assert rows(files.rows) == []


def test_a_chunk_that_a_runner_leaves_out_is_an_error(plan, facts, runner, files):
    with pytest.raises(Exception, match="chunk-00000001"):
        run_batch(plan, facts, lambda plan, pending: runner(plan, [0, 2]), files)
    assert not files.rows.exists()


def test_the_output_is_parquet(tmp_path):
    with pytest.raises(InputError, match=r"\.parquet"):
        BatchFiles.beside(tmp_path / "out.csv")


def test_a_chunk_counts_as_done_once_it_is_on_disk(plan, facts, runner, files, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    progress = Noted()
    with monkeypatch.context() as patch:
        patch.setattr("gatekeeper.batch.checkpoints.Checkpoints.keep", full)
        with pytest.raises(OSError, match="no space left"):
            run_batch(plan, facts, runner, files, progress=progress)
    assert progress.told == [("images decided", 6)]
    assert run_batch(plan, facts, runner, files, resume=True)["computed_now"] == 6
