"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    example: str,
) -> argparse.ArgumentParser:
    """A sub-command with its summary and an example."""
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What ``demo`` and ``fit`` have in common."""
    parser.add_argument("--data-dir", type=Path, help="folder to look for the data in first")
    parser.add_argument("--cache", type=Path, help="keep evidence cells here, to continue later")
    parser.add_argument(
        "--require-certificate", action="store_true", help="exit with 1 if it cannot certify"
    )
    parser.add_argument("--no-tracking", action="store_true", help="do not log to MLflow")
    parser.add_argument("--json", action="store_true", help="print summary.json instead of a table")


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """The positional BUNDLE."""
    parser.add_argument(
        "bundle",
        metavar="BUNDLE",
        help="a bundle's directory, shipped:ID, or models:/NAME@champion",
    )
