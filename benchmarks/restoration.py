"""Does restoration help recognition, whom does it harm, and is it chosen well?

    python -m benchmarks.restoration --data cifar10:PATH [--classifiers A,B] [--seeds 0,1,2]
        [--workers 2] [--only train|judge]
    python -m benchmarks.restoration --quick

Per classifier and seed: a recognition-first U-Net, a PSNR-trained one of equal size and an
autoencoder are trained on *train* under seen corruptions alone; then every judged image is answered
noisy, restored by each, restored by non-local means that know the true sigma, and restored for a
copy of the classifier that was tuned on restored images: the ceiling, on a fixed budget. A gate
with four restorers and two attempts is fitted, certified and judged. A run that was cut short goes
on from what it kept, trainings from their last kept state.

It is made to fit an hour on two cores: one classifier unless more are named, U-Nets of 2,200 steps
of 32 images, 3,000 judged images per sigma.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from benchmarks.demo import described
from benchmarks.denoise_then_classify import paired
from benchmarks.harness import RESULTS, Figure, write_results
from benchmarks.restoration_cells import CLASSIFIER, STAGES, Bench, Cell
from benchmarks.restoration_runs import CEILING, CONDITIONS, QUICK, RESTORED, SIGMAS, Size
from benchmarks.telling import told
from benchmarks.trainings import in_workers
from gatekeeper.errors import InputError
from gatekeeper.metrics import exact_upper_bound
from gatekeeper.paths import cache_dir
from gatekeeper.types import BoolArray, FloatArray

NAME = "restoration"

GAP_TARGETS = {0.1: 0.90, 0.2: 0.85, 0.3: 0.80}
"""What was written down before anything was measured."""

_REDRAWS = 2_000


def gap_closed(right: Mapping[str, BoolArray]) -> tuple[float, float, float]:
    """(restored − noisy) ÷ (ceiling − noisy), and its 95 % interval over redrawn images.

    Args:
        right: Condition -> whether each image is answered rightly, N images.

    Raises:
        InputError: the ceiling is no better than the noisy images: there is no gap to close.
    """
    noisy, restored, ceiling = (right[name] for name in ("noisy", RESTORED, CEILING))
    if not ceiling.mean() > noisy.mean():
        raise InputError(
            f"expected a ceiling above the accuracy on noisy images, got {ceiling.mean():.3f} and "
            f"{noisy.mean():.3f}: tune it for longer"
        )
    n = len(noisy)
    pattern = 4 * noisy.astype(int) + 2 * restored.astype(int) + ceiling.astype(int)
    shares = np.bincount(pattern, minlength=8) / n
    counts = np.random.default_rng(0).multinomial(n, shares, size=_REDRAWS)
    bits = (np.arange(8)[:, None] >> np.array([2, 1, 0])) & 1
    drawn = counts @ bits
    gaps = drawn[:, 2] - drawn[:, 0]
    some = gaps > 0
    low, high = np.quantile((drawn[some, 1] - drawn[some, 0]) / gaps[some], (0.025, 0.975))
    value = (restored.mean() - noisy.mean()) / (ceiling.mean() - noisy.mean())
    return float(value), float(low), float(high)


def gap_name(sigma: float) -> str:
    """Name of the figure of one sigma."""
    return f"gap_closed_sigma_{round(10 * sigma):02d}"


def without_meaning(cells: Sequence[Cell]) -> dict[str, str]:
    """Figures that divide by nothing here, and why; they are told and not written as numbers."""
    found = {}
    for cell in cells:
        checks: dict[str, Callable[[], object]] = {
            gap_name(sigma): partial(gap_closed, cell.right[sigma]) for sigma in SIGMAS
        }
        checks["arbitration_efficiency"] = partial(efficiency, cell.gate["arbitration"])
        for name, check in checks.items():
            try:
                check()
            except InputError as error:
                found[name] = f"{cell.classifier}, seed {cell.seed}: {error}"
    return found


def sigma_figures(
    cells: Sequence[Cell], size: Size, undefined: Collection[str] = ()
) -> list[Figure]:
    """Gap closed at each sigma that is not ``undefined``, and accuracy against the peers."""
    note = (
        f"mean over classifiers and seeds; the ceiling is the classifier tuned for "
        f"{size.ceiling_steps} steps of {size.batch_size} restored images"
    )
    figures = []
    for sigma in (each for each in SIGMAS if gap_name(each) not in undefined):
        value, low, high = np.mean([gap_closed(cell.right[sigma]) for cell in cells], axis=0)
        figures.append(
            Figure(
                name=gap_name(sigma),
                value=float(value),
                low=float(low),
                high=float(high),
                target=GAP_TARGETS[sigma],
                direction="higher",
                judged="low",
                note=note,
            )
        )
    peers = {"accuracy_vs_classical": "non-local means", "accuracy_vs_psnr_denoiser": "PSNR U-Net"}
    for name, peer in peers.items():
        found = [
            paired(cell.right[sigma][peer], cell.right[sigma][RESTORED])
            for cell in cells
            for sigma in SIGMAS
        ]
        figures.append(
            Figure(
                name=name,
                value=fmean(each.value for each in found),
                low=fmean(each.low for each in found),
                high=fmean(each.high for each in found),
                target=0.0,
                direction="higher",
                judged="low",
                note=f"{RESTORED} minus {peer}, mean over the three sigmas, classifiers and seeds",
            )
        )
    return figures


def gate_figures(cells: Sequence[Cell], undefined: Collection[str] = ()) -> list[Figure]:
    """Clean flips, harm, help, arbitration unless ``undefined``, and certified coverage."""

    def counted(name: str, value: float, target: float, lower: bool, note: str) -> Figure:
        return Figure(
            name=name,
            value=value,
            target=target,
            direction="lower" if lower else "higher",
            judged="value",
            note=note,
        )

    test = np.array([cell.gate["clean_test"] for cell in cells])
    worst = int(np.argmax(test[:, 0]))
    clean = [exact_upper_bound(int(f), int(n)) for f, n in (c.gate["clean_all"] for c in cells)]
    n_clean = int(min(cell.gate["clean_all"][1] for cell in cells))
    helped, harmed, mild_helped, mild_harmed = np.sum(
        [cell.gate["noise"] for cell in cells], axis=0
    )
    coverage = np.mean([cell.gate["coverage"] for cell in cells], axis=0)
    arbitration = []
    if "arbitration_efficiency" not in undefined:
        value = fmean(efficiency(cell.gate["arbitration"]) for cell in cells)
        note = "declared mix; single paths: no restorer, or one of four for everything"
        arbitration = [counted("arbitration_efficiency", value, 0.5, False, note)]
    return [
        counted(
            "clean_flips_test_dev", float(test[worst, 0]), 2, True,
            f"worst of {len(cells)} gates; exact upper bound "
            f"{exact_upper_bound(int(test[worst, 0]), int(test[worst, 1])):.5f}",
        ),
        counted(
            "clean_harm_upper_bound", max(clean), 0.001, True,
            f"worst gate; at least {n_clean:,} clean images that the classifier answers rightly",
        ),
        counted("help_harm_noise", *ratio(helped, harmed, 30, "every severity")),
        counted("help_harm_noise_s1", *ratio(mild_helped, mild_harmed, 5, "severity 1")),
        counted(
            "harm_excess_elsewhere", max(float(cell.gate["elsewhere"][0]) for cell in cells),
            0.002, True, "worst family outside noise, held-out ones included, worst gate",
        ),
        *arbitration,
        Figure(
            name="certified_coverage_gain", value=float(coverage[0]), low=float(coverage[1]),
            high=float(coverage[2]), target=0.08, direction="higher", judged="low",
            note="declared mix; mean over classifiers and seeds",
        ),
    ]  # fmt: skip


def ratio(helped: float, harmed: float, target: float, what: str) -> tuple[float, float, bool, str]:
    """Value, target, direction and note of a help : harm ratio; no harm counts as one."""
    return (
        float(helped / max(harmed, 1)), target, False,
        f"{int(helped)} : {int(harmed)} over all gates, {what}; no harm is counted as one",
    )  # fmt: skip


def efficiency(arbitration: FloatArray) -> float:
    """(policy − best single path) ÷ (any path right − best single path).

    Raises:
        InputError: no choice between paths can do better than the best of them.
    """
    policy, single, oracle = arbitration
    if not oracle > single:
        raise InputError(
            f"expected paths that complement one another, got {oracle:.3f} for all of them and "
            f"{single:.3f} for one: there is nothing to arbitrate"
        )
    return float((policy - single) / (oracle - single))


def rows_of(cell: Cell) -> list[dict[str, Any]]:
    """One row per sigma and condition, and one for the gate."""
    facts = {"classifier": cell.classifier, "seed": cell.seed}
    rows = [
        {**facts, "sigma": sigma, "method": name, "accuracy": round(float(found.mean()), 5)}
        for sigma, right in cell.right.items()
        for name, found in ((name, right[name]) for name in (*CONDITIONS, CEILING))
    ]
    gate = {name: [round(float(x), 6) for x in values] for name, values in cell.gate.items()}
    return [*rows, {**facts, "method": "gate", **gate}]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, judge, print, write."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{NAME}", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data", default=None, help="cifar10:PATH")
    parser.add_argument("--quick", action="store_true", help="a small run on digits")
    parser.add_argument("--classifiers", default=CLASSIFIER, help="records, such as a,b")
    parser.add_argument("--seeds", default=None, help="0,1,2 by default; 0 with --quick")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--only", choices=STAGES, default=None, help="do this and write nothing")
    parser.add_argument("--shard", default=None, help="i/n: with --only, be the i-th of n workers")
    parser.add_argument("--out", type=Path, default=None, help=f"folder for {NAME}.json")
    parser.add_argument("--work", type=Path, default=None, help="folder for what is kept")
    arguments = parser.parse_args(argv)
    if not arguments.quick and not arguments.data:
        parser.error("name the data with --data, or run with --quick")
    if arguments.shard and not arguments.only:
        parser.error("--shard is of a stage: name it with --only")
    started = time.perf_counter()
    arguments.seeds = arguments.seeds or ("0" if arguments.quick else "0,1,2")
    arguments.work = (arguments.work or cache_dir() / "benchmarks" / NAME).resolve()
    if not arguments.quick and not arguments.shard and arguments.workers > 1:
        in_workers(
            f"benchmarks.{NAME}", _options(arguments), _stages(arguments.only), arguments.workers
        )
        if arguments.only:
            return
    with (
        told(shared=arguments.shard is not None) as progress,
        tempfile.TemporaryDirectory(prefix="gatekeeper-restoration-") as scratch,
    ):
        bench = Bench(
            None if arguments.quick else arguments.data,
            arguments.classifiers.split(","),
            [int(seed) for seed in arguments.seeds.split(",")],
            arguments.work,
            Path(scratch),
            progress,
        )
        if arguments.only:
            if arguments.shard:
                torch.set_num_threads(1)
            bench.work(arguments.only, arguments.shard or "0/1")
            return
        cells = bench.cells()
    _write(arguments, cells, bench, time.perf_counter() - started)


def _stages(only: str | None) -> Sequence[str]:
    return STAGES if only is None else (only,)


def _options(arguments: argparse.Namespace) -> list[str]:
    """What a worker is told beside its share."""
    names = ("data", "classifiers", "seeds", "work")
    return [part for name in names for part in (f"--{name}", str(getattr(arguments, name)))]


def _write(
    arguments: argparse.Namespace, cells: Sequence[Cell], bench: Bench, seconds: float
) -> None:
    size = QUICK if arguments.quick else Size()
    undefined = without_meaning(cells)
    figures = [*sigma_figures(cells, size, undefined), *gate_figures(cells, undefined)]
    for name, why in undefined.items():
        print(f"{name:<36}not defined: {why}")
    for figure in figures:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<36}{figure.value:>10.4f}  target {figure.target:>7}  {verdict}")
    spec = "digits" if arguments.quick else arguments.data
    named = (
        "--quick"
        if arguments.quick
        else f"--data {spec.partition(':')[0]} --classifiers {arguments.classifiers}"
    )
    path = write_results(
        NAME,
        command=f"python -m benchmarks.{NAME} {named} --seeds {arguments.seeds}",
        seeds=[int(seed) for seed in arguments.seeds.split(",")],
        data=described(bench.data, spec, len(bench.splits.test)),
        seconds=seconds,
        figures=figures,
        table=[
            *(row for cell in cells for row in rows_of(cell)),
            *({"method": "not defined", "figure": n, "why": w} for n, w in undefined.items()),
        ],
        # A quick run must not pass for the benchmark.
        folder=arguments.out or (Path("runs") / "benchmarks" if arguments.quick else RESULTS),
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
