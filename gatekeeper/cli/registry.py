"""``gatekeeper registry``: versions in MLflow."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from gatekeeper.cli.options import add_command
from gatekeeper.errors import GatekeeperError, InputError

_EXAMPLE = """  gatekeeper registry list
  gatekeeper registry promote gate-demo 3
  gatekeeper registry rollback gate-demo
  gatekeeper registry verify models:/gate-demo@champion
  gatekeeper registry verify"""

_FAIL = 1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command and its verbs."""
    parser = add_command(
        commands, "registry", "list, promote, roll back or verify versions in MLflow", _EXAMPLE
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = add_command(
        verbs,
        "list",
        "all versions, newest first",
        "  gatekeeper registry list\n  gatekeeper registry list gate-demo --json",
    )
    listing.add_argument("name", nargs="?", help="only this model")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    listing.set_defaults(run=_list)
    promote = add_command(
        verbs,
        "promote",
        "make a certified version the champion",
        "  gatekeeper registry promote gate-demo 3",
    )
    promote.add_argument("name")
    promote.add_argument("version", type=int)
    promote.set_defaults(run=_promote)
    rollback = add_command(
        verbs,
        "rollback",
        "make the former champion the champion again",
        "  gatekeeper registry rollback gate-demo",
    )
    rollback.add_argument("name")
    rollback.set_defaults(run=_rollback)
    verify = add_command(
        verbs,
        "verify",
        "check hashes and golden set of a bundle, or count certificates again",
        "  gatekeeper registry verify models:/gate-demo@champion\n"
        "  gatekeeper registry verify runs/demo/bundle --data auto\n"
        "  gatekeeper registry verify runs/mine/bundle --data folder:mine --recipe mine.toml\n"
        "  gatekeeper registry verify",
    )
    verify.add_argument(
        "bundle",
        metavar="BUNDLE",
        nargs="?",
        help="a directory, shipped:ID or models:/…; without one, all certificates that ship are "
        "counted again from their data",
    )
    verify.add_argument(
        "--data", metavar="SPEC", help="count the certificate again from these data"
    )
    verify.add_argument("--data-dir", type=Path, help="folder to look for the data in first")
    verify.add_argument(
        "--recipe",
        type=Path,
        metavar="TOML",
        help="also choose the switch margin again and fit router, trust and arbiter again, by the "
        "recipe that the bundle was fitted with; bundles that ship know theirs",
    )
    verify.add_argument("--json", action="store_true", help="one JSON document")
    verify.set_defaults(run=_verify)


def _list(arguments: argparse.Namespace) -> int:
    from gatekeeper.tracking import Registry, TrackingStore

    registry = Registry(TrackingStore.from_environment())
    names = [arguments.name] if arguments.name else registry.list_names()
    versions = [version for name in names for version in registry.list_versions(name)]
    if arguments.json:
        body = [
            {"uri": v.uri, "aliases": list(v.aliases), "tags": dict(v.tags), "run_id": v.run_id}
            for v in versions
        ]
        sys.stdout.write(json.dumps(body, indent=1) + "\n")
        return 0
    for version in versions:
        sys.stdout.write(f"{version.uri}\t{', '.join(version.aliases) or '-'}\n")
    if not versions:
        sys.stderr.write("no version is registered yet; `gatekeeper demo` registers one\n")
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    from gatekeeper.tracking import Registry, TrackingStore, promote_checked

    registry = Registry(TrackingStore.from_environment())
    promoted = promote_checked(registry, arguments.name, arguments.version)
    sys.stdout.write(f"{promoted.uri} is champion\n")
    return 0


def _rollback(arguments: argparse.Namespace) -> int:
    from gatekeeper.tracking import Registry, TrackingStore

    champion = Registry(TrackingStore.from_environment()).rollback(arguments.name)
    sys.stdout.write(f"{champion.uri} is champion again\n")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from gatekeeper.cli.bundles import resolve_bundle
    from gatekeeper.golden import check_golden

    if arguments.recipe is not None and (arguments.bundle is None or arguments.data is None):
        raise InputError(
            "expected a bundle and --data with --recipe, which is that of one bundle: name all "
            "three"
        )
    if arguments.bundle is None or arguments.data is not None:
        from gatekeeper.cli.recounts import verify_certificates

        return verify_certificates(arguments)
    directory = resolve_bundle(arguments.bundle)
    problem = None
    try:
        check_golden(directory)
    except GatekeeperError as error:
        problem = str(error)
    if arguments.json:
        body = {"bundle": arguments.bundle, "passed": problem is None, "problem": problem}
        sys.stdout.write(json.dumps(body) + "\n")
    else:
        about = f"PASS: hashes and golden set of {arguments.bundle}"
        sys.stdout.write(f"{about if problem is None else f'FAIL: {problem}'}\n")
    return 0 if problem is None else _FAIL
