"""Which port shows what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gatekeeper.service.surfaces import is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False),  # noqa: S104
     ("::", False), ("10.0.0.1", False), ("example.org", False)],
)  # fmt: skip
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


@pytest.mark.parametrize(
    ("host", "admin_port", "status"),
    [("127.0.0.1", 0, 200), ("0.0.0.0", 0, 404), ("127.0.0.1", 9, 404)],  # noqa: S104
)
def test_metrics_stay_at_home(
    start: Callable[..., TestClient], fake: Any, host: str, admin_port: int, status: int
) -> None:
    client = start(lambda: fake, host=host, admin_port=admin_port)
    for path in ("/metrics", "/console", "/console/static/console.css", "/console/api/traffic"):
        assert client.get(path).status_code == status
    assert client.get("/consoles").status_code == 404
    assert client.get("/healthz").status_code == 200


def test_the_admin_port_shows_metrics_and_decides_nothing(
    start: Callable[..., TestClient], fake: Any
) -> None:
    client = start(lambda: fake, admin_port=9)
    admin = TestClient(client.app, base_url="http://admin:9")
    assert admin.get("/metrics").status_code == 200
    assert admin.get("/console").status_code == 200
    assert admin.get("/healthz").status_code == 200
    for path in ("/v1/decide", "/v2", "/docs"):
        assert admin.get(path).status_code == 404
    assert admin.post("/v1/decide", content=b"x").status_code == 404
