"""Is a gate better for having been adapted to captured traffic?

    python -m benchmarks.adaptation --data cifar10:PATH [--camera ZIP --clean ZIP]
        [--seeds 0,1,2] [--only traffic|camera] [--quick] [--out DIR]

A champion is fitted to synthetic corruptions of CIFAR-10; then a camera that it has never seen
(synthetic) takes the pictures. Its traffic is captured: images without labels, and a random
labelled sample. The challenger is what ``gatekeeper adapt`` makes of them, judged beside the
champion on *test* images of the same camera. Coverage is that at thresholds certified on the
sample for either gate; a gate that cannot certify covers nothing. ``--camera`` holds real pairs of
noisy and clean captures without classes: PSNR, and whether the classifier answers as on the clean
capture.

Both parts are kept seed by seed; a run that was cut short goes on. ``--only`` measures one part, so
that both can run side by side, one core each, before the whole command puts them together: about
35 minutes (measured: 0.26 s a step of 2,000 in six trainings, 4 ms a look at 100,000 images).
Without the camera, or with ``--quick``, the result is not written to the results folder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.adaptation_runs import (
    FULL,
    QUICK,
    Size,
    Subject,
    champion_of,
    fit_recipe,
    outcome_of,
    real_noise,
    splits_of,
)
from benchmarks.harness import RESULTS, Figure, write_results
from benchmarks.held_out import parse_seeds
from benchmarks.kept import Store, code_digest
from benchmarks.noise_adaptation_data import (
    Domain,
    camera_domain,
    load_pairs,
    photos_of,
    quick_pairs,
)
from benchmarks.study import CLASSIFIERS, open_study
from gatekeeper.bundle import ClassifierSpec
from gatekeeper.cli.progress import Bars
from gatekeeper.errors import InputError
from gatekeeper.images import load_dataset
from gatekeeper.memory import keep_freed_memory
from gatekeeper.metrics import failure_auroc
from gatekeeper.paths import cache_dir, shipped
from gatekeeper.progress import Progress
from gatekeeper.protocols import Classifier
from gatekeeper.training import classifier_of_record
from gatekeeper.types import FloatArray, StrArray

NAME = "adaptation"
PARTS = ("traffic", "camera")

ABOVE_ZERO = 1e-9
"""Target of what must be more than nothing: a challenger that changes no answer does not hold."""

_RESAMPLES = 2000
_CODE = ("benchmarks.adaptation_runs", "gatekeeper.adaptation.run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Outcomes of one part.

    Attributes:
        outcomes: Seed -> arrays of one value per judged image.
        groups: What is redrawn as a whole, shape (N,).
    """

    outcomes: Mapping[int, Mapping[str, FloatArray]]
    groups: StrArray


def worst(
    name: str, part: Measured, after: str, before: str, *, note: str, judged: str = "low"
) -> Figure:
    """The seed with the smallest mean difference, with its 95 % interval over groups.

    Args:
        name: Of the figure.
        part: What was measured.
        after: Key of the challenger's values.
        before: Key of the champion's.
        note: For the reader.
        judged: ``low``, which must be above 0, or ``value``, which must be at least 0.
    """
    found = {
        seed: mean_interval(arrays[after] - arrays[before], part.groups)
        for seed, arrays in part.outcomes.items()
    }
    seed = min(found, key=lambda each: found[each][0])
    value, low, high = found[seed]
    means = ", ".join(f"{each}: {ends[0]:+.4f}" for each, ends in sorted(found.items()))
    return Figure(
        name=name,
        value=value,
        low=low,
        high=high,
        target=ABOVE_ZERO if judged == "low" else 0.0,
        direction="higher",
        judged="low" if judged == "low" else "value",
        note=f"{note}; worst seed {seed} of {means}",
    )


def mean_interval(values: FloatArray, groups: StrArray) -> tuple[float, float, float]:
    """Mean and both ends of its 95 % interval, redrawing whole groups."""
    _, group = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(group, weights=values), np.bincount(group)
    n, rng = len(counts), np.random.default_rng(0)
    means = np.empty(_RESAMPLES)
    for draw in range(_RESAMPLES):
        picked = rng.integers(0, n, n)
        means[draw] = sums[picked].sum() / counts[picked].sum()
    low, high = np.quantile(means, (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def figures_of(parts: Mapping[str, Measured]) -> list[Figure]:
    """The figures of the parts that were measured."""
    found = []
    if "traffic" in parts:
        note = "test images of a synthetic camera, champion fitted to synthetic corruptions"
        found += [
            worst(
                "accuracy_gain", parts["traffic"], "challenger_right", "champion_right",
                note=f"final answers before abstention; {note}",
            ),
            worst(
                "certified_coverage_gain", parts["traffic"],
                "challenger_accepts", "champion_accepts",
                note="share accepted at thresholds that were certified on one labelled sample of "
                f"the traffic for either gate; {note}",
            ),
        ]  # fmt: skip
    if "camera" in parts:
        found += [
            worst(
                "real_noise_psnr_gain_db", parts["camera"], "psnr_after", "psnr_before",
                note="restored less received, judged pairs, scenes redrawn",
            ),
            worst(
                "real_noise_agreement_gain", parts["camera"], "agrees_after", "agrees_before",
                note="share of tiles answered as on the clean capture, restored less received, "
                "scenes redrawn",
                judged="value",
            ),
        ]  # fmt: skip
    return found


def rows_of(parts: Mapping[str, Measured]) -> list[dict[str, Any]]:
    """One row per part, seed and gate or state."""
    rows: list[dict[str, Any]] = []
    for seed, arrays in parts["traffic"].outcomes.items() if "traffic" in parts else ():
        for gate in ("champion", "challenger"):
            accepts, wrong = arrays[f"{gate}_accepts"].sum(), arrays[f"{gate}_wrong"].sum()
            raw = arrays[f"{gate}_raw_right"].astype(bool)
            mixed = raw.any() and not raw.all()
            rows.append(
                {
                    "part": "traffic",
                    "seed": seed,
                    "method": gate,
                    "n": len(raw),
                    "accuracy_raw": float(raw.mean()),
                    "accuracy": float(arrays[f"{gate}_right"].mean()),
                    "failure_auroc": failure_auroc(arrays[f"{gate}_score"], raw) if mixed else None,
                    "certified_coverage": float(accepts / len(raw)),
                    "accepted_risk": float(wrong / accepts) if accepts else None,
                }
            )
    for seed, arrays in parts["camera"].outcomes.items() if "camera" in parts else ():
        for when, state in (("before", "received"), ("after", "restored")):
            rows.append(
                {
                    "part": "camera",
                    "seed": seed,
                    "method": state,
                    "n": len(arrays["psnr_before"]),
                    "psnr_db": float(arrays[f"psnr_{when}"].mean()),
                    "agreement": float(arrays[f"agrees_{when}"].mean()),
                }
            )
    return rows


def subject_of(spec: str | None, size: Size, work: Path, progress: Progress) -> Subject:
    """Data, champion's recipe and classifier.

    Args:
        spec: Such as ``cifar10:PATH``; None for the quick run on digits.
        size: How large the study is.
        work: Where finished parts lie.
        progress: Told of the stages.
    """
    if spec is None:
        study = open_study(None, quick=True)
        data, classifier = study.data, next(iter(study.classifiers.values()))
        rebuilt = ClassifierSpec(kind="module", options={})
    else:
        data = load_dataset(spec, announce=print)
        rebuilt = classifier_of_record(shipped("models", CLASSIFIERS[0]))
        classifier = rebuilt.build()
    return Subject(
        data=data,
        splits=splits_of(data, size),
        recipe=fit_recipe("digits" if spec is None else spec, size),
        spec=rebuilt,
        classifier=classifier,
        size=size,
        work=work,
        progress=progress,
    )


def measure_traffic(subject: Subject, seeds: Sequence[int], store: Store) -> Measured:
    """Champion and challengers on test images of the synthetic camera."""
    rows = subject.splits.test[: subject.size.judged]
    digests = subject.data.digests[rows]
    champion = None
    outcomes = {}
    for seed in seeds:
        facts = {
            "code": code_digest(*_CODE),
            "torch": torch.__version__,
            "size": repr(subject.size),
            "classifier": subject.classifier.digest,
            "images": digests.tolist(),
            "train": subject.splits.digest_of("train", subject.data.digests),
            "seed": seed,
        }

        def make(seed: int = seed) -> Mapping[str, FloatArray]:
            nonlocal champion
            champion = champion or champion_of(subject)
            return outcome_of(subject, champion, seed)

        outcomes[seed] = store.arrays(f"traffic-{seed}", facts, make)
    return Measured(outcomes=outcomes, groups=digests)


def measure_camera(
    domain: Domain,
    classifier: Classifier,
    size: Size,
    seeds: Sequence[int],
    store: Store,
    progress: Progress,
) -> Measured:
    """Restorers adapted to a real camera, on its judged pairs."""
    outcomes = {}
    for seed in seeds:
        facts = {
            "code": code_digest("benchmarks.adaptation_runs", "gatekeeper.adaptation.restorer"),
            "torch": torch.__version__,
            "restorer": repr(size.restorer),
            "classifier": classifier.digest,
            "images": domain.facts["digest"],
            "seed": seed,
        }

        def make(seed: int = seed) -> Mapping[str, FloatArray]:
            return real_noise(domain, size, classifier, seed, store.folder, progress)

        outcomes[seed] = store.arrays(f"camera-{seed}", facts, make)
    return Measured(outcomes=outcomes, groups=domain.groups)


def domain_of(arguments: argparse.Namespace) -> Domain | None:
    """The real camera; a tiny one in the quick run; None without one.

    Raises:
        InputError: a camera without clean photographs, or the other way round.
    """
    if arguments.quick:
        return camera_domain(*quick_pairs())
    if bool(arguments.camera) != bool(arguments.clean):
        raise InputError("expected --camera with --clean, or neither: see --help")
    if arguments.camera is None:
        return None
    return camera_domain(load_pairs(Path(arguments.camera)), photos_of(arguments.clean))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is not kept yet, judge, print, write."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{NAME}", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data", default=None, help="such as cifar10:PATH")
    parser.add_argument("--camera", default=None, help="folder or zip with real/ and mean/")
    parser.add_argument("--clean", default=None, help="folder or zip of photographs")
    parser.add_argument("--seeds", default=None, help="0,1,2 by default; 0 with --quick")
    parser.add_argument("--only", choices=PARTS, default=None, help="measure this part alone")
    parser.add_argument("--quick", action="store_true", help="tiny, on what pip brings")
    parser.add_argument("--out", type=Path, default=None, help=f"folder for {NAME}.json")
    arguments = parser.parse_args(argv)
    if not arguments.quick and arguments.data is None:
        raise InputError("expected --data cifar10:PATH, or --quick for a tiny run on digits")
    keep_freed_memory()
    started = time.perf_counter()
    seeds = parse_seeds(arguments.seeds or ("0" if arguments.quick else "0,1,2"))
    size = QUICK if arguments.quick else FULL
    store = Store(cache_dir() / "benchmarks" / NAME)
    with Bars() as bars:
        domain = None if arguments.only == "traffic" else domain_of(arguments)
        subject = subject_of(None if arguments.quick else arguments.data, size, store.folder, bars)
        parts: dict[str, Measured] = {}
        if arguments.only != "camera":
            parts["traffic"] = measure_traffic(subject, seeds, store)
        if domain is not None:
            parts["camera"] = measure_camera(domain, subject.classifier, size, seeds, store, bars)
    _write(arguments, parts, subject, domain, seeds, time.perf_counter() - started)


def _write(
    arguments: argparse.Namespace,
    parts: Mapping[str, Measured],
    subject: Subject,
    domain: Domain | None,
    seeds: Sequence[int],
    seconds: float,
) -> None:
    figures = figures_of(parts)
    for figure in figures:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<28}{figure.value:>10.4f}  target {figure.target:>6g}  {verdict}")
    command = [f"python -m benchmarks.{NAME}"]
    command += ["--quick"] if arguments.quick else [f"--data {arguments.data.partition(':')[0]}"]
    command += ["--camera PATH --clean PATH"] if arguments.camera else []
    whole = set(parts) == set(PARTS) and not arguments.quick
    test = subject.splits.test[: subject.size.judged]
    path = write_results(
        NAME,
        command=" ".join([*command, f"--seeds {','.join(map(str, seeds))}"]),
        seeds=seeds,
        data={
            "name": f"{subject.data.name} with a synthetic camera"
            + (f", and {domain.facts['name']}" if domain is not None else ""),
            "split": "test",
            "n": len(test),
            "digest": subject.splits.digest_of("test", subject.data.digests),
            "n_captured": subject.size.captured,
            "adapted_steps": subject.size.restorer["training"]["steps"],
        },
        seconds=seconds,
        figures=figures,
        table=rows_of(parts),
        folder=arguments.out or (RESULTS if whole else Path("runs") / "benchmarks"),
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
