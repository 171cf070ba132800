"""The door to Ray: imported only when it is asked for, and never telling anyone about it."""

from __future__ import annotations

import importlib
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gatekeeper.errors import DataError, InputError

_LOOPBACK = "127.0.0.1"
_STORE_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What must be free in a cluster at once, or nothing would ever begin.

    Attributes:
        cpus: Cores, by Ray's count.
        gpus: GPUs.
    """

    cpus: float
    gpus: float = 0.0


def import_ray(part: str = "ray") -> Any:  # noqa: ANN401  # a module that may not be installed
    """The module of Ray, with its usage reports switched off.

    Args:
        part: Such as ``"ray.serve"``.

    Raises:
        InputError: it is not installed.
    """
    # Before the import, and for every process that Ray starts from here.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # By default workers run at niceness 15: beside anything else on the machine they would starve.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        return importlib.import_module(part)
    except ImportError as error:
        raise InputError(
            "expected Ray for this engine, it is not installed: pip install "
            "'vision-gatekeeper[ray]', or use --engine local"
        ) from error


@contextmanager
def connected(address: str | None, needs: Needs, *, dashboard: bool = False) -> Iterator[Any]:
    """Ray, connected to a cluster.

    The dashboard of one that is started here listens on the loopback; Ray's other ports are open to
    the network, behind Ray's own token.

    Args:
        address: Of a running cluster, such as ``"auto"`` or ``"HOST:PORT"``; None starts one on
            this machine for as long as the context lasts. A process that is connected stays so.
        needs: What must be free at once.
        dashboard: Whether one that is started here has its dashboard.

    Yields:
        The module.

    Raises:
        InputError: Ray is not installed, or the cluster is smaller than what is needed.
        DataError: no cluster answers at that address.
    """
    ray = import_ray()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address, needs, dashboard)
    try:
        _require(ray.cluster_resources(), needs)
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, address: str | None, needs: Needs, dashboard: bool) -> None:  # noqa: ANN401
    common = {"log_to_driver": False, "logging_level": logging.WARNING, "configure_logging": True}
    if address is None:
        ray.init(
            **common,
            address="local",
            # Ray counts these; it does not bind to them: more than there are only share.
            num_cpus=max(len(os.sched_getaffinity(0)), math.ceil(needs.cpus)),
            object_store_memory=_STORE_BYTES,
            include_dashboard=dashboard,
            dashboard_host=_LOOPBACK,
            _node_ip_address=_LOOPBACK,
        )
        return
    try:
        ray.init(**common, address=address)
    except ConnectionError as error:
        raise DataError(
            f"expected a Ray cluster at {address}, none answers: start one by `ray start --head`, "
            "or leave the address out"
        ) from error


def _require(have: dict[str, float], needs: Needs) -> None:
    for kind, wanted in (("CPU", needs.cpus), ("GPU", needs.gpus)):
        if have.get(kind, 0.0) < wanted:
            raise InputError(
                f"expected a cluster with {wanted:g} {kind}s for this many workers, got "
                f"{have.get(kind, 0.0):g}: ask for fewer workers or less per worker"
            )
