"""A real Ray cluster of two nodes; its workers are killed while they work."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
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


def test_killed_workers_lose_nothing_and_the_answers_are_those_of_this_machine(
    cluster, gate, plan, tmp_path
):
    facts = facts_of(gate)
    here = BatchFiles.beside(tmp_path / "here.parquet")
    run_batch(plan, facts, LocalRunner(stages_of(gate), facts, gate.limits), here)
    there = BatchFiles.beside(tmp_path / "there.parquet")
    bundle = shipped("calibration", "small-resnet-fashion-mnist") / "bundle"
    runner = RayRunner(bundle, facts, gate.limits, RayBatchOptions(decode_workers=1))
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

    assert sum("_FirstLooks" in name for name in killed.values()) == 1
    assert sum("_Restorations" in name for name in killed.values()) == 1
    assert sorted(seen) == list(range(plan.n_chunks))
    assert (summary["n_images"], summary["n_errors"], summary["engine"]) == (N, 2, "ray")
    assert summary["n_restored"] > 0
    expected, got = rows(here.rows), rows(there.rows)
    for one, other in zip(expected, got, strict=True):
        for name in REAL:
            assert other.pop(name) == pytest.approx(one.pop(name), abs=1e-5)
    assert got == expected


def test_a_cluster_without_gpus_is_told_at_once(cluster, gate, plan):
    runner = RayRunner(Path(), facts_of(gate), gate.limits, RayBatchOptions(gpus=0.5))
    with pytest.raises(InputError, match="1 GPUs for this many workers, got 0"):
        next(runner(plan, [0]))


def test_nothing_to_do_starts_nothing(gate, plan):
    options = RayBatchOptions(address="nobody:1")
    assert list(RayRunner(Path(), facts_of(gate), gate.limits, options)(plan, [])) == []


@pytest.mark.parametrize(
    "wrong",
    [{"workers": 0}, {"restore_workers": 0}, {"decode_workers": 0}, {"cpus": 0}, {"gpus": -1}],
)
def test_numbers_out_of_range(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        RayBatchOptions(**wrong)


def test_what_a_cluster_needs():
    options = RayBatchOptions(workers=2, restore_workers=3, cpus=0.5, gpus=0.25)
    assert (options.needs.cpus, options.needs.gpus) == (3.5, 1.25)
