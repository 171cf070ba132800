"""The command line that the reliability benchmarks share: measure, judge, print, write."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.demo import described
from benchmarks.harness import RESULTS, Figure, write_results
from benchmarks.held_out import Rotation, parse_seeds, rotations

Measure = Callable[
    [Mapping[str, Rotation], Sequence[int]], tuple[list[Figure], list[dict[str, Any]]]
]


def run(name: str, about: str, measure: Measure, argv: Sequence[str] | None) -> None:
    """Run one benchmark.

    Args:
        name: Of the benchmark and its result.
        about: One line for ``--help``.
        measure: Rotations and seeds -> figures and table.
        argv: Arguments; those of the process by default.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("--data", default=None, help="such as cifar10:PATH")
    parser.add_argument("--quick", action="store_true", help="a small run on digits")
    parser.add_argument("--seeds", default=None, help="0,1,2 by default; 0 with --quick")
    parser.add_argument("--out", type=Path, default=None, help=f"folder for {name}.json")
    arguments = parser.parse_args(argv)
    started = time.perf_counter()
    seeds = parse_seeds(arguments.seeds or ("0" if arguments.quick else "0,1,2"))
    study, found = rotations(arguments.data, quick=arguments.quick, seeds=seeds)
    figures, table = measure(found, seeds)
    for figure in figures:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name:<36}{figure.value:>10.4f}  target {figure.target:>7}  {verdict}")
    spec = "digits" if arguments.quick else arguments.data
    command = [f"python -m benchmarks.{name}"]
    command += ["--quick"] if arguments.quick else [f"--data {spec.partition(':')[0]}"]
    # A quick run must not pass for the benchmark.
    usual = Path("runs") / "benchmarks" if arguments.quick else RESULTS
    path = write_results(
        name,
        command=" ".join([*command, f"--seeds {','.join(map(str, seeds))}"]),
        seeds=seeds,
        data=described(study.data, spec, next(iter(found.values())).grid.n_images),
        seconds=time.perf_counter() - started,
        figures=figures,
        table=table,
        folder=arguments.out or usual,
    )
    print(f"wrote {path}")
