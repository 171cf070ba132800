"""One Ray cluster of two nodes on the loopback, started once for all tests here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
STORE_BYTES = 80_000_000


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Its address; this process is connected to it."""
    with pytest.MonkeyPatch.context() as patch:
        # Read when Ray is imported, and by every process of the cluster.
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        # The address of this machine is its loopback, as Ray does it on desktops.
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        patch.setenv("RAY_enable_metrics_collection", "0")
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")
        from ray.cluster_utils import Cluster

        node = {
            "num_cpus": 3,
            "node_ip_address": LOOPBACK,
            "object_store_memory": STORE_BYTES,
            "include_dashboard": False,
        }
        made = Cluster(initialize_head=True, head_node_args=node)
        made.add_node(**node)
        ray.init(address=made.address, log_to_driver=False, _node_ip_address=LOOPBACK)
        yield made.address
        ray.shutdown()
        made.shutdown()
