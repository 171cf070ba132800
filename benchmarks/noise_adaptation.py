"""Does adapting to a camera's own noise, without clean images of it, restore better?

    python -m benchmarks.noise_adaptation --camera PATH --clean PATH --data cifar10:PATH
        [--seeds 0,1,2] [--workers 2] [--quick]

``--camera`` is a folder or zip archive with pairs in ``real/`` and ``mean/``: adapted on unlabelled
crops of every second scene of one camera, judged on its other scenes and on the other cameras.
``--clean`` holds photographs, on which noise is synthesised. ``--data`` names images for a
synthetic camera and a frozen classifier that looks at what is restored. Four trainings per seed
add one mechanism each: plain restoration of synthetic noise, the diffusion network over the full
range of noise, slots that change places, negatives with exchanged residuals. A run that was cut
short goes on where it was. With one of the two parts alone, or ``--quick``, the result is not
written to the results folder.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
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
from benchmarks.noise_adaptation_data import (
    Domain,
    camera_domain,
    load_pairs,
    photos_of,
    quick_pairs,
    synthetic_domain,
)
from benchmarks.noise_adaptation_runs import ARMS, QUICK, VANILLA, WHOLE, Images, Size, trained
from benchmarks.study import CLASSIFIERS, ROOT, open_study
from gatekeeper.errors import InputError
from gatekeeper.metrics.restoration import psnr
from gatekeeper.paths import cache_dir
from gatekeeper.protocols import Classifier, Restorer
from gatekeeper.restorers import Identity
from gatekeeper.types import FloatArray, StrArray

INPUT = "input"
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
    parser.add_argument("--workers", type=int, default=2, help="processes that train")
    parser.add_argument("--shard", default=None, help="i/n: train the i-th of n parts and stop")
    parser.add_argument("--out", type=Path, default=None, help="folder for noise_adaptation.json")
    arguments = parser.parse_args(argv)
    started = time.perf_counter()
    seeds = parse_seeds(arguments.seeds or ("0" if arguments.quick else "0,1,2"))
    if arguments.workers > 1 and not arguments.quick and arguments.shard is None:
        _train_in_workers(arguments.workers, list(sys.argv[1:] if argv is None else argv))
    parts = parts_of(arguments)
    size = QUICK if arguments.quick else Size()
    if arguments.shard is not None:
        _train_share(parts, seeds, size, arguments.shard)
        return
    for part in parts:
        _judge(part, seeds, size)
    _write(arguments, parts, seeds, time.perf_counter() - started)


def _jobs(parts: Sequence[Part], seeds: Sequence[int]) -> list[tuple[Part, str, int]]:
    jobs: list[tuple[Part, str, int]] = []
    for number, (seed, part) in enumerate(product(seeds, parts)):
        # To and fro, because later arms take longer: two workers then have as much to do.
        arms = list(ARMS)[:: 1 if number % 2 else -1]
        jobs += [(part, arm, seed) for arm in arms]
    return jobs


def _train(part: Part, arm: str, seed: int, size: Size) -> Restorer:
    domain = part.domain
    images = Images(domain.clean, domain.unlabelled, str(domain.facts["digest"]))
    return trained(images, arm, seed, size, cache_dir() / "benchmarks" / "noise-adaptation")


def _train_share(parts: Sequence[Part], seeds: Sequence[int], size: Size, shard: str) -> None:
    index, _, total = shard.partition("/")
    for part, arm, seed in _jobs(parts, seeds)[int(index) :: int(total)]:
        _train(part, arm, seed, size)
        print(f"trained: {part.domain.name}, {arm}, seed {seed}", file=sys.stderr)


def _train_in_workers(n: int, argv: Sequence[str]) -> None:
    command = [sys.executable, "-m", "benchmarks.noise_adaptation", *argv]
    workers = [
        subprocess.Popen([*command, "--shard", f"{i}/{n}"], cwd=ROOT)  # noqa: S603  # our own module
        for i in range(n)
    ]
    codes = [worker.wait() for worker in workers]  # all of them, also after a failure
    if any(codes):
        raise SystemExit(max(codes))


def _judge(part: Part, seeds: Sequence[int], size: Size) -> None:
    part.outcomes[INPUT, 0] = outcome(Identity(), part.domain, part.classifier)
    for seed in seeds:
        for arm in ARMS:
            restorer = _train(part, arm, seed, size)
            part.outcomes[arm, seed] = outcome(restorer, part.domain, part.classifier)


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
