"""Does adapting to a camera's own noise, without clean images of it, restore better?

    python -m benchmarks.noise_adaptation --camera PATH --clean PATH --data cifar10:PATH
        [--seeds 0,1,2] [--workers 2] [--only train|judge] [--quick]

``--camera`` is a folder or zip archive with pairs in ``real/`` and ``mean/``: adapted on unlabelled
crops of every second scene of one camera, judged on its other scenes and on the other cameras.
``--clean`` holds photographs, on which noise is synthesised. ``--data`` names images for a
synthetic camera and a frozen classifier that looks at what is restored. Four trainings per seed
add one mechanism each: plain restoration of synthetic noise, the diffusion network over the full
range of noise, slots that change places, negatives with exchanged residuals. A run that was cut
short goes on where it was; it is made to fit an hour on two cores (1,500 steps each). With one of
the two parts alone, or ``--quick``, the result is not written to the results folder.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import RESULTS, Figure, write_results
from benchmarks.held_out import parse_seeds
from benchmarks.kept import Store, code_digest
from benchmarks.noise_adaptation_data import (
    Domain,
    camera_domain,
    load_pairs,
    photos_of,
    quick_pairs,
    synthetic_domain,
)
from benchmarks.noise_adaptation_runs import ARMS, QUICK, VANILLA, WHOLE, Images, Size, trained
from benchmarks.study import CLASSIFIERS, open_study
from benchmarks.telling import told
from benchmarks.trainings import in_workers, share_of
from gatekeeper.errors import InputError
from gatekeeper.metrics.restoration import psnr
from gatekeeper.paths import cache_dir
from gatekeeper.progress import Progress
from gatekeeper.protocols import Classifier, Restorer, WeightedRestorer
from gatekeeper.restorers import Identity
from gatekeeper.types import FloatArray, StrArray

INPUT = "input"

STAGES = ("train", "judge")
"""Each must be finished before the next; within one, jobs are independent of one another."""

# About how long a training of each takes beside the others.
_LASTS = {VANILLA: 1.0, "full range": 5.7, "+ swap": 5.7, WHOLE: 9.4}
_RESAMPLES = 2000
_CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a restorer did to the judged images.

    Attributes:
        psnr_db: Of each image, shape (N,), higher is closer to the truth.
        right: Whether the classifier is right on the restored image, shape (N,), as 0 and 1; None
            without classifier.
    """

    psnr_db: FloatArray
    right: FloatArray | None


@dataclass(frozen=True, slots=True)
class Part:
    """A domain, the classifier that looks at it (or None), and outcomes by (arm, seed)."""

    domain: Domain
    classifier: Classifier | None
    outcomes: dict[tuple[str, int], Outcome]


def outcome(restorer: Restorer, domain: Domain, classifier: Classifier | None) -> Outcome:
    """Restore every judged image and compare; images of one size are taken together."""
    decibels, right = [], []
    size = 1 if domain.labels is None else _CHUNK
    for start in range(0, len(domain.noisy), size):
        rows = slice(start, start + size)
        images = torch.stack(list(domain.noisy[rows]))
        restored = restorer.restore(images, seeds=np.zeros(len(images), dtype=np.int64))
        decibels += [
            psnr(ours.numpy(), truth.numpy())
            for ours, truth in zip(restored, domain.truth[rows], strict=True)
        ]
        if classifier is not None and domain.labels is not None:
            answers = classifier.look(restored).logits.argmax(axis=1)
            right += (answers == domain.labels[rows]).astype(float).tolist()
    return Outcome(psnr_db=np.array(decibels), right=np.array(right) if right else None)


def mean_interval(values: FloatArray, groups: StrArray) -> tuple[float, float, float]:
    """Mean and the ends of its 95 % interval, redrawing whole groups."""
    names, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, weights=values)
    counts = np.bincount(group)
    draw = np.random.default_rng(0)
    means = np.empty(_RESAMPLES)
    for redraw in range(_RESAMPLES):
        picked = draw.integers(0, len(names), len(names))
        means[redraw] = sums[picked].sum() / counts[picked].sum()
    low, high = np.quantile(means, (0.025, 0.975))
    return float(np.mean(values)), float(low), float(high)


def worst_seed(
    name: str, differences: Mapping[int, FloatArray], groups: StrArray, note: str
) -> Figure:
    """The seed with the smallest mean difference, with its interval; target above 0."""
    intervals = {seed: mean_interval(d, groups) for seed, d in differences.items()}
    seed = min(intervals, key=lambda s: intervals[s][0])
    value, low, high = intervals[seed]
    means = ", ".join(f"{s}: {i[0]:+.4f}" for s, i in sorted(intervals.items()))
    return Figure(
        name=name,
        value=value,
        low=low,
        high=high,
        target=0.0,
        direction="higher",
        judged="low",
        note=f"{note}; worst seed {seed} of {means}",
    )


def figures_of(part: Part, seeds: Sequence[int]) -> list[Figure]:
    """Two figures of a real camera, one of the synthetic one."""
    found, groups = part.outcomes, part.domain.groups
    before = found[INPUT, 0]
    if part.classifier is None:
        note = "all judged pairs, scenes redrawn"
        over_vanilla = {s: found[WHOLE, s].psnr_db - found[VANILLA, s].psnr_db for s in seeds}
        over_input = {s: found[WHOLE, s].psnr_db - before.psnr_db for s in seeds}
        return [
            worst_seed("adapted_minus_vanilla_db", over_vanilla, groups, note),
            worst_seed("adapted_minus_input_db", over_input, groups, note),
        ]
    gains = {s: _right(found[WHOLE, s]) - _right(before) for s in seeds}
    beside = np.mean([(_right(found[WHOLE, s]) - _right(found[VANILLA, s])).mean() for s in seeds])
    note = f"accuracy on restored less on noisy images; over vanilla {beside:+.4f} (mean of seeds)"
    return [worst_seed("accuracy_gain_synthetic_camera", gains, groups, note)]


def _right(found: Outcome) -> FloatArray:
    if found.right is None:
        raise InputError("expected outcomes of a classifier, got none: judge with one")
    return found.right


def rows_of(part: Part) -> list[dict[str, Any]]:
    """One row per arm, seed and set of judged images."""
    domain, before = part.domain, part.outcomes[INPUT, 0]
    rows = []
    for (arm, seed), found in part.outcomes.items():
        for chosen in ("all", *sorted(set(domain.sets.tolist()))):
            mask = np.ones(len(domain.sets), bool) if chosen == "all" else domain.sets == chosen
            gain = (found.psnr_db - before.psnr_db)[mask]
            value, low, high = mean_interval(gain, domain.groups[mask])
            rows.append(
                {
                    "domain": domain.name,
                    "method": arm,
                    "seed": seed,
                    "set": chosen,
                    "n": int(mask.sum()),
                    "psnr_db": float(found.psnr_db[mask].mean()),
                    "minus_input_db": value,
                    "low": low,
                    "high": high,
                    "accuracy": None if found.right is None else float(found.right[mask].mean()),
                }
            )
    return rows


def parts_of(arguments: argparse.Namespace) -> list[Part]:
    """The domains that were asked for.

    Raises:
        InputError: nothing is asked for, or a camera without clean photographs.
    """
    if arguments.quick:
        study = open_study(None, quick=True)
        pairs, photos = quick_pairs()
        classifier = next(iter(study.classifiers.values()))
        return [
            Part(camera_domain(pairs, photos), None, {}),
            Part(synthetic_domain(study), classifier, {}),
        ]
    if bool(arguments.camera) != bool(arguments.clean) or not (arguments.camera or arguments.data):
        raise InputError(
            "expected --camera with --clean, or --data, or all three, or --quick: see --help"
        )
    found = []
    if arguments.camera:
        clean = photos_of(arguments.clean)
        found.append(Part(camera_domain(load_pairs(Path(arguments.camera)), clean), None, {}))
    if arguments.data:
        study = open_study(arguments.data, only=CLASSIFIERS[:1])
        found.append(Part(synthetic_domain(study), study.classifiers[CLASSIFIERS[0]], {}))
    return found


class Work:
    """Trainings and outcomes of a run, kept on disk.

    Args:
        parts: Domains and classifiers.
        seeds: Of weights, crops and noise.
        size: Of every training.
        progress: Told of the steps.
    """

    def __init__(
        self, parts: Sequence[Part], seeds: Sequence[int], size: Size, progress: Progress
    ) -> None:
        self.parts, self.seeds = parts, seeds
        self._size, self._progress = size, progress
        self._folder = cache_dir() / "benchmarks" / "noise-adaptation"

    def jobs(self) -> list[tuple[float, tuple[Part, str, int]]]:
        """Every training, and about how long it takes."""
        return [
            (_LASTS[arm], (part, arm, seed))
            for seed, part, arm in product(self.seeds, self.parts, ARMS)
        ]

    def do(self, stage: str, shard: str) -> None:
        """Do a share of a stage's jobs."""
        if stage == STAGES[0]:
            for job in share_of(self.jobs(), shard):
                self.restorer(*job)
        else:
            for job in share_of([(1.0, job) for _, job in self.jobs()], shard):
                self.outcome(*job)

    def restorer(self, part: Part, arm: str, seed: int) -> Restorer:
        """One training's, from the disk or trained and kept."""
        domain = part.domain
        digest = str(domain.facts["digest"])
        images = Images(domain.clean, domain.unlabelled, digest, domain.name)
        return trained(images, arm, seed, self._size, self._folder, self._progress)

    def outcome(self, part: Part, arm: str, seed: int) -> Outcome:
        """What a training's restorer does to the judged images; :data:`INPUT` restores nothing."""
        restorer = Identity() if arm == INPUT else self.restorer(part, arm, seed)
        classifier = part.classifier
        facts = {
            "code": code_digest("benchmarks.noise_adaptation"),
            "domain": part.domain.facts["digest"],
            "restorer": restorer.digest if isinstance(restorer, WeightedRestorer) else INPUT,
            "classifier": None if classifier is None else classifier.digest,
        }

        def make() -> dict[str, FloatArray]:
            found = outcome(restorer, part.domain, classifier)
            right = {} if found.right is None else {"right": found.right}
            return {"psnr_db": found.psnr_db, **right}

        kept = Store(self._folder).arrays("outcome", facts, make)
        return Outcome(psnr_db=kept["psnr_db"], right=kept.get("right"))

    def judge(self) -> None:
        """Fill in the outcomes of every part."""
        for part in self.parts:
            part.outcomes[INPUT, 0] = self.outcome(part, INPUT, 0)
            for seed, arm in product(self.seeds, ARMS):
                part.outcomes[arm, seed] = self.outcome(part, arm, seed)


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is not trained yet, judge, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.noise_adaptation", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--camera", default=None, help="folder or zip with real/ and mean/")
    parser.add_argument("--clean", default=None, help="folder or zip of photographs")
    parser.add_argument("--data", default=None, help="such as cifar10:PATH")
    parser.add_argument("--quick", action="store_true", help="tiny, on what pip brings")
    parser.add_argument("--seeds", default=None, help="0,1,2 by default; 0 with --quick")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--only", choices=STAGES, default=None, help="do this and write nothing")
    parser.add_argument("--shard", default=None, help="i/n: with --only, be the i-th of n workers")
    parser.add_argument("--out", type=Path, default=None, help="folder for noise_adaptation.json")
    arguments = parser.parse_args(argv)
    if arguments.shard and not arguments.only:
        parser.error("--shard is of a stage: name it with --only")
    started = time.perf_counter()
    seeds = parse_seeds(arguments.seeds or ("0" if arguments.quick else "0,1,2"))
    if arguments.workers > 1 and not arguments.quick and arguments.shard is None:
        stages = STAGES if arguments.only is None else (arguments.only,)
        in_workers("benchmarks.noise_adaptation", _options(arguments), stages, arguments.workers)
        if arguments.only:
            return
    size = QUICK if arguments.quick else Size()
    with told(shared=arguments.shard is not None) as progress:
        work = Work(parts_of(arguments), seeds, size, progress)
        if arguments.only:
            work.do(arguments.only, arguments.shard or "0/1")
            return
        work.judge()
    _write(arguments, work.parts, seeds, time.perf_counter() - started)


def _options(arguments: argparse.Namespace) -> list[str]:
    """What a worker is told beside its share; paths from where it starts."""
    given = {name: getattr(arguments, name) for name in ("camera", "clean")}
    found = {name: str(Path(path).resolve()) for name, path in given.items() if path}
    found |= {n: v for n in ("data", "seeds") if (v := getattr(arguments, n))}
    return [part for name, value in found.items() for part in (f"--{name}", value)]


def _write(
    arguments: argparse.Namespace, parts: Sequence[Part], seeds: Sequence[int], seconds: float
) -> None:
    figures = [figure for part in parts for figure in figures_of(part, seeds)]
    for figure in figures:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<36}{figure.value:>10.4f}  target {figure.target:>7}  {verdict}")
    command = ["python -m benchmarks.noise_adaptation"]
    command += ["--camera PATH --clean PATH"] if arguments.camera else []
    command += [f"--data {arguments.data.partition(':')[0]}"] if arguments.data else []
    command += ["--quick"] if arguments.quick else []
    whole = bool(arguments.camera and arguments.data) and not arguments.quick
    path = write_results(
        "noise_adaptation",
        command=" ".join([*command, f"--seeds {','.join(map(str, seeds))}"]),
        seeds=seeds,
        data=_described(parts),
        seconds=seconds,
        figures=figures,
        table=[row for part in parts for row in rows_of(part)],
        folder=arguments.out or (RESULTS if whole else Path("runs") / "benchmarks"),
    )
    print(f"wrote {path}")


def _described(parts: Sequence[Part]) -> dict[str, Any]:
    facts = {part.domain.name: dict(part.domain.facts) for part in parts}
    digests = "".join(str(fact["digest"]) for fact in facts.values())
    return {
        "name": " and ".join(str(fact["name"]) for fact in facts.values()),
        "split": "judged images",
        "n": sum(len(part.domain.noisy) for part in parts),
        "digest": hashlib.sha256(digests.encode()).hexdigest(),
        "parts": facts,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
