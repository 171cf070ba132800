"""Trying out over a fake gatekeeper: conditions, refusals, timings, and that it is no traffic."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.images import seeds_for, tensor_digests
from gatekeeper.service.console.trial import corrupted


@pytest.fixture
def client(
    start: Callable[..., TestClient], fake: Any, eventually: Callable[..., None]
) -> TestClient:
    client = start(lambda: fake, max_body_bytes=4000)
    eventually(lambda: client.get("/readyz").status_code == 200)
    return client


def ask(client: TestClient, image: bytes, what: str = "try", **condition: Any) -> Any:
    body = {"image": base64.b64encode(image).decode(), **condition}
    return client.post(f"/console/api/{what}", json=body)


def test_a_bright_image_as_it_is(client: TestClient, image_file: Callable[..., bytes]) -> None:
    answer = ask(client, image_file((60, 30)))
    assert answer.status_code == 200
    body = answer.json()
    decision = body["decision"]
    assert (decision["action"], decision["class_name"]) == ("accept", "bag")
    assert (decision["image"]["width"], decision["image"]["height"]) == (60, 30)
    assert body["received"] == body["original"]
    assert body["restored"] == [None]
    parts = [timing["part"] for timing in body["timings"]]
    assert parts == ["decode", "waiting", "first look", "pictures for this page"]
    assert decision["duration_ms"] == pytest.approx(
        sum(timing["ms"] for timing in body["timings"][1:3]), abs=0.02
    )


def test_the_same_image_darkened_and_what_was_sent_back_is_the_same_again(
    client: TestClient, image_file: Callable[..., bytes]
) -> None:
    first = ask(client, image_file(grey=200), corruption="dark", severity=5).json()
    assert first["decision"]["action"] == "abstain"
    assert first["received"] != first["original"]
    assert first["restored"] == [None, None]  # a fake restores nothing that could be shown
    assert "corrupt" in {timing["part"] for timing in first["timings"]}
    small = base64.b64decode(first["original"].partition(",")[2])
    second = ask(client, small, corruption="dark", severity=5).json()
    assert second["received"] == first["received"]
    assert second["decision"]["image"]["sha256"] == first["decision"]["image"]["sha256"]


def test_nothing_of_it_is_traffic(client: TestClient, image_file: Callable[..., bytes]) -> None:
    ask(client, image_file())
    ask(client, image_file(), "sweep", corruption="dark", severity=1)
    assert "gatekeeper_decisions_total{" not in client.get("/metrics").text


def test_a_sweep_goes_over_all_severities(
    client: TestClient, image_file: Callable[..., bytes]
) -> None:
    points = ask(client, image_file(grey=220), "sweep", corruption="dark", severity=1).json()[
        "points"
    ]
    assert [point["severity"] for point in points] == [None, 1, 2, 3, 4, 5]
    assert (points[0]["action"], points[0]["class_name"]) == ("accept", "bag")
    assert (points[5]["action"], points[5]["class_name"], points[5]["restorer"]) == (
        "abstain", None, "median",
    )  # fmt: skip
    assert (points[5]["raw_reliability"], points[5]["reliability"]) == (0.3, 0.5)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"sample": 0}, 400, "malformed"),  # a fake has no samples
        ({"image": "no base64!"}, 400, "malformed"),
        ({"image": "AAAA"}, 422, "undecodable_image"),
        ({"image": "", "corruption": "darkness", "severity": 1}, 400, "malformed"),
        ({"image": "", "corruption": "dark"}, 400, "malformed"),
        ({}, 400, "malformed"),
        ({"image": "A" * 5000}, 413, "body_too_large"),
    ],
)
@pytest.mark.parametrize("what", ["try", "sweep"])
def test_refusals(
    client: TestClient, what: str, body: dict[str, Any], status: int, code: str
) -> None:
    if what == "sweep" and "corruption" not in body and status != 413:
        status, code = 400, "malformed"  # there it is needed
    answer = client.post(f"/console/api/{what}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_failing_stage_is_shown_as_the_failure_that_it_is(
    client: TestClient, fake: Any, image_file: Callable[..., bytes]
) -> None:
    fake.error = RuntimeError("broken")
    body = ask(client, image_file()).json()
    assert (body["decision"]["reason"], body["decision"]["degraded"]) == (
        "GK300", ["decide_failed"],
    )  # fmt: skip
    assert body["restored"] == []
    [first, *_] = ask(client, image_file(), "sweep", corruption="dark", severity=1).json()["points"]
    assert (first["action"], first["reliability"], first["restorer"]) == ("abstain", 0.0, None)


def test_the_seed_of_a_corruption_is_the_images_own() -> None:
    image = torch.linspace(0, 1, 3 * 8 * 8).reshape(3, 8, 8).mul(255).round().div(255)
    seeds = seeds_for(0, tensor_digests(image[None]), "console gaussian")
    expected = CORRUPTIONS["gaussian"](image[None], severity=4, seeds=seeds)[0]
    assert torch.equal(corrupted(image, "gaussian", 4), expected)
    assert torch.equal(corrupted(image, "gaussian", 4), corrupted(image, "gaussian", 4))
    assert corrupted(image, None, None) is image
