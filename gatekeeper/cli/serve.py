"""``gatekeeper serve``: the HTTP service."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from gatekeeper.cli.bundles import resolve_bundle
from gatekeeper.cli.options import add_bundle, add_command
from gatekeeper.cli.serve_on_ray import add_options, serve_on_ray

if TYPE_CHECKING:
    from gatekeeper.service import Follow, Load

_EXAMPLE = """  gatekeeper serve runs/demo/bundle --port 8080
  gatekeeper serve models:/gate-demo@champion
  curl --data-binary @photo.png -H 'Content-Type: image/png' http://127.0.0.1:8080/v1/decide"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Enter the command."""
    parser = add_command(commands, "serve", "serve a bundle over HTTP", _EXAMPLE)
    add_bundle(parser)
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 8080)")
    parser.add_argument("--admin-port", type=int, help="port of this machine for metrics")
    parser.add_argument("--keys", metavar="FILE", help="TOML file of API keys")
    parser.add_argument(
        "--upstream", metavar="FILE", help="TOML file of a classifier to forward images to"
    )
    parser.add_argument("--audit", metavar="DIR", help="folder for the audit log")
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command until it is told to stop."""
    from gatekeeper.service import serve
    from gatekeeper.settings import Settings

    settings = Settings.from_env(os.environ)
    given = {
        "host": arguments.host,
        "port": arguments.port,
        "admin_port": arguments.admin_port,
        "keys_file": arguments.keys,
        "audit_dir": arguments.audit,
        "upstream_file": arguments.upstream,
    }
    settings = replace(settings, **{k: v for k, v in given.items() if v is not None})
    if arguments.engine == "ray":
        return serve_on_ray(arguments, resolve_bundle(arguments.bundle), settings)
    return serve(_what(arguments.bundle), settings)


def _what(bundle: str) -> Load | Follow:
    """What is served: a directory as it is, or whatever an alias of the registry means."""
    from gatekeeper.pipeline import Gatekeeper

    if not bundle.startswith("models:/"):
        path = resolve_bundle(bundle)
        return lambda: Gatekeeper.load(path)
    from gatekeeper.golden import check_golden
    from gatekeeper.service import Follow
    from gatekeeper.tracking import Registry, ServedAlias, ServingRun, TrackingStore

    store = TrackingStore.from_environment()
    return Follow(
        source=ServedAlias(Registry(store), bundle),
        load=Gatekeeper.load,
        check=check_golden,
        sink=ServingRun(store),
    )
