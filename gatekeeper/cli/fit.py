"""``gatekeeper fit``: your classifier, your data, your target risk → a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from gatekeeper.cli.options import add_command, add_run_options

_EXAMPLE = """  gatekeeper fit my-classifier.toml --out runs/my-classifier"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(
        commands, "fit", "fit and certify a gate for a classifier, as a recipe says", _EXAMPLE
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE.toml", help="what to fit")
    parser.add_argument("--out", type=Path, help="folder to write (default runs/NAME)")
    add_run_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from gatekeeper.cli.runs import run_recipe
    from gatekeeper.demonstration import reproduce
    from gatekeeper.recipe import load_recipe

    recipe = load_recipe(arguments.recipe)
    out = arguments.out or Path("runs") / recipe.name
    command = reproduce(["fit", str(arguments.recipe)])
    return run_recipe(recipe, arguments, out=out, command=command)
