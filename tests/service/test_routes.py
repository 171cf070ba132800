"""Bad input gets the right 4xx with a reason, and never a 500; the API describes itself."""

from __future__ import annotations

import base64
import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gatekeeper.images import DECODE_REASONS

PNG = {"Content-Type": "image/png"}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def gif() -> bytes:
    out = BytesIO()
    Image.new("P", (2, 2)).save(out, "GIF")
    return out.getvalue()


def post(client: TestClient, content: Any, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/v1/decide", content=content, headers={**PNG, **named})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00", "unsupported_format"),
        (b"this is a text, whatever its name says", "unsupported_format"),
        (gif(), "unsupported_format"),
        (SVG, "unsupported_format"),
        (png_header(60_000, 60_000), "too_long_side"),
        (png_header(16_000, 16_000), "too_many_pixels"),
        (png_header(101, 100), "too_many_pixels"),
        (png_header(2**31 - 1, 1), "too_long_side"),
        (png_header(0, 5), "corrupt"),
    ],
)
def test_bytes_that_are_no_acceptable_image(client: TestClient, data: bytes, reason: str) -> None:
    answer = post(client, data)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "undecodable_image")
    assert error["reason"] == reason
    assert error["message"].startswith("expected ")
    assert set(error) == {"code", "message", "reason", "request_id"}


def test_truncated_png(client: TestClient, image_file: Callable[..., bytes]) -> None:
    whole = image_file(size=(50, 50))
    answer = post(client, whole[: len(whole) // 2])
    assert (answer.status_code, answer.json()["error"]["reason"]) == (422, "truncated")


@pytest.mark.parametrize("content", [b"", iter([b"", b""])])
def test_empty_body(client: TestClient, content: Any) -> None:
    answer = post(client, content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "identity"}])
def test_body_of_the_largest_size_is_read(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/v1/decide", content=b"x" * 4000, headers={**PNG, **headers})
    assert answer.status_code == 422


def test_too_large_by_announcement(client: TestClient) -> None:
    answer = post(client, b"x" * 4001)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    assert answer.headers["Connection"] == "close"


def test_too_large_without_announcement(client: TestClient) -> None:
    answer = post(client, iter([b"x" * 4000, b"x"]))
    assert "Content-Length" not in answer.request.headers
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "declared",
    ["text/plain", "image/gif", "image/svg+xml", "image/tiff", "multipart/form-data", "", "png"],
)
def test_wrong_type(client: TestClient, image_file: Callable[..., bytes], declared: str) -> None:
    answer = post(client, image_file(), Content_Type=declared)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_missing_type(client: TestClient, image_file: Callable[..., bytes]) -> None:
    answer = client.post("/v1/decide", content=image_file())
    assert answer.status_code == 415
    assert "image/jpeg, image/png, image/webp, got none" in answer.json()["error"]["message"]


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_encoded_body(client: TestClient, image_file: Callable[..., bytes], encoding: str) -> None:
    answer = post(client, gzip.compress(image_file()), Content_Encoding=encoding)
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.json()["error"]["message"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x10\x00\x00\x00WEBPVP8 "]
    ),
    rest=st.binary(max_size=300),
    declared=st.sampled_from(["image/png", "application/octet-stream", "image/jpeg", "a", "\xe9"]),
)
def test_random_bytes_are_never_a_500(
    client: TestClient, start: bytes, rest: bytes, declared: str
) -> None:
    answer = client.post(
        "/v1/decide", content=start + rest, headers={"Content-Type": declared.encode("latin-1")}
    )
    assert answer.status_code in {400, 415, 422}
    if answer.status_code == 422:
        assert answer.json()["error"]["reason"] in DECODE_REASONS


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), keep=st.integers(0, 10_000))
def test_damaged_files_are_never_a_500(
    client: TestClient, image_file: Callable[..., bytes], at: int, byte: int, keep: int
) -> None:
    for format_ in ("PNG", "JPEG", "WEBP"):
        data = bytearray(image_file(size=(20, 20), format_=format_))
        data[at % len(data)] = byte
        answer = post(client, bytes(data[: 1 + keep % (2 * len(data))]))
        assert answer.status_code in {200, 422}


def test_metrics_count_what_happened(client: TestClient, image_file: Callable[..., bytes]) -> None:
    post(client, image_file(grey=255))
    post(client, image_file(grey=0))
    post(client, image_file(grey=0))
    post(client, b"text")
    client.get("/nowhere")
    client.get("/nowhere/else?a=b")
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    for line in (
        'gatekeeper_requests_total{code="200",route="/v1/decide"} 3.0',
        'gatekeeper_requests_total{code="422",route="/v1/decide"} 1.0',
        'gatekeeper_requests_total{code="404",route="other"} 2.0',
        'gatekeeper_decisions_total{action="accept",bundle="' + "b" * 64 + '",reason="GK100"} 1.0',
        'gatekeeper_decisions_total{action="abstain",bundle="' + "b" * 64 + '",reason="GK220"} 2.0',
        'gatekeeper_reliability_bucket{le="0.5"} 2.0',
        'gatekeeper_reliability_bucket{le="0.98"} 3.0',
        "gatekeeper_decide_seconds_count 3.0",
        'gatekeeper_decode_rejections_total{reason="unsupported_format"} 1.0',
        "gatekeeper_ready 1.0",
    ):
        assert line in lines
    [info] = [line for line in lines if line.startswith("gatekeeper_bundle_info{")]
    assert f'bundle="{"b" * 64}"' in info
    assert 'certified="true"' in info
    assert 'classifier="fake@1"' in info


def test_api_description_covers_every_answer(
    client: TestClient, image_file: Callable[..., bytes]
) -> None:
    api = client.get("/openapi.json").json()
    assert api["openapi"].startswith("3.1")
    model = "/v2/models/{model}"
    version = "/versions/{version}"
    assert set(api["paths"]) == {
        "/v1/decide", "/v1/decide/batch", "/v1/feedback", "/healthz", "/readyz", "/metrics", "/v2",
        "/v2/health/live", "/v2/health/ready", model, f"{model}/ready", f"{model}/infer",
        f"{model}{version}", f"{model}{version}/ready", f"{model}{version}/infer",
    }  # fmt: skip
    decide = api["paths"]["/v1/decide"]["post"]
    assert set(decide["responses"]) == {
        "200", "400", "401", "403", "408", "413", "415", "422", "429", "500", "503", "504",
    }  # fmt: skip
    assert set(decide["requestBody"]["content"]) == {
        "image/jpeg", "image/png", "image/webp", "application/octet-stream",
    }  # fmt: skip
    schema = api["components"]["schemas"]["DecisionBody"]
    body = post(client, image_file()).json()
    assert set(schema["properties"]) == set(schema["required"]) == set(body)
    assert all("$ref" in field or field["description"] for field in schema["properties"].values())
    refs = set(_references(api))
    assert {f"#/components/schemas/{name}" for name in api["components"]["schemas"]} == refs


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def batch(client: TestClient, node: Any) -> Any:
    return client.post("/v1/decide/batch", json=node)


def base64_of(*files: bytes) -> dict[str, Any]:
    return {"images": [base64.b64encode(each).decode() for each in files]}


def test_a_batch_has_one_result_per_image(
    client: TestClient, image_file: Callable[..., bytes]
) -> None:
    answer = batch(client, base64_of(image_file(grey=0), b"no image", image_file(grey=255)))
    assert answer.status_code == 200
    dark, bad, bright = answer.json()["results"]
    assert (dark["decision"]["action"], dark["error"]) == ("abstain", None)
    assert bright["decision"]["class_name"] == "bag"
    assert bad["decision"] is None
    assert (bad["error"]["code"], bad["error"]["reason"]) == (
        "undecodable_image",
        "unsupported_format",
    )
    alone = post(client, image_file(grey=255)).json()
    for body in (alone, bright["decision"]):
        # Which answers are drawn follows from the request's id, too.
        del body["duration_ms"], body["decision_id"], body["sample"]
    assert bright["decision"] == alone


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ({}, "expected {"),
        ({"images": []}, "expected {"),
        ({"images": [3]}, "expected {"),
        ({"images": ["aGk="], "more": 1}, "expected {"),
        ({"images": ["a b"]}, "expected images as base64"),
        ({"images": ["\u00e9"]}, "expected images as base64"),
        ({"images": ["aGk="] * 65}, "at most 64 images in a request, got 65"),
        ([], "expected a JSON object"),
    ],
)
def test_batches_that_cannot_be_read(client: TestClient, node: Any, sentence: str) -> None:
    answer = batch(client, node)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")
    assert sentence in answer.json()["error"]["message"]


def test_a_batch_is_json(client: TestClient) -> None:
    answer = client.post("/v1/decide/batch", content=b"{}", headers=PNG)
    assert answer.status_code == 415
