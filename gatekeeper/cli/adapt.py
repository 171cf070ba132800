"""``gatekeeper adapt``: captured traffic → a challenger, judged beside the champion."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.cli.options import add_bundle, add_command

if TYPE_CHECKING:
    from gatekeeper.adaptation import AdaptationRecipe, Adapted, WrittenAdaptation
    from gatekeeper.recipe import Recipe

_EXAMPLE = """  gatekeeper adapt models:/gate-demo@champion --captured review --recipe adapt.toml
  gatekeeper adapt runs/demo/bundle --captured labels.parquet --recipe adapt.toml --promote
  gatekeeper adapt runs/demo/bundle --captured from-my-camera --sample folder:labelled \\
      --recipe adapt.toml

adapt.toml:
  fit = "my-classifier.toml"      # the recipe that fitted the champion
  [restorer.training]
  steps = 2000
  [promotion]
  automatic = false               # true: promoted as soon as the rule is met
  accuracy_margin = 0.0

exit code 1: the challenger does not meet the rule; it is registered all the same"""

_FAIL = 1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(
        commands,
        "adapt",
        "adapt a gate to captured traffic, and judge the challenger beside the champion",
        _EXAMPLE,
    )
    add_bundle(parser)
    parser.add_argument(
        "--captured",
        type=Path,
        required=True,
        metavar="QUEUE|DIR",
        help="a review queue's folder, its export as .parquet, or a folder of images as they came",
    )
    parser.add_argument(
        "--recipe", type=Path, required=True, metavar="ADAPT.toml", help="what to do; see below"
    )
    parser.add_argument(
        "--sample",
        metavar="SPEC",
        help="a random labelled sample of the traffic, such as folder:PATH with a folder per "
        "class; only with one the challenger is certified for the traffic",
    )
    parser.add_argument("--data-dir", type=Path, help="folder to look for the champion's data")
    parser.add_argument("--out", type=Path, help="folder to write (default runs/adapt-NAME)")
    parser.add_argument(
        "--work",
        type=Path,
        help="folder of finished trainings and evidence, from which a run that was cut short goes "
        "on (default OUT/work)",
    )
    parser.add_argument(
        "--promote", action="store_true", help="make the challenger champion, whatever the rule"
    )
    parser.add_argument("--no-tracking", action="store_true", help="do not register in MLflow")
    parser.add_argument("--json", action="store_true", help="print adaptation.json")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from gatekeeper.adaptation import load_adaptation_recipe, write_adaptation
    from gatekeeper.demonstration import reproduce
    from gatekeeper.errors import InputError

    if arguments.promote and arguments.no_tracking:
        raise InputError("expected --promote or --no-tracking, got both: versions are promoted")
    recipe, fit = load_adaptation_recipe(arguments.recipe)
    out = arguments.out or Path("runs") / f"adapt-{fit.name}"
    finished = _adapted(arguments, recipe, fit, out)
    written = write_adaptation(
        finished,
        out,
        champion=arguments.bundle,
        command=reproduce(_command(arguments)),
        tracked=not arguments.no_tracking,
        promote=arguments.promote or (recipe.promotion.automatic and finished.rule_met),
    )
    if arguments.json:
        json.dump(written.record, sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        _print(finished)
    _tell(written)
    return 0 if finished.rule_met or written.promoted else _FAIL


def _adapted(
    arguments: argparse.Namespace, recipe: AdaptationRecipe, fit: Recipe, out: Path
) -> Adapted:
    from gatekeeper.adaptation import adapt, open_champion, read_captured
    from gatekeeper.cli.bundles import resolve_bundle
    from gatekeeper.cli.progress import Bars
    from gatekeeper.images import load_dataset

    champion = open_champion(resolve_bundle(arguments.bundle))
    size = champion.fitted.image_size
    captured = read_captured(
        arguments.captured,
        image_size=size,
        class_names=champion.fitted.classifier.class_names,
    )
    sample = None
    if arguments.sample is not None:
        sample = load_dataset(arguments.sample, image_size=size, announce=_say)
    data = load_dataset(
        fit.data.dataset,
        data_dir=arguments.data_dir,
        image_size=fit.data.image_size,
        announce=_say,
    )
    with Bars() as bars:
        return adapt(
            champion,
            data,
            captured,
            recipe,
            fit,
            sample=sample,
            work=arguments.work or out / "work",
            progress=bars,
        )


def _command(arguments: argparse.Namespace) -> list[str]:
    words = ["adapt", arguments.bundle, "--captured", str(arguments.captured)]
    words += ["--recipe", str(arguments.recipe)]
    words += ["--sample", arguments.sample] if arguments.sample else []
    return words


def _print(finished: Adapted) -> None:
    found = finished.contest
    sides = (found.champion, found.challenger)
    rows = {
        "right": [side.accuracy for side in sides],
        "accepted": [side.coverage for side in sides],
        "certified coverage": [side.certified_coverage for side in sides],
    }
    lines = [f"{'':<22}{'champion':>12}{'challenger':>12}"]
    lines += [f"{name:<22}{one:>12.2%}{other:>12.2%}" for name, (one, other) in rows.items()]
    lines.append(
        f"difference {found.paired.difference:+.2%}, lower bound {found.paired.low:+.2%}, on "
        f"{found.paired.n} images: {found.images}"
    )
    if finished.captured is not None and finished.captured.reason is not None:
        lines.append(f"captured traffic: {finished.captured.reason}")
    for condition in finished.conditions:
        lines.append(f"{'met    ' if condition.passed else 'NOT MET'}  {condition.name}")
    sys.stdout.write("\n".join(lines) + "\n")


def _tell(written: WrittenAdaptation) -> None:
    _say(f"Wrote {written.record_path}, {written.report_path} and {written.bundle_path}/")
    if written.version is not None:
        role = "champion now" if written.promoted else "challenger"
        _say(f"MLflow: {written.version.model_uri} is {role}")
    if written.warning is not None:
        _say(f"Note: {written.warning}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
