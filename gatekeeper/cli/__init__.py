"""The command line: parse, call, print, exit code; no logic of its own.

Exit codes: 0 ok, 1 judged FAIL, 2 bad usage, bad input or missing data, 3 internal error.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from gatekeeper import __version__
from gatekeeper.cli import (
    adapt,
    audit,
    batch,
    data,
    decide,
    demo,
    doctor,
    evaluate,
    fit,
    levels,
    registry,
    serve,
    train,
)
from gatekeeper.errors import GatekeeperError
from gatekeeper.memory import keep_freed_memory

__all__ = ["main"]

_COMMANDS = (
    demo,
    fit,
    evaluate,
    levels,
    train,
    decide,
    batch,
    serve,
    adapt,
    audit,
    registry,
    data,
    doctor,
)

_INTERNAL = 3
_BAD = 2
_INTERRUPTED = 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gatekeeper",
        description="Decide for each answer of an image classifier whether to accept it, restore "
        "the image and look again, or abstain, with a certified error rate.",
        epilog="Start with `gatekeeper demo`. Every command has its own --help with an example.",
    )
    parser.add_argument("--version", action="version", version=f"gatekeeper {__version__}")
    parser.add_argument(
        "--debug", action="store_true", help="show the traceback of an internal error"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None takes those of the process.

    Returns:
        The exit code.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else _BAD
    keep_freed_memory()
    try:
        code: int = arguments.run(arguments)
        # Here, not at the interpreter's end, where a closed pipe could not be handled any more.
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("gatekeeper: interrupted", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away; it has what it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  # the last door: a sentence, not a traceback
        if arguments.debug:
            traceback.print_exc()
        sentence, code = _excuse(error)
        print(f"gatekeeper: {sentence}", file=sys.stderr)  # noqa: T201
    return code


def _excuse(error: Exception) -> tuple[str, int]:
    """What to tell the caller, and the exit code."""
    if isinstance(error, GatekeeperError):
        return str(error), _BAD
    if isinstance(error, OSError) and error.filename is not None:
        # A full disk, a folder that may not be written: the caller's place, not our code.
        return f"expected to use {error.filename}, got: {error.strerror}; check the path", _BAD
    return (
        f"internal error ({type(error).__name__}: {error}); "
        "run again as `gatekeeper --debug …` and report what it shows",
        _INTERNAL,
    )
