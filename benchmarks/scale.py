"""What Ray costs, what a second worker brings, and what a killed worker changes.

    python -m benchmarks.scale [--quick] [--out DIR]

The images of the benchmark ``batch`` through the shipped gate, in chunks of 256: on this machine
with one thread that computes and one that decodes, then on a Ray cluster that is started here, with
one worker, with two, and with one that is killed in the middle. A worker has one core, on which it
decodes, too; on both sides torch computes with one thread and freed memory is kept.

What is judged is the speed of work under way: it is counted from the moment when a quarter of the
chunks are finished, for every run alike. Before that Ray starts, its workers import torch and load
the gate, and the second may still do so when the first is at work. What all that takes does not
grow with the number of images; the table has it (``until_first_chunk_s``), with the speed of the
whole run (``images_per_second_in_all``), and so has the note of the figure. Two workers need cores
of their own: with two cores in all they share them with the driver and with Ray itself. On 2
idle cores the full run takes about 4 minutes, most of it the three starts of Ray.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from benchmarks.batch import BUNDLE, report, write_images
from benchmarks.harness import Figure
from gatekeeper.batch import (
    TIMINGS,
    BatchOptions,
    LocalRunner,
    Plan,
    Runner,
    Shard,
    facts_of,
    open_source,
)
from gatekeeper.engine import stages_of
from gatekeeper.memory import keep_freed_memory
from gatekeeper.paths import shipped
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.scale import RayBatchOptions, RayRunner

REAL = ("reliability", "reliability_before", "reliability_after")
TOLERANCE = 1e-5
SETTLED_SHARE = 0.25
"""Share of the chunks after which a run counts as under way."""


class Timed:
    """A run with its speeds.

    Attributes:
        tables: Number of each chunk -> its rows.
        start_s: Seconds until its first chunk was finished.
        rate: Images per second once a quarter of the chunks were finished.
        rate_in_all: Images per second from the very beginning.

    Args:
        runner: Computes.
        plan: What.
        on_first: Called once, when the first chunk is finished.
        clock: Seconds.
    """

    def __init__(
        self,
        runner: Runner,
        plan: Plan,
        on_first: Callable[[], object] = bool,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.tables: dict[int, pa.Table] = {}
        moments: list[tuple[float, int]] = []
        began = clock()
        for index, table in runner(plan, range(plan.n_chunks)):
            self.tables[index] = table
            moments.append((clock(), len(table)))
            if len(moments) == 1:
                on_first()
        settled = math.ceil(SETTLED_SHARE * plan.n_chunks)
        self.start_s = moments[0][0] - began
        self.rate = _rate(moments[settled - 1][0], moments[settled:])
        self.rate_in_all = _rate(began, moments)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows in order, without their timings."""
        return [
            row
            for index in sorted(self.tables)
            for row in self.tables[index].drop_columns(list(TIMINGS)).to_pylist()
        ]


def _rate(began: float, moments: Sequence[tuple[float, int]]) -> float:
    """Images per second of some chunks, of which the last one is finished last."""
    return sum(n for _, n in moments) / (moments[-1][0] - began)


def differences(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> int:
    """Rows that differ: in anything but a reliability, or in one by more than 1e-5."""
    same = sum(_same(a, b) for a, b in zip(one, other, strict=False))
    return max(len(one), len(other)) - same


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    exact = all(value == other[name] for name, value in one.items() if name not in REAL)
    return exact and all(_close(one[name], other[name]) for name in REAL)


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= TOLERANCE


def worker_pids() -> Iterator[int]:
    """Processes below this one's Ray cluster that hold a gate."""
    for entry in Path("/proc").iterdir():
        try:
            name = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            ours = f"GATEKEEPER_BENCHMARK={os.getpid()}".encode()
            if name.startswith(b"ray::MapWorker") and ours in (entry / "environ").read_bytes():
                yield int(entry.name)
        except OSError:
            continue


def kill_workers() -> int:
    """Kill them all; how many there were."""
    pids = list(worker_pids())
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


def measure(
    plan: Plan,
    here: Runner,
    on_ray: Callable[[int], Runner],
    kill: Callable[[], int] = kill_workers,
) -> tuple[list[Figure], list[dict[str, Any]]]:
    """The figures, and a row per run.

    Args:
        plan: What is decided, at least two chunks.
        here: The local engine.
        on_ray: Workers per stage -> the engine on Ray.
        kill: Kills the workers; tells how many.
    """
    killed: list[int] = []
    told = {
        "local": lambda: Timed(here, plan),
        "ray, 1 worker": lambda: Timed(on_ray(1), plan),
        "ray, 2 workers": lambda: Timed(on_ray(2), plan),
        "ray, killed": lambda: Timed(on_ray(1), plan, lambda: killed.append(kill())),
    }
    runs = {}
    for name, run in told.items():
        runs[name] = run()
        print(f"{name}: {runs[name].rate:,.0f} images/s under way", flush=True)
    local, one, two, survived = runs.values()
    table = [
        {
            "run": name,
            "images_per_second": round(run.rate, 2),
            "images_per_second_in_all": round(run.rate_in_all, 2),
            "until_first_chunk_s": round(run.start_s, 2),
            "differing_rows": differences(local.rows, run.rows),
        }
        for name, run in runs.items()
    ]
    lost = differences(one.rows, survived.rows)
    in_all = (one.rate_in_all / local.rate_in_all, two.rate_in_all / one.rate_in_all)
    return _figures((one.rate / local.rate, two.rate / one.rate), in_all, lost, killed[0]), table


def _figures(
    judged: tuple[float, float], in_all: tuple[float, float], lost: int, killed: int
) -> list[Figure]:
    """The figures; ``judged`` and ``in_all`` hold one worker's share and two workers' gain."""
    cores = len(os.sched_getaffinity(0))
    return [
        Figure(
            name="scale.one_worker_share",
            value=judged[0],
            target=0.8,
            direction="higher",
            judged="value",
            note="images/s of one Ray worker of one core ÷ the local engine with one thread, work "
            f"under way; {in_all[0]:.2f} with the start of Ray and of its worker, which does not "
            "grow with the images",
        ),
        Figure(
            name="scale.two_worker_speedup",
            value=judged[1],
            target=1.6,
            direction="higher",
            judged="value",
            note=f"two workers ÷ one, on {cores} cores, which the driver and Ray itself share, "
            f"work under way; {in_all[1]:.2f} with the starts",
        ),
        Figure(
            name="scale.differences_after_kill",
            value=lost,
            target=0,
            direction="lower",
            judged="value",
            note=f"rows that differ after {killed} workers were killed with signal 9",
        ),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, judge, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--quick", action="store_true", help="a small run")
    parser.add_argument("--out", type=Path, default=None, help="folder for scale.json")
    arguments = parser.parse_args(argv)
    started = time.perf_counter()
    torch.set_num_threads(1)  # as many as a worker of one core has
    keep_freed_memory()  # as a worker does, and as the command does
    # By which the workers of this run are told from others'.
    os.environ["GATEKEEPER_BENCHMARK"] = str(os.getpid())
    n = 120 if arguments.quick else 10_240
    options = BatchOptions(chunk=8 if arguments.quick else 256, decode_threads=1)
    bundle = shipped("calibration", BUNDLE) / "bundle"
    gate = Gatekeeper.load(bundle, device="cpu")
    facts = facts_of(gate)

    def on_ray(workers: int) -> Runner:
        return RayRunner(bundle, facts, gate.limits, RayBatchOptions(workers=workers))

    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), n)
        source = open_source(Path(folder))
        plan = Plan(source, Shard(), options)
        figures, table = measure(plan, LocalRunner(stages_of(gate), facts, gate.limits), on_ray)
    report("scale", figures, table, arguments, {"n": n, "digest": source.identity}, started)


if __name__ == "__main__":
    main()
