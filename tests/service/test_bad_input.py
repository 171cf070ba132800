"""Every bad input of the list, through both protocols: the right status, a reason, never a 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gatekeeper.service import create_app
from gatekeeper.settings import Settings
from tests.service.bad_images import ACCEPTED, BadImage, bad_images, photo, saved
from tests.service.bad_requests import INFER, LENGTH, MAX_BODY, BadRequest, bad_requests
from tests.service.conftest import FakeGatekeeper, wait_until

IMAGES = bad_images()
REQUESTS = bad_requests()
PNG = {"Content-Type": "image/png"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
CODES = {400: "malformed", 413: "body_too_large", 415: "unsupported_media_type"}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """One app for all of it: what one request leaves behind would show in the next."""
    app = create_app(Settings(max_body_bytes=MAX_BODY), FakeGatekeeper)
    with TestClient(app) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield client


def raw(client: TestClient, data: bytes) -> Any:
    """One file as a raw request of the Open Inference Protocol."""
    return client.post(INFER, content=data, headers={LENGTH: "0"})


@pytest.mark.parametrize("case", IMAGES, ids=lambda case: case.name)
def test_images(client: TestClient, case: BadImage) -> None:
    native = client.post("/v1/decide", content=case.data, headers=PNG)
    protocol = raw(client, case.data)
    if native.status_code == 200:
        assert ACCEPTED in case.expected
        assert protocol.status_code == 200
    else:
        error = native.json()["error"]
        assert (native.status_code, error["code"]) == (422, "undecodable_image")
        assert error["reason"] in case.expected
        assert (protocol.status_code, protocol.json()) == (400, {"error": error["message"]})


def test_the_list_of_images_is_whole() -> None:
    expected = {reason for case in IMAGES for reason in case.expected}
    assert expected == {
        "accepted", "unsupported_format", "truncated", "corrupt", "animated", "too_many_parts",
        "too_many_pixels", "too_long_side", "extreme_aspect",
    }  # fmt: skip
    assert len({case.name for case in IMAGES}) == len(IMAGES) > 100


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: f"{case.path}: {case.name}")
def test_requests(client: TestClient, case: BadRequest) -> None:
    answer = client.post(case.path, content=case.body, headers=list(case.headers))
    error = answer.json()["error"]
    assert answer.status_code == case.status
    if case.path == INFER:
        assert case.words in error
    else:
        assert error["code"] == CODES[case.status]
        assert case.words in error["message"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_decided_alike_however_its_camera_was_held(
    client: TestClient, orientation: int
) -> None:
    from PIL import Image

    # What brings the picture upright, undone: transposing is its own inverse, 90° turns are not.
    stored = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = photo() if stored is None else photo().transpose(stored)
    bodies = [
        client.post("/v1/decide", content=data, headers=PNG).json()
        for data in (saved(photo(), "PNG"), saved(turned, "PNG", exif=exif))
    ]
    for body in bodies:
        del body["image"]["sha256"]
        for own in ("duration_ms", "decision_id", "sample"):  # each answer's own
            body.pop(own, None)
    assert bodies[0] == bodies[1]
    assert (bodies[0]["image"]["width"], bodies[0]["image"]["height"]) == (60, 40)


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..", "a%00b", "%00", "%ff%fe",
        "http:%2f%2fexample.org%2fmodel", "models:%2fname", "a" * 20_000, "%F0%9F%92%A3", "~root",
        "gatekeeper%20", "GATEKEEPER", "gatekeeper;x", "gatekeeper%0d%0aX-A:%20b",
    ],
)  # fmt: skip
def test_names_of_models_are_compared_and_nothing_else(client: TestClient, name: str) -> None:
    for path in (
        f"/v2/models/{name}",
        f"/v2/models/{name}/ready",
        f"/v2/models/gatekeeper/versions/{name}",
    ):
        answer = client.get(path)
        assert answer.status_code == 404
        assert isinstance(answer.json()["error"], str | dict)
    posted = client.post(f"/v2/models/{name}/infer", content=b"{}")
    assert posted.status_code == 404
    assert "X-A" not in posted.headers


def routes() -> list[str]:
    app = create_app(Settings(), FakeGatekeeper)
    paths = app.openapi()["paths"]
    return [path.replace("{model}", "gatekeeper").replace("{version}", "1") for path in paths]


@pytest.mark.parametrize("path", [*routes(), "/", "/docs", "/openapi.json", "//", "/v2//", "/%00"])
def test_every_method_on_every_address(client: TestClient, path: str) -> None:
    for method in METHODS:
        answer = client.request(method, path)
        assert answer.status_code in {200, 400, 404, 405, 415}
        if answer.status_code == 405:
            assert answer.headers["Allow"]


def test_after_all_that_it_still_decides(client: TestClient) -> None:
    for _ in range(100):  # nothing is left of requests that are refused, the broken gzip among them
        broken = client.post(INFER, content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
        assert broken.status_code == 400
    good = raw(client, saved(photo(), "PNG"))
    assert good.status_code == 200
    assert "gatekeeper_in_flight 0.0" in client.get("/metrics").text
    head = json.loads(good.content[: int(good.headers[LENGTH])])
    assert head["model_name"] == "gatekeeper"
