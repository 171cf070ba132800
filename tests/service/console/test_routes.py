"""What the page learns at its start and of live traffic, over a fake gatekeeper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient


@pytest.fixture
def client(
    start: Callable[..., TestClient], fake: Any, eventually: Callable[..., None]
) -> TestClient:
    client = start(lambda: fake)
    eventually(lambda: client.get("/readyz").status_code == 200)
    return client


def test_setup_of_what_is_no_gatekeeper_from_a_bundle(client: TestClient, fake: Any) -> None:
    body = client.get("/console/api/setup").json()
    assert body["class_names"] == ["shirt", "bag"]
    assert body["image_size"] == [8, 5]
    assert (body["accept_raw_at"], body["accept_restored_at"]) == (None, None)
    assert (body["samples"], body["reports"], body["reviews"]) == ([], [], False)
    assert body["certificate"]["target_risk"] == 0.05
    assert body["monitors"] == (client.get("/admin/monitor").status_code != 404)
    assert body["facts"] == fake.certificate
    assert body["corruptions"][-1]["group"] == "two at once"


def test_traffic_of_a_quiet_service(client: TestClient) -> None:
    body = client.get("/console/api/traffic").json()
    assert (body["gear"], body["restored_share"]) == ("full", 1.0)
    assert body["waiting"] == {"decide": 0, "restore": 0}
    assert (body["in_flight"], body["every_s"], body["engines_lost"]) == (0, 5.0, 0.0)


def test_before_it_is_ready_the_page_is_there_and_says_so(
    start: Callable[..., TestClient], fake: Any
) -> None:
    fake.gate.clear()
    client = start(lambda: fake)
    assert client.get("/console").status_code == 200
    for path in ("/console/api/setup", "/console/reports/report.html"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
    fake.gate.set()


def test_the_console_is_no_part_of_the_documented_api(client: TestClient) -> None:
    assert not [path for path in client.get("/openapi.json").json()["paths"] if "console" in path]
