"""Labelling over HTTP: what waits, its picture, its label, the export; nothing told too early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pyarrow import parquet

from gatekeeper.review import Candidate, Capture, ReviewQueue
from gatekeeper.service.console.review_routes import REVIEW_API, make_review_router
from gatekeeper.service.errors import MalformedRequestError

NAMES = ("shirt", "bag", "boot")


class Aside:
    """A host that knows classes and runs at once what it is given."""

    def loaded(self) -> Any:
        return SimpleNamespace(class_names=NAMES)

    async def aside(self, work: Callable[[], Any]) -> Any:
        return work()


def client_of(capture: Capture | None) -> TestClient:
    app = FastAPI()
    app.include_router(make_review_router(Aside(), capture))
    return TestClient(app)


def candidate(decision_id: str, grey: float, **changes: Any) -> Candidate:
    given = {
        "decision_id": decision_id,
        "image": torch.full((3, 4, 5), grey),
        "kind": "abstained",
        "probability": 1.0,
        "answer": 1,
        "reliability": 0.25,
        "reason": "GK220",
        "bundle": "b" * 64,
    }
    return Candidate(**{**given, **changes})


@pytest.fixture
def review(tmp_path: Path) -> Iterator[ReviewQueue]:
    queue = ReviewQueue(tmp_path, max_images=9)
    queue.take(candidate("a/../1", 0.2))
    queue.take(candidate("b", 0.4, kind="accepted", probability=0.01, reliability=0.9))
    yield queue
    queue.close()


@pytest.fixture
def client(review: ReviewQueue) -> TestClient:
    return client_of(SimpleNamespace(review=review))


def test_what_waits_is_told_without_the_answer(client: TestClient) -> None:
    body = client.get(REVIEW_API).json()
    assert (body["enabled"], body["class_names"]) == (True, list(NAMES))
    assert (body["abstained"], body["accepted"], body["labelled"]) == (1, 1, 0)
    assert (body["max_images"], body["keep_days"], body["share"]) == (9, 30.0, 1.0)
    assert {each["decision_id"] for each in body["next"]} == {"a/../1", "b"}
    assert {key for each in body["next"] for key in each} == {"decision_id", "taken"}


def test_a_picture_is_never_cached(client: TestClient) -> None:
    answer = client.get(f"{REVIEW_API}/picture", params={"decision_id": "a/../1"})
    assert answer.content == candidate("x", 0.2).png()
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == (
        "image/png", "no-store",
    )  # fmt: skip
    assert client.get(f"{REVIEW_API}/picture", params={"decision_id": "c"}).status_code == 404


def test_a_label_tells_what_the_classifier_had_said(
    client: TestClient, review: ReviewQueue
) -> None:
    body = {"decision_id": "b", "label": 2, "reviewer": "ann"}
    told = client.post(f"{REVIEW_API}/label", json=body).json()
    assert told == {
        "decision_id": "b", "kind": "accepted", "label": 2, "class_name": "boot",
        "answered_class": "bag", "right": False, "reliability": 0.9, "probability": 0.01,
    }  # fmt: skip
    assert review.item("b").reviewer == "ann"
    right = client.post(f"{REVIEW_API}/label", json={"decision_id": "a/../1", "label": 1}).json()
    assert (right["kind"], right["right"]) == ("abstained", True)
    assert client.get(REVIEW_API).json()["next"] == []


def test_an_answer_that_there_is_none_of_is_neither_right_nor_wrong(
    client: TestClient, review: ReviewQueue
) -> None:
    review.take(candidate("c", 0.6, answer=None, reliability=0.0))
    told = client.post(f"{REVIEW_API}/label", json={"decision_id": "c", "label": 0}).json()
    assert (told["answered_class"], told["right"]) == (None, None)


def test_skipping_puts_an_image_at_the_end(client: TestClient) -> None:
    first, second = (each["decision_id"] for each in client.get(REVIEW_API).json()["next"])
    assert client.post(f"{REVIEW_API}/skip", json={"decision_id": first}).json() == {}
    assert [each["decision_id"] for each in client.get(REVIEW_API).json()["next"]] == [
        second,
        first,
    ]


def test_both_exports(client: TestClient) -> None:
    client.post(f"{REVIEW_API}/label", json={"decision_id": "b", "label": 2})
    table = client.get(f"{REVIEW_API}/export", params={"form": "csv"})
    assert table.headers["content-disposition"] == 'attachment; filename="gatekeeper-labels.csv"'
    assert table.text.splitlines()[1].startswith("b,accepted,2,boot,1,bag,0.9,GK220,")
    table = client.get(f"{REVIEW_API}/export", params={"form": "parquet"})
    [row] = parquet.read_table(BytesIO(table.content)).to_pylist()
    assert (row["weight"], row["may_certify"]) == (100.0, True)


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("label", {"decision_id": "b", "label": 3}),
        ("label", {"decision_id": "b", "label": -1}),
        ("label", {"decision_id": "b"}),
        ("label", {"decision_id": "b", "label": 1, "reviewer": "x" * 65}),
        ("skip", {"decision_id": ""}),
        ("skip", {"decision_id": "b", "more": 1}),
    ],
)
def test_bodies_that_are_none(client: TestClient, what: str, body: dict[str, Any]) -> None:
    with pytest.raises(MalformedRequestError):
        client.post(f"{REVIEW_API}/{what}", json=body)


def test_what_is_gone_is_404(client: TestClient) -> None:
    for what, body in (("label", {"decision_id": "c", "label": 1}), ("skip", {"decision_id": "c"})):
        assert client.post(f"{REVIEW_API}/{what}", json=body).status_code == 404


def test_without_a_queue_only_that_is_told() -> None:
    client = client_of(None)
    body = client.get(REVIEW_API).json()
    assert (body["enabled"], body["next"], body["max_images"]) == (False, [], 0)
    assert client.get(f"{REVIEW_API}/picture", params={"decision_id": "b"}).status_code == 404
    assert client.get(f"{REVIEW_API}/export", params={"form": "csv"}).status_code == 404
    for what in ("label", "skip"):
        assert client.post(f"{REVIEW_API}/{what}", json={"decision_id": "b"}).status_code == 404
