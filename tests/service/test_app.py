"""The whole app: readiness, decisions, concurrency, bugs, what every answer carries."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
from fastapi.testclient import TestClient

import gatekeeper
from gatekeeper.errors import BundleError

PNG = {"Content-Type": "image/png"}


def test_decision_is_complete(client: TestClient, image_file: Callable[..., bytes]) -> None:
    data = image_file(size=(6, 4), grey=255)
    answer = client.post("/v1/decide", content=data, headers=PNG)
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("duration_ms") >= 0
    assert re.fullmatch("[0-9a-f]{32}", body.pop("decision_id"))
    assert body.pop("sample")["probability"] == 0.01
    assert body == {
        "action": "accept",
        "reason": "GK100",
        "reason_text": "The answer on the image as received is reliable enough.",
        "label": 1,
        "class_name": "bag",
        "reliability": 0.96,
        "attempts": [
            {
                "restorer": None,
                "label": 1,
                "class_name": "bag",
                "reliability": 0.97,
                "action": "accept",
            }
        ],
        "policy": "full",
        "certified": True,
        "model_id": "fake@1",
        "calibration_id": "b" * 64,
        "symptoms": ["overexposed"],
        "gear": "full",
        "degraded": [],
        "image": {"width": 6, "height": 4, "sha256": sha256(data).hexdigest()},
        "upstream": None,
        "versions": {
            "gatekeeper": gatekeeper.__version__,
            "bundle": "b" * 64,
            "classifier": "fake@1",
            "version": None,
        },
        "certificate": {
            "certified": True,
            "target_risk": 0.05,
            "confidence_level": 0.95,
            "withdrawn": None,
        },
    }


def test_abstention_shows_each_attempt(
    client: TestClient, image_file: Callable[..., bytes]
) -> None:
    body = client.post("/v1/decide", content=image_file(grey=0), headers=PNG).json()
    assert (body["action"], body["label"], body["class_name"]) == ("abstain", None, None)
    assert [(a["restorer"], a["class_name"], a["action"]) for a in body["attempts"]] == [
        (None, "shirt", "restore"),
        ("median", "bag", "abstain"),
    ]


@pytest.mark.parametrize(
    ("format_", "declared"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("WEBP", "image/webp"),
        ("PNG", "application/octet-stream"),
        ("PNG", "IMAGE/PNG; name=x"),
        ("JPEG", "image/png"),
    ],
)
def test_accepted_types(
    client: TestClient, image_file: Callable[..., bytes], format_: str, declared: str
) -> None:
    data = image_file(format_=format_)
    answer = client.post("/v1/decide", content=data, headers={"Content-Type": declared})
    assert (answer.status_code, answer.json()["label"]) == (200, 1)


def test_ready_only_after_load_and_canary(
    start: Callable[..., TestClient],
    fake: Any,
    image_file: Callable[..., bytes],
    eventually: Callable[..., None],
) -> None:
    hashes_verified = threading.Event()

    def load() -> Any:
        assert hashes_verified.wait(10)
        return fake

    fake.gate.clear()
    client = start(load)

    def state() -> tuple[int, int, int]:
        decided = client.post("/v1/decide", content=image_file(), headers=PNG)
        return (
            client.get("/healthz").status_code,
            client.get("/readyz").status_code,
            decided.status_code,
        )

    assert state() == (200, 503, 503)
    refusal = client.get("/readyz")
    assert refusal.json()["error"]["code"] == "not_ready"
    assert refusal.headers["Retry-After"] == "1"
    assert refusal.headers["X-Gatekeeper-Bundle"] == "none"

    hashes_verified.set()
    assert fake.entered.acquire(timeout=10)  # the canary image is being decided
    assert (state(), fake.canaries) == ((200, 503, 503), 1)
    assert "gatekeeper_ready 0.0" in client.get("/metrics").text

    fake.gate.set()
    eventually(lambda: client.get("/readyz").status_code == 200)
    assert state() == (200, 200, 200)
    assert "gatekeeper_ready 1.0" in client.get("/metrics").text
    assert client.get("/readyz").json() == {
        "ready": True,
        "degraded": [],
        "versions": {
            "gatekeeper": gatekeeper.__version__,
            "bundle": "b" * 64,
            "classifier": "fake@1",
            "version": None,
        },
        "certificate": {
            "certified": True,
            "target_risk": 0.05,
            "confidence_level": 0.95,
            "withdrawn": None,
        },
    }


def failed(start: Callable[..., TestClient], load: Callable[[], Any], eventually: Any) -> str:
    """The sentence of /readyz after loading failed."""
    client = start(load)
    eventually(lambda: "no bundle is loaded" in client.get("/readyz").text)
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    message: str = client.get("/readyz").json()["error"]["message"]
    return message


def test_a_changed_bundle_is_named(
    start: Callable[..., TestClient], eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def load() -> Any:
        raise BundleError("expected the listed sha256 of gate.json, got another: fetch it again")

    assert failed(start, load, eventually).endswith("got another: fetch it again")
    assert "expected the listed sha256 of gate.json" in caplog.text


def test_an_unexpected_load_failure_shows_no_internals(
    start: Callable[..., TestClient], eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def load() -> Any:
        raise KeyError("secret")

    assert "secret" not in failed(start, load, eventually)
    assert "secret" in caplog.text


def test_a_canary_that_cannot_be_decided_is_a_failure(
    start: Callable[..., TestClient], eventually: Any, fake: Any
) -> None:
    fake.error = RuntimeError("weights of another shape")
    assert "unexpected" in failed(start, lambda: fake, eventually)


def test_a_certificate_without_its_figures_is_a_failure(
    start: Callable[..., TestClient], eventually: Any, fake: Any
) -> None:
    del fake.certificate["target_risk"]
    assert "got none of target_risk" in failed(start, lambda: fake, eventually)


def test_decisions_do_not_overlap_and_leave_the_loop_free(
    client: TestClient, fake: Any, image_file: Callable[..., bytes]
) -> None:
    fake.entered.acquire(timeout=10)  # the canary's
    fake.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        answers = [
            pool.submit(client.post, "/v1/decide", content=image_file(grey=grey), headers=PNG)
            for grey in (0, 255)
        ]
        assert fake.entered.acquire(timeout=10)
        assert client.get("/healthz").status_code == 200  # while the engine is busy
        fake.gate.set()
        actions = [answer.result(10).json()["action"] for answer in answers]
    assert actions == ["abstain", "accept"]
    assert fake.overlaps == 0
    assert len(fake.threads) == 1


def test_at_the_bound_a_request_is_told_to_come_back(
    client: TestClient, fake: Any, image_file: Callable[..., bytes], eventually: Any
) -> None:
    fake.gate.clear()

    def post() -> Any:
        return client.post("/v1/decide", content=image_file(), headers=PNG)

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(post) for _ in range(2)]
        eventually(lambda: "gatekeeper_in_flight 2.0" in client.get("/metrics").text)
        shed = post()
        fake.gate.set()
        assert [answer.result(10).status_code for answer in answers] == [200, 200]
    assert (shed.status_code, shed.headers["Retry-After"]) == (429, "1")
    assert shed.json()["error"]["code"] == "too_busy"
    assert post().status_code == 200  # places are given back
    assert "gatekeeper_in_flight 0.0" in client.get("/metrics").text


def test_places_are_given_back_after_refusals(
    client: TestClient, image_file: Callable[..., bytes]
) -> None:
    for _ in range(5):
        assert client.post("/v1/decide", content=b"no", headers=PNG).status_code == 422
    assert client.post("/v1/decide", content=image_file(), headers=PNG).status_code == 200


@pytest.mark.parametrize("policy", ["reject", "abstain", "pass_flagged"])
def test_a_failing_stage_is_told_by_its_policy_and_without_internals(
    start: Callable[..., TestClient],
    fake: Any,
    image_file: Callable[..., bytes],
    eventually: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    policy: str,
) -> None:
    client = start(lambda: fake, on_decide_error=policy)
    eventually(lambda: client.get("/readyz").status_code == 200)
    fake.error = RuntimeError("/srv/secret/weights.safetensors")
    answer = client.post(
        "/v1/decide", content=image_file(), headers={**PNG, "X-Request-ID": "find-me"}
    )
    assert "secret" not in answer.text + str(answer.headers)
    assert "/srv/secret" in caplog.text
    if policy == "abstain":
        body = answer.json()
        assert (answer.status_code, body["action"], body["label"]) == (200, "abstain", None)
        assert (body["reason"], body["certified"], body["attempts"]) == ("GK300", False, [])
        assert body["degraded"] == ["decide_failed"]
        assert answer.headers["X-Gatekeeper-Degraded"] == "decide_failed"
        assert 'degraded_total{what="decide_failed"} 1.0' in client.get("/metrics").text
    else:  # this fake has no classifier apart from its gate, so that nothing can be passed on
        assert answer.status_code == 500
        error = answer.json()["error"]
        assert (error["code"], error["request_id"]) == ("stage_failed", "find-me")
    assert 'stage_failures_total{stage="decide"} 1.0' in client.get("/metrics").text
    fake.error = None
    assert client.post("/v1/decide", content=image_file(), headers=PNG).status_code == 200


def test_a_bug_is_a_500_without_internals(
    client: TestClient,
    fake: Any,
    image_file: Callable[..., bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake.judge = lambda _: object()  # no decision at all
    answer = client.post(
        "/v1/decide", content=image_file(), headers={**PNG, "X-Request-ID": "find-me"}
    )
    assert answer.status_code == 500
    assert answer.json()["error"] == {
        "code": "internal",
        "message": "this request met a bug in the service: report it and quote the request id",
        "request_id": "find-me",
    }
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "find-me" in record.message


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/decide", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("POST", "/v1/decide/", 404, "not_found"),
        ("GET", "/redoc", 404, "not_found"),
    ],
)
def test_wrong_addresses(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/nowhere"])
def test_every_answer_names_what_answered(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Gatekeeper-Version"] == gatekeeper.__version__
    assert headers["X-Gatekeeper-Bundle"] == "b" * 64
    assert re.fullmatch("[0-9a-f]{32}", headers["X-Request-ID"])


def test_docs_need_no_other_server(client: TestClient) -> None:
    page = client.get("/docs").text
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert any(address.endswith(".js") for address in addresses)
    for address in addresses:
        assert address.startswith("/")
        assert client.get(address).status_code == 200
    assert "http://" not in page
    assert "https://" not in page


def test_two_apps_count_for_themselves(
    start: Callable[..., TestClient], fake: Any, image_file: Callable[..., bytes], eventually: Any
) -> None:
    one, two = start(lambda: fake), start(lambda: fake)
    eventually(lambda: one.get("/readyz").status_code == two.get("/readyz").status_code == 200)
    one.post("/v1/decide", content=image_file(), headers=PNG)
    assert "gatekeeper_reliability_count 1.0" in one.get("/metrics").text
    assert "gatekeeper_reliability_count 0.0" in two.get("/metrics").text
