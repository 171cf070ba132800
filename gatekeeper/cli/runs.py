"""What ``demo`` and ``fit`` do once they have a recipe."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from gatekeeper.recipe import Recipe

_FAIL = 1


def run_recipe(recipe: Recipe, arguments: argparse.Namespace, *, out: Path, command: str) -> int:
    """Run, write, print; returns the exit code."""
    from gatekeeper import demonstration
    from gatekeeper.cli.progress import Bars
    from gatekeeper.cli.tables import print_summary

    started = time.perf_counter()
    with Bars() as bars:
        finished = demonstration.run(
            recipe,
            out=out,
            data_dir=arguments.data_dir,
            cache=arguments.cache,
            progress=bars,
            announce=_say,
        )
    written = demonstration.write(
        finished, out, command=command, tracked=not arguments.no_tracking, started=started
    )
    if arguments.json:
        json.dump(written.summary, sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        print_summary(written.summary, finished.streams.held_out)
    _say(f"Data: {finished.data.source}")
    _say(f"Wrote {written.summary_path}, {written.report_path} and {written.bundle_path}/")
    if written.version is not None:
        role = "champion and challenger" if written.champion else "challenger"
        _say(f"MLflow: {written.version.model_uri} is {role}")
    if written.warning is not None:
        _say(f"Note: {written.warning}")
    failed = arguments.require_certificate and not written.summary["certified"]
    return _FAIL if failed else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
