"""``gatekeeper train``: a training recipe → a model with its record and card."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gatekeeper.cli.options import add_command

_EXAMPLE = """  gatekeeper train models/resnet10-cifar10/recipe.toml --data-dir cifar --out mine
  gatekeeper train models/resnet10-cifar10/recipe.toml --data-dir cifar --out mine --resume"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(
        commands, "train", "train a classifier, as a recipe says, and write its record", _EXAMPLE
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE.toml", help="what to train")
    parser.add_argument("--data-dir", type=Path, help="folder to look for the data in first")
    parser.add_argument("--out", type=Path, help="folder to write (default models/ID)")
    parser.add_argument(
        "--work", type=Path, help="folder for the state after each epoch (default runs/train-ID)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last finished epoch in --work"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from gatekeeper.cli.progress import Bars
    from gatekeeper.training import run_training
    from gatekeeper.training.recipe import load_training_recipe

    recipe = load_training_recipe(arguments.recipe)
    out = arguments.out or Path("models") / recipe.id
    work = arguments.work or Path("runs") / f"train-{recipe.id}"
    with Bars() as bars:
        trained = run_training(
            recipe,
            out=out,
            work=work,
            resume=arguments.resume,
            data_dir=arguments.data_dir,
            progress=bars,
            announce=_say,
        )
    _say(f"Accuracy on validation: {trained.validation[-1]:.2%}")
    _say(f"Wrote {out}/")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
