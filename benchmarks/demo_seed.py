"""One seed of benchmark ``demo``: a whole run as ``gatekeeper demo`` makes it, then its figures.

It is a process of its own, so that seconds and peak memory are those of one run and of nothing
else. ``python -m benchmarks.demo`` starts it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatekeeper.cli.demo import demo_recipe
from gatekeeper.cli.progress import Bars
from gatekeeper.demonstration import Run, noise_rows, peak_memory_gb, run, write
from gatekeeper.evaluation import (
    clean_harm,
    coverage_at_risk,
    final_correct,
    final_reliability,
    policy_curve,
    replay,
    summarise,
)
from gatekeeper.fitting import FitResult
from gatekeeper.gate import Gate
from gatekeeper.judging import Judged
from gatekeeper.metrics import (
    bootstrap_interval,
    debiased_calibration_error,
    exact_proportion_interval,
    failure_auroc_difference,
    help_harm,
)

_COVERAGE_DRAWS = 200
_TWO_SIDED_95 = 0.975
_NORMAL_975 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One figure of one seed.

    Attributes:
        value: The point value.
        low: Lower end of the 95 % interval; None where the seeds alone show the spread.
        high: Upper end.
        note: What the number alone does not say.
    """

    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


def ranking(judged: Judged) -> Measured:
    """Failure AUROC of the raw predictor, with its DeLong interval."""
    constant = np.zeros(len(judged))
    found = failure_auroc_difference(
        judged.raw_score, constant, judged.raw_correct, confidence_level=_TWO_SIDED_95
    )
    # A constant score has a failure AUROC of one half.
    return Measured(value=0.5 + found.value, low=0.5 + found.low, high=0.5 + found.high)


def against_msp(judged: Judged) -> Measured:
    """Failure AUROC minus that of the maximum softmax, paired, with one-sided 95 % bounds."""
    found = failure_auroc_difference(judged.raw_score, judged.msp, judged.raw_correct)
    return Measured(value=found.value, low=found.low, high=found.high)


def worst_against_msp(families: Mapping[str, Judged]) -> Measured:
    """The family whose lower bound is lowest."""
    found = {name: against_msp(judged) for name, judged in families.items()}
    worst = min(found, key=lambda name: found[name].low or 0.0)
    return Measured(
        value=found[worst].value, low=found[worst].low, high=found[worst].high, note=worst
    )


def share_of_ideal(result: FitResult, declared: Mapping[str, Any]) -> Measured:
    """Certified coverage ÷ ideal coverage; the interval is that of the certified coverage."""
    certificate, ideal = result.fitted.certificate, float(declared["ideal_coverage"])
    count = certificate["n_accepted"] if certificate["certified"] else 0
    low, high = exact_proportion_interval(count, certificate["n_certify"])
    covered = certificate["certified_coverage"]
    note = f"{covered:.4f} of {ideal:.4f}"
    return Measured(value=covered / ideal, low=low / ideal, high=high / ideal, note=note)


def gain_by_restoration(result: FitResult) -> Measured:
    """Certified coverage minus that of the certified policy without restoration, paired."""
    fitted, judged = result.fitted, result.certify
    without = fitted.certificate["variants"]["no_restorer"]
    raw_only = Gate(
        accept_raw_at=without["accept_raw_at"], accept_restored_at=0.0, switch_margin=1.0
    )
    taken = []
    for gate, attempts, certified in (
        (fitted.gate, judged, fitted.certificate["certified"]),
        (raw_only, judged.without_restoration(), without["certified"]),
    ):
        played = gate.replay(attempts.raw_reliability, attempts.restored_reliability)
        taken.append(played.accepted.astype(float) * bool(certified))
    gain = taken[0] - taken[1]
    reach = _NORMAL_975 * float(gain.std(ddof=1)) / np.sqrt(len(gain))
    value = float(gain.mean())
    note = f"{taken[0].mean():.4f} against {taken[1].mean():.4f}"
    return Measured(value=value, low=value - reach, high=value + reach, note=note)


def open_coverage(result: FitResult, judged: Judged, *, seed: int) -> Measured:
    """Coverage at risk of the whole policy, with the percentiles of redrawn streams."""
    fitted = result.fitted
    target = float(fitted.certificate["target_risk"])
    found = coverage_at_risk(fitted, judged, target)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(_COVERAGE_DRAWS):
        curve = policy_curve(fitted, judged.take(rng.integers(len(judged), size=len(judged))))
        draws.append(curve.coverage[curve.selective_risk <= target].max(initial=0.0))
    low, high = np.quantile(draws, [1 - _TWO_SIDED_95, _TWO_SIDED_95])
    lowered = "LOWERED BY RESTORATION, " if found["policy"] < found["raw"] else ""
    note = f"{lowered}raw {found['raw']:.4f}, MSP {found['msp']:.4f}"
    return Measured(value=found["policy"], low=float(low), high=float(high), note=note)


def calibration_error(result: FitResult, judged: Judged, *, seed: int) -> Measured:
    """Debiased ECE of the number that is returned, about the final answer."""
    played = replay(result.fitted, judged)
    reliability = final_reliability(result.fitted, played)
    found = bootstrap_interval(
        debiased_calibration_error, reliability, final_correct(judged, played), seed=seed
    )
    return Measured(value=found.value, low=found.low, high=found.high)


def flips(result: FitResult, clean: Judged) -> Measured:
    """Clean images whose right answer the policy turned wrong."""
    found = clean_harm(result.fitted, clean)
    n_right = found["clean_correct"]
    low, high = exact_proportion_interval(found["clean_flips"], n_right)
    note = f"of {n_right}, exact upper bound {found['clean_harm_upper_bound']:.2%}"
    return Measured(value=found["clean_flips"], low=low * n_right, high=high * n_right, note=note)


def noise_ratio(finished: Run) -> Measured:
    """Help : harm over the noise rows of the declared stream; no harm counts as one."""
    judged = finished.streams.streams["declared"].take(noise_rows(finished))
    final = final_correct(judged, replay(finished.result.fitted, judged))
    found = help_harm(judged.raw_correct, final)
    high = found.high if np.isfinite(found.high) else None
    note = f"{found.help} : {found.harm}, exact from {found.low:.1f}"
    return Measured(value=found.help / max(1, found.harm), low=found.low, high=high, note=note)


def figures_of(finished: Run) -> dict[str, Measured]:
    """Every figure of the table that does not speak of the machine."""
    result, seed = finished.result, finished.recipe.seed
    streams = finished.streams.streams
    return {
        "failure_auroc_declared": ranking(streams["declared"]),
        "failure_auroc_open": ranking(streams["open"]),
        "worst_family_vs_msp": worst_against_msp(finished.streams.families),
        "clean_vs_msp": against_msp(streams["clean"]),
        "certified_coverage_share_of_ideal": share_of_ideal(
            result, summarise(result.fitted, streams["declared"])
        ),
        "coverage_gain_by_restoration": gain_by_restoration(result),
        "coverage_at_risk_open": open_coverage(result, streams["open"], seed=seed),
        "clean_flips": flips(result, streams["clean"]),
        "help_harm_noise": noise_ratio(finished),
        "ece_clean": calibration_error(result, streams["clean"], seed=seed),
        "ece_seen": calibration_error(result, streams["seen_families"], seed=seed),
        "ece_held_out": calibration_error(result, streams["held_out_families"], seed=seed),
    }


def traffic_rows(finished: Run) -> list[dict[str, Any]]:
    """The main figures of every stream and family, one flat row each."""
    judged = {
        **finished.streams.streams,
        **{f"family {name}": family for name, family in finished.streams.families.items()},
    }
    rows = []
    for name, attempts in judged.items():
        block = summarise(finished.result.fitted, attempts)
        row: dict[str, Any] = {"seed": finished.recipe.seed, "traffic": name}
        row["held_out"] = name.removeprefix("family ") in finished.streams.held_out
        for key, value in block.items():
            if isinstance(value, Mapping):
                row |= {f"{key}_{inner}": number for inner, number in value.items()}
            else:
                row[key] = value
        paired = against_msp(attempts)
        rows.append({**row, "failure_auroc_vs_msp": paired.value, "vs_msp_low": paired.low})
    return rows


def main() -> None:
    """Run one seed and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--started", type=float, required=True, help="seconds since 1970")
    parser.add_argument("--run", type=Path, required=True, help="where the run writes")
    parser.add_argument("--to", type=Path, required=True, help="where the figures go")
    arguments = parser.parse_args()
    recipe = demo_recipe(arguments.data, arguments.seed, quick=arguments.quick)
    with Bars() as bars:
        finished = run(recipe, out=arguments.run, progress=bars)
    written = write(finished, arguments.run)
    seconds, memory = time.time() - arguments.started, peak_memory_gb()
    if written.version is None:
        raise SystemExit(f"the run was not tracked, so its time says nothing: {written.warning}")
    figures = {
        "seconds": Measured(value=seconds),
        "peak_memory_gb": Measured(value=memory),
        **figures_of(finished),
    }
    body = {
        "seed": arguments.seed,
        "certified": bool(written.summary["certified"]),
        "stages": written.summary["durations"],
        "figures": {name: asdict(figure) for name, figure in figures.items()},
        "rows": traffic_rows(finished),
    }
    arguments.to.write_text(json.dumps(body, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    main()
