"""``gatekeeper train``: a training recipe → a model with its record and card."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.cli.options import add_command
from gatekeeper.errors import InputError

if TYPE_CHECKING:
    from gatekeeper.progress import Progress
    from gatekeeper.training.recipe import TrainingRecipe
    from gatekeeper.training.restorer_recipe import RestorerRecipe

_EXAMPLE = """  gatekeeper train models/resnet18-cifar10/recipe.toml --data-dir cifar --out mine
  gatekeeper train models/resnet18-cifar10/recipe.toml --data-dir cifar --out mine --resume
  gatekeeper train denoiser.toml --clean photos --out mine
  gatekeeper train camera.toml --clean photos --noisy from-my-camera --out mine"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(
        commands,
        "train",
        "train a classifier or a restorer, as a recipe says, and write its record",
        _EXAMPLE,
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE.toml", help="what to train")
    parser.add_argument("--data-dir", type=Path, help="folder to look for the data in first")
    parser.add_argument(
        "--clean",
        type=Path,
        metavar="DIR",
        help="restorers: folder of clean images of any sizes, in place of the recipe's data",
    )
    parser.add_argument(
        "--noisy",
        type=Path,
        metavar="DIR",
        help="restorers: folder of noisy images of your own camera, no clean versions needed",
    )
    parser.add_argument("--out", type=Path, help="folder to write (default models/ID)")
    parser.add_argument(
        "--work", type=Path, help="folder for the state on the way (default runs/train-ID)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last state that was kept in --work"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from gatekeeper.cli.progress import Bars
    from gatekeeper.training.recipe import TrainingRecipe, load_training_recipe

    recipe = load_training_recipe(arguments.recipe)
    out = arguments.out or Path("models") / recipe.id
    work = arguments.work or Path("runs") / f"train-{recipe.id}"
    with Bars() as bars:
        if isinstance(recipe, TrainingRecipe):
            said = _classifier(recipe, arguments, out, work, bars)
        else:
            said = _restorer(recipe, arguments, out, work, bars)
    _keep_recipe(arguments.recipe, out)
    for line in (*said, f"Wrote {out}/"):
        _say(line)
    return 0


def _classifier(
    recipe: TrainingRecipe, arguments: argparse.Namespace, out: Path, work: Path, bars: Progress
) -> list[str]:
    from gatekeeper.training import run_training

    if arguments.clean or arguments.noisy:
        raise InputError("--clean and --noisy are for restorers: this recipe is of a classifier")
    trained = run_training(
        recipe,
        out=out,
        work=work,
        resume=arguments.resume,
        data_dir=arguments.data_dir,
        progress=bars,
        announce=_say,
    )
    return [f"Accuracy on validation: {trained.validation[-1]:.2%}"]


def _restorer(
    recipe: RestorerRecipe, arguments: argparse.Namespace, out: Path, work: Path, bars: Progress
) -> list[str]:
    from gatekeeper.training import run_restorer_training

    trained = run_restorer_training(
        recipe,
        out=out,
        work=work,
        resume=arguments.resume,
        data_dir=arguments.data_dir,
        clean=arguments.clean,
        noisy=arguments.noisy,
        progress=bars,
        announce=_say,
    )
    return [one.said() for one in trained.judgements]


def _keep_recipe(recipe: Path, out: Path) -> None:
    """A record names its recipe: it lies beside it."""
    kept = out / "recipe.toml"
    if not (kept.exists() and kept.samefile(recipe)):
        shutil.copyfile(recipe, kept)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
