"""Does the certificate keep its promise, what does it cost, and do the online tests speak up?

    python -m benchmarks.guarantee --data cifar10:PATH [--seeds 0,1,2] [--out DIR]
    python -m benchmarks.guarantee --quick

Every gate of ``calibration/`` is fitted once per seed. The *test* images under the declared mix,
each once, are the population; certify sets are drawn from it again and again, the path stays as it
was frozen on *calibrate*. Needs ``pip install mapie`` for one of its peers. The cells of
``benchmarks.study`` are read for held-out families: fill them first.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.demo import Target, described
from benchmarks.guarantee_draws import mean_ends_over_draws
from benchmarks.guarantee_fits import GateFit, gate_fits
from benchmarks.guarantee_held_out import LEAST_SEVERITY
from benchmarks.guarantee_measures import (
    MAPIE,
    MSP,
    OURS,
    SGR,
    WITHOUT_RESTORATION,
    Measured,
    Row,
    mapie_is_there,
    measure,
)
from benchmarks.guarantee_watch import family_power, mean_power, median_labels, withdrawals
from benchmarks.harness import RESULTS, Figure, write_results
from benchmarks.held_out import parse_seeds
from benchmarks.kept import Store
from benchmarks.redraws import Ends, Estimate, Redraws
from gatekeeper.corruptions import corruption
from gatekeeper.errors import GatekeeperError
from gatekeeper.metrics.proportions import exact_proportion_interval
from gatekeeper.monitoring import WINDOW
from gatekeeper.paths import cache_dir

_VIOLATIONS = {
    "violations_level_090": 0.9, "violations_level_095": 0.95, "violations_level_099": 0.99,
}  # fmt: skip

TARGETS: Mapping[str, Target] = {
    "violations_level_090": Target(
        123, "lower", "value", "draws of 1,000 whose certified policy exceeds the target", "worst"
    ),
    "violations_level_095": Target(67, "lower", "value", "the same", "worst"),
    "violations_level_099": Target(18, "lower", "value", "the same", "worst"),
    "coverage_vs_sgr": Target(
        -0.002, "higher", "low", "certified coverage minus SGR's, same draws and final score"
    ),
    "coverage_vs_mapie": Target(
        -0.002,
        "higher",
        "low",
        "the same against the setting of MAPIE's controller that comes closest",
    ),
    "coverage_gain_vs_msp_certified": Target(
        0.12,
        "higher",
        "low",
        "certified coverage minus that of the calibrated maximum softmax of the raw answer, same "
        "draws; interval redraws base images",
    ),
    "monitor_false_withdrawals": Target(
        67, "lower", "value", "of 1,000 runs over 10,000 labels at risk = target", "worst"
    ),
    "monitor_labels_to_withdraw": Target(
        200, "lower", "high", "median at twice the target risk, worst seed", "worst"
    ),
    "flag_false": Target(
        0.05,
        "lower",
        "high",
        f"share of flagged windows of {WINDOW} of declared traffic; windows of one shuffle are "
        "disjoint, those of different shuffles overlap, so the exact interval is too narrow",
    ),
    "flag_power": Target(
        0.90,
        "higher",
        "low",
        f"share of flagged windows of {WINDOW} under one held-out corruption at one severity from "
        f"{LEAST_SEVERITY} on, mean over families; interval redraws windows",
    ),
}
"""What was written down before anything was measured."""

_DRAWS = 1_000
_QUICK_DRAWS = 200
_LABELS = 10_000


def figure(name: str, ends: Ends, *notes: str) -> Figure:
    """One figure against its target."""
    wanted = TARGETS[name]
    return Figure(
        name=name,
        value=ends.value,
        low=ends.low,
        high=ends.high,
        target=wanted.target,
        direction=wanted.direction,
        judged=wanted.judged,
        note="; ".join([wanted.note, *notes]),
    )


def count_ends(count: int, n: int) -> Ends:
    """A count of n with its exact interval, as counts."""
    low, high = exact_proportion_interval(count, n)
    return Ends(value=float(count), low=n * low, high=n * high)


def violation_figures(found: Sequence[Measured]) -> list[Figure]:
    """The worst gate at each level."""
    figures = []
    for name, level in _VIOLATIONS.items():
        counts = {one.fit.name: one.violations[level] for one in found}
        n_draws = len(found[0].ours.coverage)
        said = ", ".join(f"{gate}: {count}" for gate, count in counts.items())
        ends = count_ends(max(counts.values()), n_draws)
        figures.append(figure(name, ends, f"of {n_draws:,} draws; {said}"))
    return figures


def peer_figures(found: Sequence[Measured]) -> list[Figure]:
    """Certified coverage against SGR and against the closest setting of MAPIE, where it is."""
    figures = [figure("coverage_vs_sgr", *_against(found, SGR))]
    if MAPIE[0] in found[0].peers:
        ends = {name: _against(found, name) for name in MAPIE}
        closest = min(MAPIE, key=lambda name: ends[name][0].value)
        said = [f"{name}: {of.value:+.4f} (low {of.low:+.4f})" for name, (of, _) in ends.items()]
        figures.append(figure("coverage_vs_mapie", ends[closest][0], *said, ends[closest][1]))
    return figures


def _against(found: Sequence[Measured], peer: str) -> tuple[Ends, str]:
    """Ours minus a peer, draw by draw, and the means of each gate in words."""
    differences = {}
    for one in found:
        theirs = one.peers[peer]
        ours = one.ours.first(len(theirs.coverage))
        differences[one.fit.name] = ours.coverage - theirs.coverage
    n_draws = len(next(iter(differences.values())))
    said = ", ".join(f"{gate}: {each.mean():+.4f}" for gate, each in differences.items())
    return mean_ends_over_draws(list(differences.values())), f"{n_draws:,} draws; {said}"


def gain_figure(found: Sequence[Measured]) -> Figure:
    """Mean over gates of the certified coverage that the whole policy adds to the baseline."""
    per_image = np.mean([one.gain for one in found], axis=0)
    value = float(per_image.mean())
    estimate = Estimate(value=value, influence=(per_image - value) / len(per_image))
    ends = Redraws(len(per_image)).interval(estimate)
    ours = {one.fit.name: one.ours.coverage.mean() for one in found}
    said = ", ".join(
        f"{one.fit.name}: {ours[one.fit.name]:.4f} − {ours[one.fit.name] - one.gain.mean():.4f}"
        for one in found
    )
    return figure("coverage_gain_vs_msp_certified", ends, said)


def monitor_figures(
    seeds: Sequence[int], n_runs: int, target_risk: float, confidence_level: float
) -> tuple[list[Figure], list[Row]]:
    """Withdrawals at the target, and at twice the target; both from simulated labels."""
    found: dict[int, tuple[Ends, Ends]] = {}
    rows: list[Row] = []
    for seed in seeds:
        at, twice = (
            withdrawals(
                risk,
                target_risk=target_risk,
                confidence_level=confidence_level,
                n_runs=n_runs,
                n_labels=_LABELS,
                seed=seed,
            )
            for risk in (target_risk, 2.0 * target_risk)
        )
        found[seed] = count_ends(int((at > 0).sum()), n_runs), median_labels(twice, _LABELS)
        rows += [
            {
                "table": "monitor",
                "seed": seed,
                "risk": risk,
                "runs": n_runs,
                "labels": _LABELS,
                "withdrawn": int((stopped > 0).sum()),
                "median_labels_to_withdraw": median_labels(stopped, _LABELS).value
                if 2 * int((stopped > 0).sum()) > n_runs
                else None,
            }
            for risk, stopped in ((target_risk, at), (2.0 * target_risk, twice))
        ]
    figures = []
    for place, name in enumerate(("monitor_false_withdrawals", "monitor_labels_to_withdraw")):
        worst = max((ends[place] for ends in found.values()), key=lambda ends: ends.value)
        said = ", ".join(f"seed {seed}: {ends[place].value:g}" for seed, ends in found.items())
        figures.append(figure(name, worst, f"{n_runs:,} runs; {said}"))
    return figures, rows


def flag_figures(fits: Sequence[GateFit]) -> tuple[list[Figure], list[Row]]:
    """False and right flags of the conditions test."""
    false = {fit.name: fit.declared_p < fit.flag_level for fit in fits}
    flagged = np.concatenate(list(false.values()))
    low, high = exact_proportion_interval(int(flagged.sum()), len(flagged))
    said = ", ".join(f"{gate}: {each.mean():.4f}" for gate, each in false.items())
    ends = Ends(value=float(flagged.mean()), low=low, high=high)
    figures = [figure("flag_false", ends, f"{len(flagged):,} windows; {said}")]
    right = {fit.name: fit.held_out_p < fit.flag_level for fit in fits}
    families = {fit.name: [_family(name) for name in fit.held_out] for fit in fits}
    powers = {gate: family_power(right[gate], families[gate]) for gate in right}
    mean = {
        name: fmean(power[name] for power in powers.values())
        for name in next(iter(powers.values()))
    }
    least = ", ".join(f"{name} {mean[name]:.2f}" for name in sorted(mean, key=mean.__getitem__)[:5])
    figures.append(
        figure("flag_power", mean_power(right, families), f"{len(mean)} families; least: {least}")
    )
    return figures, [row for fit in fits for row in _flag_rows(fit)]


def _flag_rows(fit: GateFit) -> list[Row]:
    same: Row = {"classifier": fit.recipe.name, "seed": fit.recipe.seed}
    rows: list[Row] = [
        {
            "table": "flagged windows of declared traffic",
            **same,
            "windows": len(fit.declared_p),
            "flagged_share": round(float((fit.declared_p < fit.flag_level).mean()), 4),
        }
    ]
    cells = zip(fit.held_out, fit.severities.tolist(), fit.held_out_p, strict=True)
    rows += [
        {
            "table": "flagged windows of a held-out family",
            **same,
            "family": _family(name),
            "corruption": name,
            "severity": severity,
            "windows": len(p_values),
            "flagged_share": round(float((p_values < fit.flag_level).mean()), 4),
        }
        for name, severity, p_values in cells
    ]
    return rows


def _family(name: str) -> str:
    return "+".join(sorted(corruption(name).families))


def summary_rows(found: Sequence[Measured]) -> list[Row]:
    """Mean over gates of what each way certifies: what restoration and the predictor each add."""
    rows: list[Row] = []
    keys = {
        (row["target_risk"], row["confidence_level"])
        for row in found[0].rows
        if row["table"] == "certified on redraws"
    }
    for risk, level in sorted(keys):
        row: Row = {"table": "mean over gates", "target_risk": risk, "confidence_level": level}
        for method in (OURS, WITHOUT_RESTORATION, MSP):
            asked = (method, risk, level)
            values = [
                each["certified_coverage"]
                for one in found
                for each in one.rows
                if each["table"] == "certified on redraws"
                and (each["method"], each["target_risk"], each["confidence_level"]) == asked
            ]
            row[method] = round(fmean(values), 5)
        rows.append(row)
    return rows


def group_note(found: Sequence[Measured]) -> Row:
    """The worst gate's draws with a false statement about any group."""
    counts = [
        row["violations"]
        for one in found
        for row in one.rows
        if row["table"] == "group claims on redraws" and row["group"] == "any"
    ]
    return {
        "table": "note",
        "note": f"group claims at the recipe's level: at most {max(counts)} of "
        f"{len(found[0].ours.coverage):,} draws with a false statement about any group "
        f"(each gate: {', '.join(map(str, counts))})",
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Fit, draw, judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=None, help="such as cifar10:PATH")
    parser.add_argument("--quick", action="store_true", help="a small run on digits")
    parser.add_argument("--seeds", default=None, help="0,1,2 by default; 0 with --quick")
    parser.add_argument("--out", type=Path, default=None, help="folder for guarantee.json")
    arguments = parser.parse_args(argv)
    started, quick = time.perf_counter(), arguments.quick
    seeds = parse_seeds(arguments.seeds or ("0" if quick else "0,1,2"))
    _look_for_mapie(quick=quick)
    data, fits = gate_fits(arguments.data, seeds, quick=quick)
    figures, table = judged(fits, seeds, n_draws=_QUICK_DRAWS if quick else _DRAWS)
    for one in figures:
        verdict = "holds" if one.holds else "DOES NOT HOLD"
        print(f"{one.name:<36}{one.value:>10.4f}  target {one.target:>7}  {verdict}")
    spec = "digits" if quick else arguments.data
    command = ["python -m benchmarks.guarantee"]
    command += ["--quick"] if quick else [f"--data {spec.partition(':')[0]}"]
    # A quick run must not pass for the benchmark.
    usual = Path("runs") / "benchmarks" if quick else RESULTS
    path = write_results(
        "guarantee",
        command=" ".join([*command, f"--seeds {','.join(map(str, seeds))}"]),
        seeds=seeds,
        data=described(data, spec, len(fits[0].test)),
        seconds=time.perf_counter() - started,
        figures=figures,
        table=table,
        folder=arguments.out or usual,
    )
    print(f"wrote {path}")


def judged(
    fits: Sequence[GateFit], seeds: Sequence[int], *, n_draws: int
) -> tuple[list[Figure], list[dict[str, Any]]]:
    """All figures and the table."""
    store = Store(cache_dir() / "benchmarks" / "guarantee")
    found = [measure(fit, n_draws=n_draws, store=store) for fit in fits]
    policy = fits[0].recipe.policy
    monitored, monitor_rows = monitor_figures(
        seeds, n_draws, policy.target_risk, policy.confidence_level
    )
    flags, flag_rows = flag_figures(fits)
    figures = [
        *violation_figures(found),
        *peer_figures(found),
        gain_figure(found),
        *monitored,
        *flags,
    ]
    rows = [row for one in found for row in one.rows]
    return figures, [group_note(found), *summary_rows(found), *rows, *monitor_rows, *flag_rows]


def _look_for_mapie(*, quick: bool) -> None:
    """A full run needs the peer; a quick one says that it goes without.

    Raises:
        GatekeeperError: MAPIE is not installed and the run is not quick.
    """
    if mapie_is_there():
        return
    if not quick:
        raise GatekeeperError("expected the peer mapie 1.6 or newer, got none: pip install mapie")
    print("without the figure coverage_vs_mapie: mapie is not installed", file=sys.stderr)


if __name__ == "__main__":
    main()
