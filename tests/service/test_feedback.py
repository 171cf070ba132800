"""Labels over HTTP: what they change, what they never change, and what replies say afterwards."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gatekeeper.service.book import draw_of
from tests.service.conftest import FakeGatekeeper, encoded, wait_until

PNG = {"Content-Type": "image/png"}


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path))


@pytest.fixture
def serving(start: Callable[..., TestClient], fake: FakeGatekeeper) -> Callable[..., TestClient]:
    """``serving(**settings)``: a ready client; every accepted answer is drawn by default."""

    def serve(**settings: Any) -> TestClient:
        client = start(lambda: fake, **{"feedback_share": 1.0, **settings})
        wait_until(lambda: client.get("/readyz").status_code == 200)
        return client

    return serve


def decide(client: TestClient, grey: int = 255, request_id: str = "") -> Any:
    more = {"X-Request-ID": request_id} if request_id else {}
    return client.post("/v1/decide", content=encoded(grey=grey), headers={**PNG, **more}).json()


def label(client: TestClient, label: int, **names: Any) -> Any:
    return client.post("/v1/feedback", json={"label": label, **names})


def test_a_label_of_a_drawn_accepted_answer_counts(serving: Callable[..., TestClient]) -> None:
    client = serving()
    body = decide(client)
    assert body["sample"] == {"drawn": True, "probability": 1.0}
    answer = label(client, 0, decision_id=body["decision_id"], reviewer="ann")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "decision_id": body["decision_id"],
            "bundle": "b" * 64,
            "action": "accept",
            "label": 0,
            "right": False,
            "repeated": False,
            "counted": True,
        },
    )
    again = label(client, 0, decision_id=body["decision_id"])
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    other = label(client, 1, decision_id=body["decision_id"])
    assert (other.status_code, other.json()["error"]["code"]) == (409, "label_conflict")
    risk = client.get("/admin/monitor").json()["risk"]
    assert (risk["n_labels"], risk["n_wrong"], risk["n_others"]) == (1, 1, 0)
    assert risk["threshold"] == pytest.approx(20)
    text = client.get("/metrics").text
    assert 'gatekeeper_feedback_total{use="counted"} 1.0' in text
    assert 'gatekeeper_feedback_total{use="repeated"} 1.0' in text


def test_a_label_of_an_abstention_is_kept_and_never_counts(
    serving: Callable[..., TestClient],
) -> None:
    client = serving()
    body = decide(client, grey=0)
    assert (body["action"], body["sample"]) == ("abstain", None)
    answer = label(client, 0, decision_id=body["decision_id"]).json()
    assert (answer["action"], answer["right"], answer["counted"]) == ("abstain", False, False)
    risk = client.get("/admin/monitor").json()["risk"]
    assert (risk["n_labels"], risk["n_others"], risk["e_value"]) == (0, 1, 1.0)


def test_refusals(serving: Callable[..., TestClient]) -> None:
    client = serving()
    known = decide(client, request_id="one")["decision_id"]
    batch = {"images": [b64encode(encoded()).decode()] * 2}
    client.post("/v1/decide/batch", json=batch, headers={"X-Request-ID": "two"})
    codes = [
        (label(client, 1, decision_id="nobody"), 404, "unknown_decision"),
        (label(client, 2, decision_id=known), 422, "label_out_of_range"),
        (label(client, -1, decision_id=known), 400, "malformed"),
        (label(client, 1), 400, "malformed"),
        (label(client, 1, decision_id=known, request_id="one"), 400, "malformed"),
        (label(client, 1, request_id="two"), 409, "label_conflict"),
        (client.post("/v1/feedback", content=json.dumps({})), 415, "unsupported_media_type"),
    ]
    for answer, status, code in codes:
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert label(client, 1, request_id="one").json()["decision_id"] == known


def test_wrong_labels_withdraw_the_certificate_and_a_restart_keeps_that(
    serving: Callable[..., TestClient],
) -> None:
    client = serving()
    body = decide(client)
    labels = 0
    while body["certified"]:
        assert body["certificate"]["withdrawn"] is None
        label(client, 0, decision_id=body["decision_id"])
        labels += 1
        body = decide(client)
    assert 2 <= labels <= 10  # the odds ratio of an error at a risk of 0.05 is large
    assert body["action"] == "accept"
    assert body["certificate"]["certified"] is False
    assert body["certificate"]["withdrawn"].startswith(f"Withdrawn at label {labels}")
    assert client.get("/readyz").json()["certificate"] == body["certificate"]
    assert 'certified="false"' in client.get("/metrics").text
    wait_until(lambda: "gatekeeper_certificate_withdrawn 1.0" in client.get("/metrics").text)

    again = serving()
    after = decide(again)
    assert (after["certified"], after["certificate"]) == (False, body["certificate"])
    assert label(again, 0, decision_id=body["decision_id"]).json()["counted"] is True


def test_the_sample_is_drawn_by_image_and_request_as_often_as_declared(
    serving: Callable[..., TestClient],
) -> None:
    draws = [draw_of("d" * 64, f"request {number}") for number in range(2000)]
    assert 0 <= min(draws) <= max(draws) < 1
    assert sum(draw < 0.1 for draw in draws) == pytest.approx(200, abs=40)  # 3 deviations
    assert draw_of("d" * 64, "request 0") == draws[0] != draw_of("e" * 64, "request 0")
    client = serving(feedback_share=0.5)
    for number in range(6):
        body = decide(client, request_id=f"r{number}")
        drawn = draw_of(body["image"]["sha256"], f"r{number}") < 0.5
        assert body["sample"] == {"drawn": drawn, "probability": 0.5}
        counted = label(client, 1, decision_id=body["decision_id"]).json()["counted"]
        assert counted is drawn


def test_without_a_ledger_nothing_is_drawn_and_no_label_is_taken(
    serving: Callable[..., TestClient], tmp_path: Path
) -> None:
    client = serving(ledger_decisions=0)
    body = decide(client)
    assert body["sample"] is None
    answer = label(client, 1, decision_id=body["decision_id"])
    assert answer.status_code == 404
    assert "GATEKEEPER_LEDGER_DECISIONS" in answer.json()["error"]["message"]
    monitor = client.get("/admin/monitor").json()
    assert monitor["risk"] is monitor["traffic"] is monitor["sampling_share"] is None
    assert not list(tmp_path.iterdir())
