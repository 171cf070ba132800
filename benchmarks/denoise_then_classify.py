"""Does denoising before classification help, and whom?

    python -m benchmarks.denoise_then_classify --data cifar10:PATH --data fashion-mnist
        [--workers 2] [--only denoisers|classifiers]
    python -m benchmarks.denoise_then_classify --quick

Three small classifiers, each in three arms that get the same short budget after the same clean
training: on clean images, on noisy ones (Gaussian, sigma 0.2), or on denoised noisy ones. All are
judged on one fixed split with one fixed noise, image by image: clean, noisy, denoised. Differences
are paired: exact McNemar tests, intervals over images. A run that was cut short goes on from the
networks that it kept, trainings from their last kept state.

It is made to fit an hour on two cores: 7,000 *train* images, six passes and two of each arm.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from scipy import stats

from benchmarks.demo import Target, described
from benchmarks.denoise_arms import ARMS, SIGMA, Arms, Budget
from benchmarks.denoise_networks import NETWORKS, VGG_LIKE
from benchmarks.harness import RESULTS, Figure, write_results
from benchmarks.kept import Store
from benchmarks.telling import told
from benchmarks.trainings import in_workers, share_of
from gatekeeper.errors import InputError
from gatekeeper.images import Dataset, load_dataset, make_splits
from gatekeeper.metrics import exact_proportion_interval
from gatekeeper.paths import cache_dir
from gatekeeper.progress import Progress
from gatekeeper.types import BoolArray

NAME = "denoise_then_classify"
STAGES = ("denoisers", "classifiers")
"""Each must be finished before the next; within one, jobs are independent of one another."""

FIGURE = "accuracy_gain_vgg_like"
TARGET = Target(
    0.0,
    "higher",
    "low",
    note=f"accuracy on denoised minus on noisy images (sigma {SIGMA}) of the plain classifier, "
    "trained on clean images and frozen; mean over the seeds, paired intervals over images",
)
"""What was written down before anything was measured."""

FULL = Budget(
    sizes={
        "train": 7_000, "validation": 10, "fit": 10, "calibrate": 10, "certify": 10, "test": 5_000,
    },
    base_epochs=6,
    tuning_epochs=2,
    denoiser_steps=1_000,
)  # fmt: skip
QUICK = Budget(
    sizes={
        "train": 800, "validation": 10, "fit": 10, "calibrate": 10, "certify": 10, "test": 300,
    },
    base_epochs=4,
    tuning_epochs=1,
    denoiser_steps=60,
    batch_size=32,
)  # fmt: skip

_QUICK_SIZE_PX = (16, 16)
_SPLIT_SEED = 0
_REDRAWS = 10_000
# About how long each takes beside the others.
_LASTS = {VGG_LIKE: 1.0, "small_resnet": 1.4, "mobilenetv2": 1.6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Accuracy after minus before, on the same images.

    Attributes:
        value: The difference.
        low: Lower end of the two-sided 95 % interval over redrawn images.
        high: Upper end.
        helped: Images that were wrong before and are right after.
        harmed: Images that were right before and are wrong after.
        p_value: Two-sided exact McNemar test that help and harm are equally likely.
    """

    value: float
    low: float
    high: float
    helped: int
    harmed: int
    p_value: float


def paired(before: BoolArray, after: BoolArray) -> Paired:
    """Compare two sets of answers to the same N images.

    Args:
        before: Whether each answer was right, shape (N,).
        after: The same images afterwards.

    Raises:
        InputError: the shapes differ or there is no image.
    """
    n = len(before)
    if not n or before.shape != after.shape:
        raise InputError(
            f"expected answers to the same images before and after, got {before.shape} and "
            f"{after.shape}"
        )
    helped, harmed = int(np.sum(~before & after)), int(np.sum(before & ~after))
    # All that a redraw of images changes is how many of each kind there are.
    counts = np.random.default_rng(0).multinomial(
        n, [helped / n, harmed / n, (n - helped - harmed) / n], size=_REDRAWS
    )
    low, high = np.quantile((counts[:, 0] - counts[:, 1]) / n, (0.025, 0.975))
    moved = helped + harmed
    return Paired(
        value=(helped - harmed) / n,
        low=float(low),
        high=float(high),
        helped=helped,
        harmed=harmed,
        p_value=float(stats.binomtest(helped, moved).pvalue) if moved else 1.0,
    )


def rows_of(arms: Arms) -> Iterator[dict[str, Any]]:
    """One row per classifier and arm: accuracies, and denoised against noisy images."""
    labels = arms.data.labels[arms.splits.test]
    for architecture in NETWORKS:
        for arm in ARMS:
            answers = arms.answers(architecture, arm)
            right = {condition: found == labels for condition, found in answers.items()}
            gain = paired(right["noisy"], right["denoised"])
            row: dict[str, Any] = {
                "method": architecture,
                "data": arms.data.name,
                "trained_on": arm,
                "seed": arms.seed,
                "n": len(labels),
            }
            for condition, found in right.items():
                low, high = exact_proportion_interval(int(found.sum()), len(labels))
                name = condition.replace(" ", "_")
                row[f"accuracy_{name}"] = round(float(found.mean()), 5)
                row[f"accuracy_{name}_interval"] = [round(low, 5), round(high, 5)]
            yield row | {
                "gain": round(gain.value, 5),
                "gain_interval": [round(gain.low, 5), round(gain.high, 5)],
                "helped": gain.helped,
                "harmed": gain.harmed,
                "mcnemar_p": gain.p_value,
            }


def gain_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """The figure, from the rows of one data set."""
    plain = [row for row in rows if row["method"] == VGG_LIKE and row["trained_on"] == "clean"]
    p_values = ", ".join(f"{row['mcnemar_p']:.2g}" for row in plain)
    seeds = ", ".join(str(row["seed"]) for row in plain)
    return Figure(
        name=FIGURE,
        value=fmean(row["gain"] for row in plain),
        low=fmean(row["gain_interval"][0] for row in plain),
        high=fmean(row["gain_interval"][1] for row in plain),
        target=TARGET.target,
        direction=TARGET.direction,
        judged=TARGET.judged,
        note=f"{TARGET.note}; {plain[0]['data']}, {plain[0]['n']:,} images; exact McNemar "
        f"p {p_values} (seeds {seeds})",
    )


def all_arms(
    specs: Sequence[str], seeds: Sequence[int], budget: Budget, folder: Path, progress: Progress
) -> list[Arms]:
    """One study per data set and seed, data sets in the order of ``specs``."""
    found = []
    for spec in specs:
        size = _QUICK_SIZE_PX if budget is QUICK else None
        data = load_dataset(spec, image_size=size, announce=_say)
        splits = make_splits(
            data.labels,
            data.digests,
            test_index=data.test_index,
            sizes=budget.sizes,
            seed=_SPLIT_SEED,
        )
        for seed in seeds:
            store = Store(folder / f"{data.name}-seed-{seed}")
            found.append(Arms(data, splits, budget, seed=seed, store=store, progress=progress))
    return found


def work(studies: Sequence[Arms], stage: str, shard: str) -> None:
    """Do a share of a stage's jobs; what they make is kept."""
    if stage == STAGES[0]:
        for study in share_of([(1.0, study) for study in studies], shard):
            _ = study.denoiser
        return
    jobs = [(_LASTS.get(name, 1.0), (study, name)) for study in studies for name in NETWORKS]
    for study, name in share_of(jobs, shard):
        for arm in ARMS:
            study.answers(name, arm)


def measure(studies: Sequence[Arms]) -> tuple[Figure, list[dict[str, Any]], tuple[Dataset, int]]:
    """Figure on the first data set, rows of all, and what was judged."""
    table = [row for study in studies for row in rows_of(study)]
    judged = studies[0]
    first = [row for row in table if row["data"] == judged.data.name]
    return gain_figure(first), table, (judged.data, len(judged.splits.test))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, judge, print, write."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{NAME}", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--data", action="append", help="cifar10:PATH, then such as fashion-mnist; the first judges"
    )
    parser.add_argument("--quick", action="store_true", help="a small run on digits")
    parser.add_argument("--seeds", default=None, help="0,1,2 by default; 0 with --quick")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--only", choices=STAGES, default=None, help="do this and write nothing")
    parser.add_argument("--shard", default=None, help="i/n: with --only, be the i-th of n workers")
    parser.add_argument("--out", type=Path, default=None, help=f"folder for {NAME}.json")
    parser.add_argument("--work", type=Path, default=None, help="folder for the kept networks")
    arguments = parser.parse_args(argv)
    if not arguments.quick and not arguments.data:
        parser.error("name the data with --data, or run with --quick")
    if arguments.shard and not arguments.only:
        parser.error("--shard is of a stage: name it with --only")
    started = time.perf_counter()
    arguments.seeds = arguments.seeds or ("0" if arguments.quick else "0,1,2")
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    specs = ["digits"] if arguments.quick else arguments.data
    folder = (arguments.work or cache_dir() / "benchmarks" / NAME).resolve()
    if not arguments.quick and not arguments.shard and arguments.workers > 1:
        options = [part for spec in specs for part in ("--data", spec)]
        options += ["--seeds", arguments.seeds, "--work", str(folder)]
        stages = STAGES if arguments.only is None else (arguments.only,)
        in_workers(f"benchmarks.{NAME}", options, stages, arguments.workers)
        if arguments.only:
            return
    with told(shared=arguments.shard is not None) as progress:
        studies = all_arms(specs, seeds, QUICK if arguments.quick else FULL, folder, progress)
        if arguments.only:
            if arguments.shard:
                torch.set_num_threads(1)
            work(studies, arguments.only, arguments.shard or "0/1")
            return
        found = measure(studies)
    _write(arguments, found, time.perf_counter() - started)


def _write(
    arguments: argparse.Namespace,
    found: tuple[Figure, list[dict[str, Any]], tuple[Dataset, int]],
    seconds: float,
) -> None:
    figure, table, (data, n) = found
    verdict = "holds" if figure.holds else "DOES NOT HOLD"
    print(f"{figure.name:<36}{figure.value:>10.4f}  target {figure.target:>7}  {verdict}")
    specs = ["digits"] if arguments.quick else arguments.data
    named = ["--quick"] if arguments.quick else [f"--data {s.partition(':')[0]}" for s in specs]
    path = write_results(
        NAME,
        command=" ".join([f"python -m benchmarks.{NAME}", *named, f"--seeds {arguments.seeds}"]),
        seeds=[int(seed) for seed in arguments.seeds.split(",")],
        data=described(data, specs[0], n),
        seconds=seconds,
        figures=[figure],
        table=table,
        # A quick run must not pass for the benchmark.
        folder=arguments.out or (Path("runs") / "benchmarks" if arguments.quick else RESULTS),
    )
    print(f"wrote {path}")


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
