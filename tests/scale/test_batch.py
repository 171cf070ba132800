"""A real Ray cluster of two nodes; its workers are killed while they work."""

from __future__ import annotations

import os
import pickle
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gatekeeper.batch import (
    TIMINGS,
    BatchFiles,
    BatchOptions,
    LocalRunner,
    Plan,
    Shard,
    facts_of,
    open_source,
    run_batch,
)
from gatekeeper.engine import stages_of
from gatekeeper.errors import InputError
from gatekeeper.images import load_dataset
from gatekeeper.paths import shipped
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.scale import RayBatchOptions, RayRunner
from gatekeeper.scale import batch as batch_module

# What Ray itself leaves behind.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

N = 96
REAL = ("reliability", "reliability_before", "reliability_after")


@pytest.fixture(scope="module")
def gate():
    return Gatekeeper.load(shipped("calibration", "small-resnet-fashion-mnist") / "bundle")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Digits, each fourth of them noisy, and two files that are none."""
    folder = tmp_path_factory.mktemp("images")
    data = load_dataset("digits", announce=lambda line: None)
    pixels = (data.batch(np.arange(N)) * 255).byte().permute(0, 2, 3, 1).numpy()
    rng = np.random.default_rng(0)
    for at, image in enumerate(pixels):
        noise = rng.normal(0, 60 if at % 4 == 0 else 0, image.shape[:2])[:, :, None]
        Image.fromarray((image + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{at:03}.png")
    (folder / "040.png").write_bytes(b"broken")
    (folder / "041.png").write_bytes(b"")
    return Plan(open_source(folder), Shard(), BatchOptions(chunk=4, batch=4, restore_batch=2))


def workers() -> dict[int, str]:
    """Processes of the cluster that hold a gate, with their names."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            ours = os.environ["GATEKEEPER_HOME"].encode() in (entry / "environ").read_bytes()
        except OSError:
            continue
        if ours and name.startswith("ray::MapWorker"):
            found[int(entry.name)] = name
    return found


def rows(path):
    return pq.read_table(path).drop_columns(list(TIMINGS)).to_pylist()


def same(got, expected):
    for one, other in zip(expected, got, strict=True):
        for name in REAL:
            assert other.pop(name) == pytest.approx(one.pop(name), abs=1e-5)
    assert got == expected


@pytest.fixture
def job(gate, plan, monkeypatch):
    """What a worker is told, in this process, whose memory and threads are left as they are."""
    monkeypatch.setattr(batch_module, "keep_freed_memory", lambda: True)
    monkeypatch.setattr(batch_module.torch, "set_num_threads", lambda n: threads.append(n))
    threads: list[int] = []
    bundle = str(shipped("calibration", "small-resnet-fashion-mnist") / "bundle")
    told = batch_module._Job(bundle, 1.5, facts_of(gate), gate.limits, plan.options)
    yield told
    assert set(threads) <= {1}


def sent(batch):
    """As it arrives in another process, and how many bytes that took."""
    data = pickle.dumps(batch)
    return pickle.loads(data), len(data)  # noqa: S301  # our own, of the line above


def chunk(plan, n):
    work = batch_module._column([batch_module._Work(plan.source.items[:n])])
    return {"chunk": np.array([0]), "work": work}


def table(batch):
    with pa.ipc.open_stream(batch["table"][0]) as stream:
        return stream.read_all().drop_columns(list(TIMINGS)).to_pylist()


def test_one_worker_or_one_per_stage_give_the_same_rows(plan, job):
    decoded, _ = sent(batch_module._decode(chunk(plan, 12), job))
    looked, _ = sent(batch_module._FirstLooks(job)(decoded))
    apart = table(batch_module._Restorations(job)(looked))
    together = table(batch_module._Decisions(job)(chunk(plan, 12)))
    assert len(together) == 12
    assert sum(row["restorer"] is not None for row in together) > 0
    assert apart == together


def test_what_is_sent_between_stages_grows_with_the_images_and_not_with_their_batches(
    gate, plan, job
):
    at_once = replace(job, options=BatchOptions(batch=64))
    _, n_bytes = sent(batch_module._FirstLooks(at_once)(chunk(plan, 36)))
    # Each restored image once, as float32, and some kilobytes of evidence per image.
    assert n_bytes < 36 * (4 * 3 * gate.image_size[0] * gate.image_size[1] + 8_000)


@pytest.mark.parametrize(
    ("further", "pools"), [(0, ["_Decisions"]), (1, ["_FirstLooks", "_Restorations"])]
)
def test_killed_workers_lose_nothing_and_the_answers_are_those_of_this_machine(
    cluster, gate, plan, tmp_path, further, pools
):
    facts = facts_of(gate)
    here = BatchFiles.beside(tmp_path / "here.parquet")
    run_batch(plan, facts, LocalRunner(stages_of(gate), facts, gate.limits), here)
    there = BatchFiles.beside(tmp_path / "there.parquet")
    bundle = shipped("calibration", "small-resnet-fashion-mnist") / "bundle"
    options = RayBatchOptions(decode_workers=further, restore_workers=further)
    runner = RayRunner(bundle, facts, gate.limits, options)
    killed: dict[int, str] = {}
    seen: list[int] = []

    def killing(plan, pending):
        for index, table in runner(plan, pending):
            seen.append(index)
            if not killed:
                killed.update(workers())
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
            yield index, table

    summary = run_batch(plan, facts, killing, there, engine="ray")

    # One worker in each pool.
    assert [sum(pool in name for name in killed.values()) for pool in pools] == [1] * len(pools)
    assert len(killed) == len(pools)
    assert sorted(seen) == list(range(plan.n_chunks))
    assert (summary["n_images"], summary["n_errors"], summary["engine"]) == (N, 2, "ray")
    assert summary["n_restored"] > 0
    same(rows(there.rows), rows(here.rows))


def test_a_cluster_without_gpus_is_told_at_once(cluster, gate, plan):
    runner = RayRunner(Path(), facts_of(gate), gate.limits, RayBatchOptions(gpus=0.5))
    with pytest.raises(InputError, match=r"0\.5 GPUs for this many workers, got 0"):
        next(runner(plan, [0]))


def test_nothing_to_do_starts_nothing(gate, plan):
    options = RayBatchOptions(address="nobody:1")
    assert list(RayRunner(Path(), facts_of(gate), gate.limits, options)(plan, [])) == []


@pytest.mark.parametrize(
    "wrong",
    [{"workers": 0}, {"restore_workers": -1}, {"decode_workers": -1}, {"cpus": 0}, {"gpus": -1}],
)
def test_numbers_out_of_range(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        RayBatchOptions(**wrong)


def test_what_a_cluster_needs():
    options = RayBatchOptions(workers=2, restore_workers=3, decode_workers=8, cpus=0.5, gpus=0.25)
    assert (options.needs.cpus, options.needs.gpus) == (3.5, 1.25)
    assert RayBatchOptions(workers=2).needs.cpus == 2.0
