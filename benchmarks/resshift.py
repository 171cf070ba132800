"""Four tasks, one network: is four steps as good as fifteen, and better than no restoration?

    python -m benchmarks.resshift --data cifar10:PATH [--steps 1800] [--seeds 0,1,2] [--workers 2]
        [--only train|judge] [--out DIR]
    python -m benchmarks.resshift --quick

ResShift at T = 4 and 15, the same network in one pass, and a diffusion from noise at 4 and 15
steps are each trained on the same mixture of noise, blur, half resolution and holes. ResShift
predicts the residual here, not x0 as in the paper: in short trials at T = 4, judged on 64 other
training images of CIFAR-10, x0 was 2.5 dB below the degraded input at x2 after 250 steps, the
residual at it after 250 and 0.6 dB below after 600.

Checkpoints and measured cells are kept under the hash of code, data and plan: a run that was
stopped goes on. It is made to fit an hour on two cores: what is judged are ResShift's two lengths,
under every seed; what stands beside them is trained under the first seed alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.demo import Target, described
from benchmarks.harness import RESULTS, Figure, write_results
from benchmarks.resshift_cells import (
    CHUNK,
    HIGHEST_DB,
    INPUT,
    METHODS,
    STAGES,
    Bench,
    Cells,
    Measuring,
    measured,
    open_bench,
    over_seeds,
    work,
)
from benchmarks.resshift_tasks import JUDGED_SEVERITY, TASKS
from benchmarks.telling import told
from benchmarks.trainings import in_workers
from gatekeeper.memory import keep_freed_memory
from gatekeeper.paths import cache_dir
from gatekeeper.restorers.resshift import PARAMETRISATIONS
from gatekeeper.types import FloatArray

TARGETS = {
    "t4_minus_t15_db": Target(
        -0.5, "higher", "low", "PSNR of ResShift at T = 4 minus T = 15, mean over tasks, paired"
    ),
    "t4_time_share": Target(
        0.3, "lower", "value", "time of a batch at T = 4 ÷ T = 15; ratio of medians, range of pairs"
    ),
    "gain_over_input_db_worst_task": Target(
        0.0, "higher", "low", "PSNR of ResShift at T = 4 minus that of the degraded input, paired"
    ),
}
"""What was written down before anything was measured."""

_N_DRAWS = 1000
_NOTE = (
    f"noise and blur at severity {JUDGED_SEVERITY:g}; psnr is the mean over images, in decibel, "
    f"none counted above {HIGHEST_DB:g}; ms is per image in batches of {CHUNK}; every method has "
    "the same network, steps of training and batches"
)


def figures(cells: Cells, seconds: FloatArray, *, seed: int) -> list[Figure]:
    """The three figures.

    Args:
        cells: As :func:`over_seeds` returns them.
        seconds: Of alternating runs at T = 4 and 15, shape (R, 2).
        seed: Of the redraws of images.
    """
    four, fifteen, before = (
        np.stack([cells[method, task]["psnr_db"] for task in TASKS])
        for method in (*METHODS[:2], INPUT)
    )
    less = _interval((four - fifteen).mean(axis=0), seed)
    gains = {task: _interval(gain, seed) for task, gain in zip(TASKS, four - before, strict=True)}
    worst = min(gains, key=lambda task: gains[task][1])
    pairs = seconds[:, 0] / seconds[:, 1]
    medians = np.median(seconds, axis=0)
    share = (float(medians[0] / medians[1]), float(pairs.min()), float(pairs.max()))
    said = {
        "t4_minus_t15_db": _said(dict(zip(TASKS, (four - fifteen).mean(axis=1), strict=True))),
        "t4_time_share": f"{medians[0]:.3f} s and {medians[1]:.3f} s",
        "gain_over_input_db_worst_task": f"worst: {worst}; "
        + _said({task: ends[0] for task, ends in gains.items()}),
    }
    found = dict(zip(TARGETS, (less, share, gains[worst]), strict=True))
    return [
        Figure(
            name=name,
            value=value,
            low=low,
            high=high,
            target=TARGETS[name].target,
            direction=TARGETS[name].direction,
            judged=TARGETS[name].judged,
            note=f"{TARGETS[name].note}; {said[name]}",
        )
        for name, (value, low, high) in found.items()
    ]


def _interval(values: FloatArray, seed: int) -> tuple[float, float, float]:
    """Mean over images, and the 95 % interval over redraws of images."""
    rows = np.random.default_rng(seed).integers(0, len(values), (_N_DRAWS, len(values)))
    low, high = np.quantile(values[rows].mean(axis=1), (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def _said(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {float(value):.2f}" for name, value in values.items())


def table(cells: Sequence[Cells], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Every method at every task under every seed, and a note."""
    rows: list[dict[str, Any]] = [{"method": "note", "note": _NOTE}]
    for seed, found in zip(seeds, cells, strict=True):
        for (method, task), cell in found.items():
            rows.append(
                {
                    "method": method,
                    "task": task,
                    "seed": seed,
                    "psnr_db": round(float(cell["psnr_db"].mean()), 3),
                    "ssim": round(float(cell["ssim"].mean()), 4),
                    "ms": round(1e3 * float(np.median(cell["seconds"])), 2),
                    "n": len(cell["psnr_db"]),
                }
            )
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure, judge, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.resshift", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", default=None, help="such as cifar10:PATH")
    parser.add_argument("--quick", action="store_true", help="a small run on digits")
    parser.add_argument("--steps", type=int, default=1800, help="of each training")
    parser.add_argument("--images", type=int, default=300, help="judged images")
    parser.add_argument("--seeds", default=None, help="0,1,2 by default; 0 with --quick")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--only", choices=STAGES, default=None, help="do this and write nothing")
    parser.add_argument("--shard", default=None, help="i/n: with --only, be the i-th of n workers")
    parser.add_argument("--out", type=Path, default=None, help="folder for resshift.json")
    parser.add_argument(
        "--predicts", choices=PARAMETRISATIONS, default="residual", help="of ResShift"
    )
    arguments = parser.parse_args(argv)
    if arguments.shard and not arguments.only:
        parser.error("--shard is of a stage: name it with --only")
    started = time.perf_counter()
    arguments.seeds = arguments.seeds or ("0" if arguments.quick else "0,1,2")
    keep_freed_memory()
    bench = open_bench(
        arguments.data,
        quick=arguments.quick,
        steps=arguments.steps,
        n_images=arguments.images,
        seed=0,
        predicts=arguments.predicts,
    )
    if not arguments.quick and not arguments.shard and arguments.workers > 1:
        stages = STAGES if arguments.only is None else (arguments.only,)
        in_workers("benchmarks.resshift", _options(arguments), stages, arguments.workers)
        if arguments.only:
            return
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    with told(shared=arguments.shard is not None) as progress:
        all_seeds = [
            Measuring(
                replace(bench, plan=replace(bench.plan, seed=seed)),
                cache_dir() / "resshift",
                progress,
            )
            for seed in seeds
        ]
        if arguments.only:
            if arguments.shard:
                torch.set_num_threads(1)
            work(all_seeds, arguments.only, arguments.shard or "0/1")
            return
        cells = measured(all_seeds)
        # Here, when no other worker is at it any more.
        seconds = all_seeds[0].times()
    found = figures(over_seeds(cells), seconds, seed=0)
    _write(arguments, bench, found, table(cells, seeds), time.perf_counter() - started)


def _options(arguments: argparse.Namespace) -> list[str]:
    """What a worker is told beside its share."""
    names = ("data", "steps", "images", "seeds", "predicts")
    return [part for name in names for part in (f"--{name}", str(getattr(arguments, name)))]


def _write(
    arguments: argparse.Namespace,
    bench: Bench,
    found: Sequence[Figure],
    rows: Sequence[dict[str, Any]],
    seconds: float,
) -> None:
    for figure in found:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<36}{figure.value:>10.4f}  target {figure.target:>7}  {verdict}")
    spec = "digits" if arguments.quick else arguments.data.partition(":")[0]
    chosen = "--quick" if arguments.quick else f"--data {spec} --steps {arguments.steps}"
    path = write_results(
        "resshift",
        command=f"python -m benchmarks.resshift {chosen} --seeds {arguments.seeds} "
        f"--predicts {arguments.predicts}",
        seeds=[int(seed) for seed in arguments.seeds.split(",")],
        data=described(bench.data, spec, len(bench.test)),
        seconds=seconds,
        figures=found,
        table=rows,
        # A quick run must not pass for the benchmark.
        folder=arguments.out or (Path("runs") / "benchmarks" if arguments.quick else RESULTS),
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
