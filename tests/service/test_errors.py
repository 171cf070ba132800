"""One table from exceptions to statuses."""

from __future__ import annotations

import json

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gatekeeper.engine import DeadlineError, EngineDownError, OverloadError, StageError
from gatekeeper.errors import BundleError, GatekeeperError, ImageError, InputError
from gatekeeper.service import errors
from gatekeeper.wire import WireError


class NearerError(errors.TooBusyError):
    pass


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.MalformedRequestError("say"), 400, "malformed"),
        (ClientDisconnect(), 400, "incomplete_body"),
        (HTTPException(404), 404, "not_found"),
        (HTTPException(405), 405, "method_not_allowed"),
        (errors.BodyTimeoutError("say"), 408, "body_timeout"),
        (errors.BodyTooLargeError("say"), 413, "body_too_large"),
        (errors.MediaTypeError("say"), 415, "unsupported_media_type"),
        (ImageError("animated", "say"), 422, "undecodable_image"),
        (InputError("say"), 422, "unsuitable_image"),
        (errors.TooBusyError("say"), 429, "too_busy"),
        (NearerError("say"), 429, "too_busy"),
        (errors.NotReadyError("say"), 503, "not_ready"),
        (errors.UnauthorisedError("say"), 401, "unauthorised"),
        (errors.ForbiddenError("say"), 403, "forbidden"),
        (errors.RateLimitError(3, "say"), 429, "rate_limited"),
        (errors.UnknownModelError("say"), 404, "unknown_model"),
        (WireError("say"), 400, "malformed"),
        (OverloadError("too_late", 7, "say"), 429, "overloaded"),
        (EngineDownError("say"), 503, "not_ready"),
        (DeadlineError("say"), 504, "deadline"),
        (StageError("say"), 500, "stage_failed"),
        (ValueError("private"), 500, "internal"),
        (BundleError("private"), 500, "internal"),
        (GatekeeperError("private"), 500, "internal"),
        (KeyError("private"), 500, "internal"),
    ],
)
def test_status_and_body(error: Exception, status: int, code: str) -> None:
    response = errors.error_response(error, "id-1")
    detail = json.loads(bytes(response.body))["error"]
    assert (response.status_code, detail["code"], detail["request_id"]) == (status, code, "id-1")
    assert detail.get("reason") == ("animated" if isinstance(error, ImageError) else None)
    assert "private" not in detail["message"]
    assert errors.is_expected(error) == (code != "internal")
    assert ("retry-after" in response.headers) == (status in {429, 503})
    assert (response.headers.get("connection") == "close") == (status in {408, 413})


def test_headers_of_the_framework_are_kept() -> None:
    response = errors.error_response(HTTPException(405, headers={"Allow": "POST"}), "id-1")
    assert response.headers["Allow"] == "POST"


def test_an_overloaded_service_says_when_to_come_back() -> None:
    response = errors.error_response(OverloadError("too_late", 7, "say"), "id-1")
    assert response.headers["Retry-After"] == "7"


@pytest.mark.parametrize("path", ["/v2", "/v2/models/m/infer"])
def test_the_protocol_has_bodies_of_its_own(path: str) -> None:
    response = errors.error_response(ImageError("animated", "say"), "id-1", path=path)
    assert (response.status_code, json.loads(bytes(response.body))) == (400, {"error": "say"})
    response = errors.error_response(ValueError("private"), "id-1", path=path)
    assert response.status_code == 500
    assert b"private" not in bytes(response.body)
    assert not errors.is_protocol("/v1/decide")
    assert not errors.is_protocol("/v2x")
