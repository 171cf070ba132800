"""``gatekeeper serve``: the HTTP service."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from gatekeeper.cli.bundles import resolve_bundle
from gatekeeper.cli.options import add_bundle, add_command

_EXAMPLE = """  gatekeeper serve runs/demo/bundle --port 8080
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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command until it is told to stop."""
    from gatekeeper.pipeline import Gatekeeper
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
    path = resolve_bundle(arguments.bundle)
    return serve(lambda: Gatekeeper.load(path), settings)
