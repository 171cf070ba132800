"""``gatekeeper serve --engine ray``: the same service before the stages on a Ray cluster."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatekeeper.settings import Settings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Enter the engine and what belongs to Ray."""
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: stages on a Ray cluster, which must see BUNDLE, a directory (extra [ray])",
    )
    ray = parser.add_argument_group("with --engine ray")
    ray.add_argument("--address", help="of a running cluster (default: start one here)")
    ray.add_argument("--replicas", type=int, default=1, help="workers for first looks")
    ray.add_argument("--restore-replicas", type=int, default=1, help="workers for restorations")
    ray.add_argument("--cpus", type=float, default=1.0, help="cores per worker")
    ray.add_argument("--gpus", type=float, default=0.0, help="GPUs per worker for first looks")
    ray.add_argument("--restore-gpus", type=float, default=0.0, help="the same for restorations")


def serve_on_ray(arguments: argparse.Namespace, bundle: Path, settings: Settings) -> int:
    """Run the service until it is told to stop.

    Args:
        arguments: With the options of :func:`add_options`.
        bundle: Directory of the bundle.
        settings: Of the service.

    Returns:
        Exit code.

    Raises:
        InputError: Ray is not installed, a number is out of range, or the cluster is too small.
        DataError: no cluster answers.
    """
    from gatekeeper.scale import RayServeOptions, ray_serving, settings_for
    from gatekeeper.service import serve

    options = RayServeOptions(
        address=arguments.address,
        replicas=arguments.replicas,
        restore_replicas=arguments.restore_replicas,
        cpus=arguments.cpus,
        gpus=arguments.gpus,
        restore_gpus=arguments.restore_gpus,
    )
    with ray_serving(bundle, options) as load:
        return serve(load, settings_for(settings, options))
