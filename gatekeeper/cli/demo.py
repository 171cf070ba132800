"""``gatekeeper demo``: fit and certify a gate on real images, stream traffic, report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gatekeeper.cli.options import add_command, add_run_options

_EXAMPLE = """  gatekeeper demo
  gatekeeper demo --dataset digits --seed 1 --out runs/digits"""

_QUICK_SHARES = {
    "train": 0.48,
    "validation": 0.03,
    "fit": 0.12,
    "calibrate": 0.1,
    "certify": 0.15,
    "test": 0.12,
}
_QUICK_TRAINING = {
    "epochs": 3,
    "min_steps": 1,
    "batch_size": 32,
    "learning_rate": 0.1,
    "crop_padding_px": 0,
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(
        commands,
        "demo",
        "fit and certify a gate on real images, stream corrupted traffic, report",
        _EXAMPLE,
    )
    parser.add_argument(
        "--dataset",
        default="auto",
        help="auto (Fashion-MNIST, else MNIST digits), fashion-mnist, digits, digits8, "
        "cifar10:PATH, folder:PATH, elpv",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default 0)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder to write (default runs/demo)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a tiny run on the digits, to see that all parts work; its figures mean nothing",
    )
    add_run_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from gatekeeper.cli.runs import run_recipe
    from gatekeeper.demonstration import reproduce

    recipe = demo_recipe(arguments.dataset, arguments.seed, quick=arguments.quick)
    command = ["demo", "--dataset", arguments.dataset, "--seed", str(arguments.seed)]
    command += ["--quick"] if arguments.quick else []
    return run_recipe(recipe, arguments, out=arguments.out, command=reproduce(command))


def demo_recipe(dataset: str, seed: int, *, quick: bool = False) -> Any:  # noqa: ANN401  # Recipe, whose import is slow
    """The shipped recipe for a data set and a seed."""
    import tomllib

    from gatekeeper.paths import shipped
    from gatekeeper.recipe import parse_recipe

    path = shipped("calibration", "demo.toml")
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    raw["seed"] = seed
    if quick:
        raw["data"]["splits"] = dict(_QUICK_SHARES)
        raw["classifier"]["training"] |= _QUICK_TRAINING
        raw["restorers"]["steps"] = 30
        raw["predictor"] |= {"members": 1, "epochs": 3, "hidden": 32, "looks_per_image": 2}
    recipe = parse_recipe(raw, source=str(path), folder=path.parent)
    chosen = "digits" if quick and dataset == "auto" else dataset
    # Past the recipe's own check: a wrong name is the caller's slip, not the shipped recipe's, and
    # loading it answers with near matches.
    data = recipe.data.model_copy(update={"dataset": chosen})
    return recipe.model_copy(update={"data": data})
