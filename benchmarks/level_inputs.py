"""Does the map of distortion levels help the per-image predictor? With and without, side by side.

    python -m benchmarks.level_inputs            # the shipped gate's classifier, Fashion-MNIST
    python -m benchmarks.level_inputs --quick    # 8-pixel digits: see that all parts work

The learned predictor is fitted twice on looks at *fit* images: as it is, and with the estimated
level of each image and the map's probability there as further inputs. Both are judged on
*calibrate* images: *certify* and *test* are not read. Once with every family seen, and once per
family left out; then the map, too, leaves out the coordinate that would show that family.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.demo import described
from benchmarks.harness import RESULTS, Figure, write_results
from benchmarks.held_out import parse_seeds
from benchmarks.kept import Store
from benchmarks.levels_pairs import SIZES, trained
from gatekeeper.bundle import load_bundle
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.evaluation import declared_mix, own_splits
from gatekeeper.evidence import EvidenceTable, TableBuilder, draw_plan
from gatekeeper.images import Dataset, Splits, load_dataset, make_splits
from gatekeeper.levels import (
    FAMILIES_OF,
    AccuracyOracle,
    LevelEstimator,
    LevelReader,
    SearchOptions,
    fixed_set,
    parse_space,
    run_study,
)
from gatekeeper.metrics import failure_auroc
from gatekeeper.mlp import MlpOptions
from gatekeeper.paths import shipped
from gatekeeper.protocols import Classifier
from gatekeeper.reliability import LearnedPredictor
from gatekeeper.types import BoolArray, FloatArray, IntArray

NAME = "level_inputs"
BUNDLE = "small-resnet-fashion-mnist"
AXES = {"noise_sigma": "0:0.3", "blur_sigma": "0:2.5", "brightness": "0.3:1"}
"""The coordinates that the declared traffic of the shipped gate has families of."""

_THRESHOLD_SHARE = 0.9  # of the accuracy on clean images
_LOOKS = 2  # degraded looks at each *fit* image, beside the clean one
_LOSS = -0.005

Pools = Mapping[str, EvidenceTable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything.

    Attributes:
        n_fit: *fit* images that predictors learn from.
        n_judged: *calibrate* images.
        n_images: Images per level.
        budget: Levels per study.
        n_estimated: *fit* images that the estimator of levels learns from.
        n_draws: Redraws behind an interval.
        options: Of the predictors.
    """

    n_fit: int
    n_judged: int
    n_images: int
    budget: int
    n_estimated: int
    n_draws: int
    options: MlpOptions


FULL = Size(
    n_fit=3000,
    n_judged=3000,
    n_images=300,
    budget=40,
    n_estimated=300,
    n_draws=300,
    options=MlpOptions(hidden=128, members=3, epochs=8, dropout=0.1),
)
QUICK = Size(
    n_fit=100,
    n_judged=300,
    n_images=60,
    budget=8,
    n_estimated=40,
    n_draws=20,
    options=MlpOptions(hidden=8, members=1, epochs=1),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A frozen classifier, its images, and the corruptions of its traffic."""

    data: Dataset
    spec: str
    splits: Splits
    classifier: Classifier
    seen: tuple[str, ...]


def opened(*, quick: bool) -> Subject:
    """The shipped gate's classifier with its own splits; quickly a network for small digits."""
    say = lambda line: print(line, file=sys.stderr)  # noqa: E731
    if quick:
        data = load_dataset("digits8", announce=say)
        splits = make_splits(
            data.labels, data.digests, test_index=data.test_index, sizes=SIZES["digits8"], seed=0
        )
        with tempfile.TemporaryDirectory() as folder:
            classifier = trained(data, splits, "mlp", Store(Path(folder)))
        seen = ("gaussian", "gaussian_blur", "dark")
        return Subject(data=data, spec="digits8", splits=splits, classifier=classifier, seen=seen)
    fitted, _ = load_bundle(shipped("calibration", BUNDLE) / "bundle")
    data = load_dataset(
        str(fitted.certificate["dataset"]), image_size=fitted.image_size, announce=say
    )
    mix = declared_mix(fitted.certificate)
    return Subject(
        data=data,
        spec=data.name,
        splits=own_splits(data, fitted.seed, fitted.certificate),
        classifier=fitted.classifier,
        seen=() if mix is None else mix.corruptions,
    )


def looks(subject: Subject, size: Size) -> tuple[EvidenceTable, dict[str, EvidenceTable]]:
    """Looks to learn from, and per corruption ("" for clean) the same images to judge by."""
    builder = TableBuilder(subject.data, subject.classifier, {})

    def table(split: str, rows: IntArray, names: Sequence[str], purpose: str) -> EvidenceTable:
        plan = draw_plan(
            subject.data,
            split,
            rows,
            corruptions=names,
            clean_share=0.0 if names else 1.0,
            seed=0,
            purpose=f"{NAME}/{purpose}",
        )
        return builder.raw(plan)

    fit = np.sort(subject.splits.fit)[: size.n_fit]
    judged = np.sort(subject.splits.calibrate)[: size.n_judged]
    tables = [table("fit", fit, (), "fit")]
    tables += [table("fit", fit, subject.seen, f"fit/{n}") for n in range(_LOOKS)]
    pools = {"": table("calibrate", judged, (), "clean")}
    for name in subject.seen:
        pools[name] = table("calibrate", judged, (name,), f"judged/{name}")
    return EvidenceTable.concatenate(tables), pools


def space_without(left_out: str) -> str:
    """The level space without coordinates that show a family of a corruption; "" leaves none."""
    hidden = set(CORRUPTIONS[left_out].families) if left_out else set()
    return ",".join(f"{n}={ends}" for n, ends in AXES.items() if not FAMILIES_OF[n] & hidden)


def reader(subject: Subject, spec: str, size: Size) -> tuple[LevelReader, dict[str, Any]]:
    """A study over a level space on *fit* images, and what it found."""
    space = parse_space(spec)
    n_images = min(size.n_images, len(subject.splits.fit))
    images = fixed_set(subject.data, subject.splits.fit, seed=0, n_images=n_images)
    oracle = AccuracyOracle(subject.classifier, images, space)
    threshold = round(_THRESHOLD_SHARE * oracle.accuracy(space.mildest), 2)
    study = run_study(oracle, SearchOptions(threshold=threshold, budget=size.budget))
    known = fixed_set(
        subject.data,
        subject.splits.fit,
        seed=1,
        n_images=min(size.n_estimated, len(subject.splits.fit)),
    )
    estimator = LevelEstimator(space).fit(known)
    explained = [] if estimator.explained is None else estimator.explained.tolist()
    facts = {
        "study": spec,
        "threshold": threshold,
        "levels": len(study.points),
        "images_per_level": study.n_images,
        "share_reliable": study.share_reliable,
        "level_variance_explained": dict(zip(space.names, explained, strict=True)),
    }
    return LevelReader(study, estimator), facts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """Scores of one pool, with and without levels, one row per seed.

    Attributes:
        plain: Without, shape (S, N).
        levels: With, shape (S, N).
        correct: Whether each answer was right, shape (N,).
        images: Number of each row's image, shape (N,).
    """

    plain: FloatArray
    levels: FloatArray
    correct: BoolArray
    images: IntArray

    def gains(self, rows: IntArray) -> FloatArray:
        """Failure AUROC with levels less that without, on some rows, shape (S,)."""
        right = self.correct[rows]
        return np.array(
            [
                failure_auroc(more[rows], right) - failure_auroc(less[rows], right)
                for more, less in zip(self.levels, self.plain, strict=True)
            ]
        )

    def mean_gain(self, times: IntArray) -> float:
        """Mean over the seeds where image i counts ``times[i]`` times."""
        return float(self.gains(np.repeat(np.arange(len(self.images)), times[self.images])).mean())


def scored(
    table: EvidenceTable,
    pools: Sequence[EvidenceTable],
    known: IntArray,
    levels: LevelReader,
    seeds: Sequence[int],
    options: MlpOptions,
) -> list[Scores]:
    """Fit both predictors on the known rows, per seed, and score every pool."""
    arms: dict[bool, list[list[FloatArray]]] = {False: [], True: []}
    evidence, labels = table.evidence.take(known), table.labels[known]
    for with_levels, found in arms.items():
        for seed in seeds:
            predictor = LearnedPredictor(
                options, seed=seed, levels=levels if with_levels else None
            ).fit(evidence, labels)
            found.append([predictor.score(pool.evidence) for pool in pools])
    return [
        Scores(
            plain=np.array([each[number] for each in arms[False]]),
            levels=np.array([each[number] for each in arms[True]]),
            correct=pool.correct,
            images=np.unique(pool.plan.positions, return_inverse=True)[1],
        )
        for number, pool in enumerate(pools)
    ]


def measured(
    subject: Subject, size: Size, seeds: Sequence[int]
) -> tuple[dict[str, list[Scores]], list[dict[str, Any]]]:
    """Scores by setting (``seen``, ``left_out``, ``clean``), and the rows of the table."""
    table, pools = looks(subject, size)
    readers = {
        spec: reader(subject, spec, size)
        for spec in dict.fromkeys(space_without(name) for name in ("", *subject.seen))
    }
    rows = [facts for _, facts in readers.values()]
    mixed = EvidenceTable.concatenate(list(pools.values()))
    everything = np.arange(len(table))
    levels, _ = readers[space_without("")]
    seen, clean = scored(table, [mixed, pools[""]], everything, levels, seeds, size.options)
    found = {"seen": [seen], "clean": [clean], "left_out": []}
    rows += [
        *_rows("every family seen", seen, seeds),
        *_rows("clean, every family seen", clean, seeds),
    ]
    for name in subject.seen:
        known = np.flatnonzero(table.plan.corruptions != name)
        levels, _ = readers[space_without(name)]
        pool = EvidenceTable.concatenate([pools[""], pools[name]])
        (scores,) = scored(table, [pool], known, levels, seeds, size.options)
        found["left_out"].append(scores)
        rows += _rows(f"{name} left out", scores, seeds)
    return found, rows


def _rows(setting: str, scores: Scores, seeds: Sequence[int]) -> list[dict[str, Any]]:
    gains = scores.gains(np.arange(len(scores.images)))
    return [
        {
            "setting": setting,
            "seed": seed,
            "failure_auroc_without": failure_auroc(plain, scores.correct),
            "failure_auroc_with": failure_auroc(levels, scores.correct),
            "gain": float(gain),
            "n_rows": len(scores.correct),
            "n_wrong": int((~scores.correct).sum()),
        }
        for seed, plain, levels, gain in zip(seeds, scores.plain, scores.levels, gains, strict=True)
    ]


def figures(
    found: Mapping[str, Sequence[Scores]], n_images: int, n_draws: int, n_seeds: int
) -> list[Figure]:
    """Mean gains with intervals over redraws of the images, the same redraws for all."""
    generator = np.random.default_rng(0)
    drawn = [
        np.bincount(generator.integers(n_images, size=n_images), minlength=n_images)
        for _ in range(n_draws)
    ]
    once = np.ones(n_images, dtype=np.int64)

    def figure(name: str, setting: str, target: float, note: str) -> Figure:
        def mean(times: IntArray) -> float:
            return float(np.mean([scores.mean_gain(times) for scores in found[setting]]))

        low, high = np.quantile([mean(times) for times in drawn], [0.025, 0.975])
        return Figure(
            name=f"{NAME}.{name}",
            value=mean(once),
            low=float(low),
            high=float(high),
            target=target,
            direction="higher",
            judged="low",
            note=f"{note}; mean over {n_seeds} seeds, 95 % over redraws of the images",
        )

    return [
        figure(
            "auroc_gain_seen",
            "seen",
            0.0,
            "failure AUROC with levels less without, clean and every seen family together",
        ),
        figure(
            "auroc_gain_left_out",
            "left_out",
            0.0,
            "the same on clean and a family that was left out, mean over the families",
        ),
        figure("auroc_gain_clean", "clean", _LOSS, "the same on clean images alone"),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{NAME}", description=about)
    parser.add_argument("--quick", action="store_true", help="a small run on digits")
    parser.add_argument("--seeds", default=None, help="0,1,2 by default; 0 with --quick")
    parser.add_argument("--out", type=Path, default=None, help=f"folder for {NAME}.json")
    arguments = parser.parse_args(argv)
    started = time.perf_counter()
    seeds = parse_seeds(arguments.seeds or ("0" if arguments.quick else "0,1,2"))
    size = QUICK if arguments.quick else FULL
    subject = opened(quick=arguments.quick)
    found, rows = measured(subject, size, seeds)
    n_images = int(found["seen"][0].images.max()) + 1
    judged = figures(found, n_images, size.n_draws, len(seeds))
    for figure in judged:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<36}{figure.value:>10.4f}  target {figure.target:>7}  {verdict}")
    command = [f"python -m benchmarks.{NAME}", *(["--quick"] if arguments.quick else [])]
    data = described(subject.data, subject.spec, n_images) | {"split": "calibrate"}
    path = write_results(
        NAME,
        command=" ".join([*command, f"--seeds {','.join(map(str, seeds))}"]),
        seeds=seeds,
        data=data,
        seconds=time.perf_counter() - started,
        figures=judged,
        table=rows,
        # A quick run must not pass for the benchmark.
        folder=arguments.out or (Path("runs") / "benchmarks" if arguments.quick else RESULTS),
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
