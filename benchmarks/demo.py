"""Benchmark ``demo``: the whole of ``gatekeeper demo``, three seeds, against its targets.

    python -m benchmarks.demo                  # Fashion-MNIST, seeds 0, 1, 2: about 11 minutes
    python -m benchmarks.demo --quick          # the digits, one seed, tiny budgets: under a minute

Every seed runs in a fresh process through the code of the command itself, so that its seconds and
its peak memory are those of a whole run. Finished seeds are cached by the hash of the package's
source, so that a run continues later.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.harness import RESULTS, Figure, write_results
from gatekeeper.metrics import (
    bootstrap_interval,
    debiased_calibration_error,
    exact_proportion_interval,
    failure_auroc_difference,
)
from gatekeeper.paths import cache_dir, shipped_root

_STREAMS = ("clean", "declared", "open", "seen_families", "held_out_families")
_ONE_SIDED = 0.95
_TWO_SIDED = 0.975

Numbers = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 0 whether or not the figures hold: they are news either way."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--data", default="auto", help="a data set, as `gatekeeper demo --dataset`")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated")
    parser.add_argument("--quick", action="store_true", help="tiny, on the digits, one seed")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--one-seed", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one_seed is not None:
        sys.stdout.write(json.dumps(_one_seed(arguments.data, arguments.one_seed, arguments.quick)))
        return 0
    seeds = [0] if arguments.quick else [int(seed) for seed in arguments.seeds.split(",")]
    started = time.perf_counter()
    runs = [_cached(arguments.data, seed, quick=arguments.quick) for seed in seeds]
    figures = figures_of(runs)
    command = f"python -m benchmarks.demo --data {arguments.data} --seeds {arguments.seeds}"
    default = Path(tempfile.mkdtemp()) if arguments.quick else RESULTS
    path = write_results(
        "demo",
        command=f"{command} --quick" if arguments.quick else command,
        seeds=seeds,
        data=runs[0]["data"],
        seconds=sum(run["seconds"] for run in runs) or time.perf_counter() - started,
        figures=figures,
        table=[row for run in runs for row in run["table"]],
        folder=arguments.out or default,
    )
    for figure in figures:
        ends = "" if figure.low is None else f" [{figure.low:.4g}, {figure.high:.4g}]"
        print(f"{'ok  ' if figure.holds else 'MISS'} {figure.name:34} {figure.value:.4g}{ends}")
    print(f"wrote {path}")
    return 0


def _cached(data: str, seed: int, *, quick: bool) -> Numbers:
    path = cache_dir() / "benchmarks" / f"demo-{_source_digest(data, quick)[:16]}-{seed}.json"
    if path.is_file():
        found: Numbers = json.loads(path.read_text(encoding="utf-8"))
        return found
    command = [sys.executable, "-m", "benchmarks.demo", "--one-seed", str(seed), "--data", data]
    command += ["--quick"] if quick else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(done.stdout, encoding="utf-8")
    fresh: Numbers = json.loads(done.stdout)
    return fresh


def _source_digest(data: str, quick: bool) -> str:
    digest = hashlib.sha256(f"{data} {quick}".encode())
    root = shipped_root()
    sources = [*(root / "gatekeeper").rglob("*.py"), root / "calibration" / "demo.toml"]
    for path in sorted([*sources, Path(__file__)]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _one_seed(data: str, seed: int, quick: bool) -> Numbers:
    # In here, so that the clock starts before torch is imported, as it does for the command.
    started = time.perf_counter()
    from gatekeeper import demonstration
    from gatekeeper.cli.demo import demo_recipe
    from gatekeeper.cli.progress import Bars
    from gatekeeper.images import load_dataset

    recipe = demo_recipe(data, seed, quick=quick)
    # Fetching the data is not part of the figure: it is in the cache before the clock starts.
    load_dataset(recipe.data.dataset, announce=lambda line: None)
    fetched = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        with Bars() as bars:
            finished = demonstration.run(recipe, out=Path(folder) / "demo", progress=bars)
        written = demonstration.write(finished, Path(folder) / "demo", started=started)
    summary = written.summary
    return {
        "seed": seed,
        "seconds": time.perf_counter() - started - fetched,
        "peak_memory_gb": demonstration.peak_memory_gb(),
        "data": {
            "name": summary["dataset"],
            "split": "test",
            "n": summary["clean"]["n"],
            "digest": summary["splits"]["test"]["digest"],
        },
        "summary": {k: summary[k] for k in ("clean_flips", "clean_correct", "help_harm_noise")}
        | {"clean_harm_upper_bound": summary["clean_harm_upper_bound"]}
        | {"certificate": summary["certificate"]},
        "streams": {
            name: _stream_numbers(finished, stream)
            for name, stream in finished.streams.streams.items()
        },
        "families": {
            name: _difference(family) for name, family in finished.streams.families.items()
        },
        "table": [
            {"seed": seed, "traffic": name, **_row(block)}
            for name, block in (
                *((stream, summary[stream]) for stream in _STREAMS),
                *summary["families"].items(),
            )
        ],
    }


def _row(block: Mapping[str, Any]) -> Numbers:
    kept = ("n", "accuracy_no_gate", "accuracy_final", "coverage", "selective_risk", "help", "harm")
    row = {key: block[key] for key in kept}
    row |= {f"coverage_at_risk_{k}": v for k, v in block["coverage_at_risk"].items()}
    row |= {f"failure_auroc_{k}": v for k, v in block["failure_auroc"].items()}
    row |= {f"aurc_{k}": v for k, v in block["aurc"].items()}
    return row | {f"ece_{k}": v for k, v in block["ece"].items()}


def _difference(judged: Any) -> Numbers | None:  # noqa: ANN401  # Judged, imported late
    right = judged.raw_correct
    if right.all() or not right.any():
        return None
    found = failure_auroc_difference(
        judged.raw_score, judged.msp, right, confidence_level=_ONE_SIDED
    )
    return {"value": found.value, "low": found.low, "high": found.high}


def _stream_numbers(finished: Any, judged: Any) -> Numbers:  # noqa: ANN401
    from gatekeeper import evaluation

    fitted = finished.result.fitted
    replayed = evaluation.replay(fitted, judged)
    reliability = evaluation.final_reliability(fitted, replayed)
    right = evaluation.final_correct(judged, replayed)
    ece = bootstrap_interval(
        debiased_calibration_error, reliability, right, n_draws=500, seed=finished.recipe.seed
    )
    numbers: Numbers = {
        "ece": {"value": ece.value, "low": ece.low, "high": ece.high},
        "vs_msp": _difference(judged),
        "coverage_at_risk": evaluation.coverage_at_risk(
            fitted, judged, float(fitted.certificate["target_risk"])
        ),
        "ideal_coverage": evaluation.summarise(fitted, judged)["ideal_coverage"],
    }
    raw_right = judged.raw_correct
    if not raw_right.all() and raw_right.any():
        # Against a constant score, whose AUROC is exactly one half, DeLong gives the interval of
        # one AUROC.
        constant = np.zeros(len(judged))
        alone = failure_auroc_difference(
            judged.raw_score, constant, raw_right, confidence_level=_TWO_SIDED
        )
        numbers["failure_auroc"] = {
            "value": 0.5 + alone.value,
            "low": 0.5 + alone.low,
            "high": 0.5 + alone.high,
        }
    return numbers


def figures_of(runs: Sequence[Numbers]) -> list[Figure]:
    """The figures of the issue's table, from the numbers of each seed."""
    certificates = [run["summary"]["certificate"] for run in runs]
    streams = [run["streams"] for run in runs]

    def averaged(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
        return {end: mean(each[end] for each in found) for end in ("value", "low", "high")}

    def spread(values: Sequence[float]) -> dict[str, float]:
        return {"value": mean(values), "low": min(values), "high": max(values)}

    figures = [
        Figure(
            name="seconds",
            **spread([run["seconds"] for run in runs]),
            target=240,
            direction="lower",
            judged="high",
            note="low and high: fastest and slowest seed",
        ),
        Figure(
            name="peak_memory_gb",
            **spread([run["peak_memory_gb"] for run in runs]),
            target=4,
            direction="lower",
            judged="high",
            note="low and high: smallest and largest seed",
        ),
    ]
    for stream, target in (("declared", 0.94), ("open", 0.92)):
        found = [
            each[stream]["failure_auroc"] for each in streams if "failure_auroc" in each[stream]
        ]
        figures += (
            [
                Figure(
                    name=f"failure_auroc_{stream}",
                    **averaged(found),
                    target=target,
                    direction="higher",
                    judged="low",
                    note="interval by DeLong, mean over the seeds",
                )
            ]
            if found
            else []
        )
    figures += _non_inferiority(runs)
    shares = [
        _share(c, s["declared"]["ideal_coverage"])
        for c, s in zip(certificates, streams, strict=True)
    ]
    figures.append(
        Figure(
            name="certified_coverage_share_of_ideal",
            **averaged(shares),
            target=0.85,
            direction="higher",
            judged="low",
            note="exact binomial interval of the certified coverage; ideal coverage as measured",
        )
    )
    gains = [
        c["certified_coverage"] - c["variants"]["no_restorer"]["certified_coverage"]
        for c in certificates
    ]
    figures.append(
        Figure(
            name="coverage_gain_by_restoration",
            **spread(gains),
            target=0.12,
            direction="higher",
            judged="low",
            note="low and high: smallest and largest seed",
        )
    )
    policy = [each["open"]["coverage_at_risk"]["policy"] for each in streams]
    raw = [each["open"]["coverage_at_risk"]["raw"] for each in streams]
    lowered = sum(p < r for p, r in zip(policy, raw, strict=True))
    figures.append(
        Figure(
            name="coverage_at_risk_open",
            **spread(policy),
            target=0.66,
            direction="higher",
            judged="low",
            note=f"raw predictor alone: {', '.join(f'{r:.3f}' for r in raw)}; restoration lowered "
            f"it in {lowered} of {len(runs)} seeds; low and high: smallest and largest seed",
        )
    )
    flips = [run["summary"]["clean_flips"] for run in runs]
    bounds = [run["summary"]["clean_harm_upper_bound"] for run in runs]
    figures.append(
        Figure(
            name="clean_flips",
            value=max(flips),
            low=min(flips),
            high=max(flips),
            target=2,
            direction="lower",
            judged="value",
            note=f"worst seed of {flips}, of {runs[0]['summary']['clean_correct']} in the first; "
            f"exact one-sided 95 % bound of the rate at worst {max(b or 0 for b in bounds):.5f}",
        )
    )
    ratios = [run["summary"]["help_harm_noise"] for run in runs]
    pooled = sum(r["help"] for r in ratios) / max(1, sum(r["harm"] for r in ratios))
    listed = ", ".join(f"{r['help']} : {r['harm']}" for r in ratios)
    figures.append(
        Figure(
            name="help_harm_noise",
            value=pooled,
            target=30,
            direction="higher",
            judged="value",
            note=f"all seeds pooled; by seed {listed}",
        )
    )
    for name, stream, target in (
        ("ece_clean", "clean", 0.02),
        ("ece_seen", "seen_families", 0.03),
        ("ece_held_out", "held_out_families", 0.08),
    ):
        figures.append(
            Figure(
                name=name,
                **averaged([each[stream]["ece"] for each in streams]),
                target=target,
                direction="lower",
                judged="high",
                note="debiased, 15 bins; bootstrap interval over images, mean over the seeds",
            )
        )
    return figures


def _non_inferiority(runs: Sequence[Numbers]) -> list[Figure]:
    worst = []
    for run in runs:
        found = {name: d for name, d in run["families"].items() if d is not None}
        name = min(found, key=lambda n: found[n]["low"])
        worst.append((name, found[name]))
    clean = [d for run in runs if (d := run["streams"]["clean"]["vs_msp"]) is not None]
    note = "paired one-sided 95 % bounds by DeLong, mean over the seeds"
    named = ", ".join(f"{name} {found['low']:+.4f}" for name, found in worst)
    return [
        Figure(
            name="worst_family_vs_msp",
            value=mean(d["value"] for _, d in worst),
            low=mean(d["low"] for _, d in worst),
            high=mean(d["high"] for _, d in worst),
            target=-0.01,
            direction="higher",
            judged="low",
            note=f"{note}; worst family by seed: {named}",
        ),
        Figure(
            name="clean_vs_msp",
            value=mean(d["value"] for d in clean),
            low=mean(d["low"] for d in clean),
            high=mean(d["high"] for d in clean),
            target=-0.005,
            direction="higher",
            judged="low",
            note=note,
        ),
    ]


def _share(certificate: Mapping[str, Any], ideal: float) -> dict[str, float]:
    n = certificate["n_certify"]
    accepted = certificate["n_accepted"] if certificate["certified"] else 0
    low, high = exact_proportion_interval(accepted, n)
    return {"value": accepted / n / ideal, "low": low / ideal, "high": high / ideal}


if __name__ == "__main__":
    sys.exit(main())
