"""What a batch costs beside its decisions, what a kill changes, and whether memory stays flat.

    python -m benchmarks.batch [--quick] [--out DIR]

MNIST digits as PNG files, each one clean and once with noise, one file in a hundred broken, through
the shipped gate. The engine alone gets the same images as decoded tensors, in the same batches, in
turn with the batch, three times over, so that a busy machine slows both; both compute in this
process, with the same number of threads. A batch is all of the images: what it costs to begin and
to end one is paid once in 10,000 (runs of before summed five shards, which paid it five times).

What is judged is the time on the clock. The table also has the processor time of all threads, which
other work on the machine changes less: the batch can be slower than the engine by no more than that
where nothing waits. On 2 idle cores the full run takes about two minutes, on busy ones up to ten.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.harness import RESULTS, Figure, write_results
from gatekeeper.batch import (
    TIMINGS,
    BatchFiles,
    BatchOptions,
    Facts,
    LocalRunner,
    Plan,
    Shard,
    decide_chunk,
    facts_of,
    open_source,
    run_batch,
)
from gatekeeper.batch.decoding import decode_items
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.engine import Stages, stages_of
from gatekeeper.images import DecodeLimits, load_dataset
from gatekeeper.memory import keep_freed_memory
from gatekeeper.paths import shipped
from gatekeeper.pipeline import Gatekeeper

BUNDLE = "small-resnet-fashion-mnist"
BROKEN_EVERY = 100
ROUNDS = 3
_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is decided.

    Attributes:
        folder: Of the images.
        broken: Names of the broken files.
        options: How the work is cut.
    """

    folder: Path
    broken: frozenset[str]
    options: BatchOptions


def write_images(folder: Path, n: int) -> frozenset[str]:
    """``n`` PNG files: digits, every other one noisy, every hundredth broken; names of those."""
    data = load_dataset("digits", announce=lambda line: None)
    broken = set()
    for start in range(0, n, 500):
        rows = np.arange(start, min(start + 500, n))
        images = data.batch((rows // 2) % len(data.labels))
        noisy = np.flatnonzero(rows % 2)
        images[noisy] = CORRUPTIONS["gaussian"](images[noisy], severity=3, seeds=rows[noisy])
        for row, pixels in zip(rows, (images * 255).round().byte(), strict=True):
            path = folder / f"{row:06}.png"
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
            if row % BROKEN_EVERY == BROKEN_EVERY - 1:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                broken.add(path.name)
    return frozenset(broken)


class Memory:
    """Notes the memory of this process after each chunk; stands where progress is told."""

    def __init__(self) -> None:
        self.seen_mb: list[float] = []

    def start(self, stage: str, total: int) -> None:
        """Nothing to note yet."""

    def advance(self, n: int) -> None:
        """Note."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        self.seen_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


def growth_mb(seen_mb: Sequence[float], settled: int) -> float:
    """How far the memory rose above what it was once ``settled`` chunks were done; at least 0."""
    return max(0.0, max(seen_mb[settled:], default=0.0) - seen_mb[settled - 1])


def differing(one: Path, other: Path) -> int:
    """Rows that are not the same in both files, timings apart; missing rows count."""
    left, right = (
        pq.read_table(path).drop_columns(list(TIMINGS)).to_pylist() for path in (one, other)
    )
    same = sum(a == b for a, b in zip(left, right, strict=False))
    return max(len(left), len(right)) - same


class Clock:
    """Adds up seconds while it is open.

    Attributes:
        wall_s: On the clock.
        cpu_s: Of the processor, all threads of this process together.
    """

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    def __enter__(self) -> None:
        """Start."""
        self._began = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        """Stop, whatever happened."""
        self.wall_s += time.perf_counter() - self._began[0]
        self.cpu_s += time.process_time() - self._began[1]


def engine_alone(stages: Stages, plan: Plan, facts: Facts, limits: DecodeLimits) -> Clock:
    """What the decisions of a batch take, its images being decoded before the clock starts."""
    clock = Clock()
    for index in range(plan.n_chunks):
        items = plan.chunk(index)
        decoded = decode_items(items, facts.image_size, limits)
        with clock:
            decide_chunk(stages, items, decoded, facts, plan.options)
    return clock


def measure(scene: Scene, place: Path) -> tuple[list[Figure], list[dict[str, Any]]]:
    """The figures, and a row per round.

    Args:
        scene: What is decided.
        place: A folder to write to.
    """
    bundle = shipped("calibration", BUNDLE) / "bundle"
    gate = Gatekeeper.load(bundle)
    stages, facts = stages_of(gate), facts_of(gate)
    runner = LocalRunner(stages, facts, gate.limits)
    source, memory = open_source(scene.folder), Memory()
    table, missing = [], 0
    plan = Plan(source, Shard(1, 1), scene.options)
    for number in range(1, ROUNDS + 1):
        alone, whole = engine_alone(stages, plan, facts, gate.limits), Clock()
        files = BatchFiles.beside(place / f"round{number}.parquet")
        with whole:
            summary = run_batch(plan, facts, runner, files, progress=memory)
        missing = max(missing, len(scene.broken) - _broken_rows(files.rows, scene.broken))
        table.append(_row(number, plan, alone, whole, summary))
        print(f"round {number} of {ROUNDS}: {alone.wall_s / whole.wall_s:.3f}", flush=True)
    lost = kill_and_resume(scene, bundle, place)
    share = sum(row["engine_s"] for row in table) / sum(row["batch_s"] for row in table)
    settled = max(1, plan.n_chunks // 5)
    return _figures(share, missing, growth_mb(memory.seen_mb, settled), lost), table


def _broken_rows(path: Path, broken: frozenset[str]) -> int:
    rows = pq.read_table(path, columns=["path", "error", "action"]).to_pylist()
    return sum(
        row["path"] in broken and row["error"] is not None and row["action"] is None for row in rows
    )


def _row(
    number: int, plan: Plan, alone: Clock, whole: Clock, summary: Mapping[str, Any]
) -> dict[str, Any]:
    decided = summary["n_decided"]
    parts = summary["stage_seconds"]
    return {
        "round": number,
        "n": plan.n_images,
        "engine_s": round(alone.wall_s, 3),
        "batch_s": round(whole.wall_s, 3),
        "engine_cpu_s": round(alone.cpu_s, 3),
        "batch_cpu_s": round(whole.cpu_s, 3),
        "decode_ms": round(1000 * parts["decode_ms"] / plan.n_images, 4),
        "decide_ms": round(1000 * parts["decide_ms"] / max(decided, 1), 4),
        "restore_ms": round(1000 * parts["restore_ms"] / max(summary["n_restored"], 1), 4),
        "restored_share": round(summary["n_restored"] / max(decided, 1), 4),
    }


def kill_and_resume(scene: Scene, bundle: Path, place: Path) -> int:
    """Rows of the first round that differ after ``kill -9`` in the middle and ``--resume``."""
    output = place / "killed.parquet"
    options = scene.options
    command = [
        *(sys.executable, "-m", "gatekeeper", "batch", str(bundle), str(scene.folder), str(output)),
        *("--chunk", str(options.chunk), "--batch", str(options.batch)),
        *("--decode-threads", str(options.decode_threads)),
    ]
    n = len(list(scene.folder.iterdir()))
    wanted = max(1, n // options.chunk // 2)
    quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as run:  # noqa: S603  # this interpreter
        try:
            _wait_for_chunks(output.with_name(f"{output.name}.part"), wanted, run)
        finally:
            run.send_signal(signal.SIGKILL)
    subprocess.run([*command, "--resume"], check=True, **quiet)  # noqa: S603
    return differing(place / "round1.parquet", output)


def _wait_for_chunks(part: Path, wanted: int, run: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while len(list(part.glob("chunk-*[0-9].parquet"))) < wanted:
        if run.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"expected {wanted} chunks in {part}, the run ended or hung before")
        time.sleep(0.005)


def _figures(share: float, missing: int, growth: float, lost: int) -> list[Figure]:
    def lower(name: str, value: float, target: float, note: str) -> Figure:
        return Figure(
            name=name, value=value, target=target, direction="lower", judged="value", note=note
        )

    return [
        Figure(
            name="batch.throughput_share",
            value=share,
            target=0.9,
            direction="higher",
            judged="value",
            note="seconds of the engine on decoded images ÷ seconds of the batch from PNG files, "
            "rows, checkpoints, summary and page included",
        ),
        lower("batch.error_rows_missing", missing, 0, "broken files without a row of their own"),
        lower("batch.memory_growth_mb", growth, 100, "resident memory, after the first fifth"),
        lower("batch.resume_differences", lost, 0, "rows after kill -9 and --resume; no timings"),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, judge, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batch", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--quick", action="store_true", help="a small run")
    parser.add_argument("--out", type=Path, default=None, help="folder for batch.json")
    arguments = parser.parse_args(argv)
    keep_freed_memory()  # as the command does
    started = time.perf_counter()
    n = 200 if arguments.quick else 10_000
    options = BatchOptions(chunk=8 if arguments.quick else 256, batch=8 if arguments.quick else 64)
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        scene = Scene(folder=images, broken=write_images(images, n), options=options)
        figures, table = measure(scene, Path(folder))
        identity = open_source(images).identity
    report("batch", figures, table, arguments, {"n": n, "digest": identity}, started)


def report(
    name: str,
    figures: Sequence[Figure],
    table: Sequence[Mapping[str, Any]],
    arguments: argparse.Namespace,
    data: Mapping[str, Any],
    started: float,
) -> None:
    """Print the figures and write them."""
    for figure in figures:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<32}{figure.value:>12.5g}  target {figure.target:>6}  {verdict}")
    # A quick run must not pass for the benchmark.
    usual = Path("runs") / "benchmarks" if arguments.quick else RESULTS
    path = write_results(
        name,
        command=f"python -m benchmarks.{name}{' --quick' if arguments.quick else ''}",
        seeds=[0],
        data={"name": "digits", "split": "all, clean and noisy, as PNG files", **data},
        seconds=time.perf_counter() - started,
        figures=figures,
        table=table,
        folder=arguments.out or usual,
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
