"""``gatekeeper audit``: the log of what was decided."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gatekeeper.cli.options import add_command

_EXAMPLE = "  gatekeeper audit verify /var/log/gatekeeper"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(commands, "audit", "check the log of what was decided", _EXAMPLE)
    parser.add_argument("task", choices=["verify"], help="what to do")
    parser.add_argument(
        "log", metavar="LOG", help="folder that a service wrote to, or a file of it"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command: 0 for a whole log, 2 for a broken one."""
    from dataclasses import asdict

    from gatekeeper.service.audit_chain import verify

    found = verify(Path(arguments.log))
    if arguments.json:
        print(json.dumps(asdict(found)))  # noqa: T201
        return 0
    print(f"whole: {found.records} records, {found.first_seq} to {found.last_seq}")  # noqa: T201
    print(f"head: {found.head}")  # noqa: T201
    for name in found.torn:
        print(f"{name} ends in an incomplete line, which is no record")  # noqa: T201
    return 0
