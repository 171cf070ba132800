"""``gatekeeper decide``: one line or one JSON document per image."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from gatekeeper.cli.bundles import resolve_bundle
from gatekeeper.cli.options import add_bundle, add_command
from gatekeeper.errors import ImageError

_EXAMPLE = """  gatekeeper decide runs/demo/bundle photo.png another.jpg
  gatekeeper decide shipped:small-resnet-fashion-mnist photo.png --json"""

_BAD = 2


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(commands, "decide", "decide image files, one line each", _EXAMPLE)
    add_bundle(parser)
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="PNG, JPEG or WebP files")
    parser.add_argument("--json", action="store_true", help="one JSON document per line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; a bad image is reported and the others are still decided."""
    from gatekeeper.pipeline import Gatekeeper

    gatekeeper = Gatekeeper.load(resolve_bundle(arguments.bundle))
    failed = False
    for path in arguments.images:
        try:
            body = gatekeeper.decide_one(path).to_json(gatekeeper.class_names)
        except ImageError as error:
            sys.stderr.write(f"{path}: {error.reason}: {error}\n")
            failed = True
            continue
        line = json.dumps({"image": path, **body}) if arguments.json else _line(path, body)
        sys.stdout.write(f"{line}\n")
    return _BAD if failed else 0


def _line(path: str, body: dict[str, Any]) -> str:
    tried = " → ".join(
        f"{attempt['restorer'] or 'raw'}: {attempt['class_name']} {attempt['reliability']:.3f}"
        for attempt in body["attempts"]
    )
    answer = body["class_name"] or "no label"
    return (
        f"{path}: {body['action']} {answer} (reliability {body['reliability']:.3f}; {tried}) "
        f"{body['reason']} {body['reason_text']}"
        + (f" Seen: {'; '.join(body['symptoms'])}." if body["symptoms"] else "")
    )
