"""What the page learns at its start and of live traffic, over a fake gatekeeper."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
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


def test_a_page_of_another_origin_cannot_post_without_being_asked(client: TestClient) -> None:
    for path in ("try", "sweep", "review/label", "review/skip"):
        for form in ("text/plain", "application/x-www-form-urlencoded"):
            answer = client.post(
                f"/console/api/{path}", content=b"{}", headers={"Content-Type": form}
            )
            assert answer.status_code == 415


def key(name: str, scope: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return (
        f'[[keys]]\nname = "{name}"\nsha256 = "{digest}"\nscopes = ["{scope}"]\n'
        "rate_per_s = 1000.0\nburst = 1000\n"
    )


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "setup", "metrics"),
        ("GET", "traffic", "metrics"),
        ("POST", "try", "infer"),
        ("POST", "sweep", "infer"),
        ("GET", "review", "feedback"),
        ("GET", "review/picture?decision_id=a", "feedback"),
        ("GET", "review/export?form=csv", "feedback"),
        ("POST", "review/label", "feedback"),
        ("POST", "review/skip", "feedback"),
    ],
)
def test_where_keys_are_asked_for_each_is_good_for_its_own_part(
    start: Callable[..., TestClient],
    fake: Any,
    tmp_path: Path,
    method: str,
    path: str,
    scope: str,
) -> None:
    scopes = ("infer", "metrics", "feedback", "admin")
    (tmp_path / "keys.toml").write_text("".join(key(f"key-{each}", each) for each in scopes))
    client = start(lambda: fake, keys_file=str(tmp_path / "keys.toml"))
    assert client.get("/console").status_code == 200  # the page itself, which asks for the key

    def status(**headers: str) -> int:
        address = f"/console/api/{path}"
        return client.request(method, address, json={}, headers=headers).status_code

    assert status() == 401
    for each in scopes:
        assert (status(**{"X-API-Key": f"key-{each}"}) == 403) == (each != scope), each
