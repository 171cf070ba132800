"""What the service refuses, and the one table that turns an exception into a status.

GatekeeperError
└── RequestError             a request that is not answered with a decision
    ├── MalformedRequestError    400
    ├── UnauthorisedError        401
    ├── ForbiddenError           403
    ├── UnknownModelError        404
    ├── UnknownDecisionError     404
    ├── BodyTimeoutError         408
    ├── LabelConflictError       409
    ├── RegistryRefusedError     409
    ├── BodyTooLargeError        413
    ├── MediaTypeError           415
    ├── LabelRangeError          422
    ├── TooBusyError             429
    ├── RateLimitError           429
    ├── HeadTooLargeError        431
    └── NotReadyError            503
        └── DrainingError        503, and the connection is closed

Errors of ``gatekeeper.wire``, ``gatekeeper.engine`` and of upstreams
(``gatekeeper.classifiers.upstream``) have their places in the table, too. Below
``/v2`` a body is ``{"error": "…"}``, as the Open Inference Protocol wants it, and what is wrong
with an image is 400.
"""

from __future__ import annotations

import math
from http import HTTPStatus

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from gatekeeper.classifiers.upstream import UpstreamDownError, UpstreamError
from gatekeeper.engine import DeadlineError, EngineDownError, OverloadError, StageError
from gatekeeper.errors import GatekeeperError, ImageError, InputError
from gatekeeper.service.schemas import ErrorBody, ErrorDetail
from gatekeeper.wire import WireError, error_body

RETRY_AFTER_S = 1


class RequestError(GatekeeperError):
    """A request that is not answered with a decision; its message is meant for the client."""


class MalformedRequestError(RequestError):
    """The request contradicts itself or lacks its body."""


class UnauthorisedError(RequestError):
    """No key, or one that is not known."""


class ForbiddenError(RequestError):
    """The key is not good for this."""


class RateLimitError(RequestError):
    """A key is used too often.

    Args:
        retry_after_s: When to come back, at least 1.
        message: The sentence.
    """

    def __init__(self, retry_after_s: int, message: str) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnknownModelError(RequestError):
    """No model of this name or version is served."""


class UnknownDecisionError(RequestError):
    """No decision of this id is in the ledger."""


class LabelConflictError(RequestError):
    """The decision has another label already, or it is not clear which decision is meant."""


class LabelRangeError(RequestError):
    """The label is none of the classes."""


class RegistryRefusedError(RequestError):
    """The registry did not do what an operator asked for."""


class BodyTimeoutError(RequestError):
    """The body did not arrive in time."""


class BodyTooLargeError(RequestError):
    """The body is, or says it is, larger than allowed."""


class HeadTooLargeError(RequestError):
    """Address and headers are larger than allowed."""


class MediaTypeError(RequestError):
    """The declared type or encoding of the body is not accepted."""


class TooBusyError(RequestError):
    """As many decisions are under way as are allowed at once."""


class NotReadyError(RequestError):
    """No verified bundle is loaded, or not yet."""


class DrainingError(NotReadyError):
    """The service is about to stop: it finishes what it has and takes nothing new."""


# Exception class → (status, code); the nearest base counts, all else is a bug: 500.
_TABLE: dict[type[Exception], tuple[int, str]] = {
    MalformedRequestError: (400, "malformed"),
    UnauthorisedError: (401, "unauthorised"),
    ForbiddenError: (403, "forbidden"),
    UnknownModelError: (404, "unknown_model"),
    UnknownDecisionError: (404, "unknown_decision"),
    WireError: (400, "malformed"),
    ClientDisconnect: (400, "incomplete_body"),
    BodyTimeoutError: (408, "body_timeout"),
    LabelConflictError: (409, "label_conflict"),
    RegistryRefusedError: (409, "registry_refused"),
    BodyTooLargeError: (413, "body_too_large"),
    MediaTypeError: (415, "unsupported_media_type"),
    LabelRangeError: (422, "label_out_of_range"),
    ImageError: (422, "undecodable_image"),
    InputError: (422, "unsuitable_image"),
    TooBusyError: (429, "too_busy"),
    RateLimitError: (429, "rate_limited"),
    OverloadError: (429, "overloaded"),
    HeadTooLargeError: (431, "head_too_large"),
    StageError: (500, "stage_failed"),
    DrainingError: (503, "draining"),
    NotReadyError: (503, "not_ready"),
    UpstreamError: (503, "upstream_failed"),
    EngineDownError: (503, "not_ready"),
    DeadlineError: (504, "deadline"),
}
_INTERNAL = (500, "internal")

# After these the rest of the body is not read, so that the connection cannot be used again.
_CLOSES = {408, 413, 431}
_COME_BACK = {429, 503}
_PROTOCOL_STATUS = {422: 400}


def is_expected(error: Exception) -> bool:
    """Whether the error has a place in the table; all else is a bug and belongs in the log."""
    return isinstance(error, HTTPException) or _look_up(error) != _INTERNAL


def error_response(error: Exception, request_id: str, *, path: str = "") -> Response:
    """The answer to a request that ended in an exception.

    Args:
        error: Anything; what is not in the table is answered with 500 and none of its text.
        request_id: Named in the answer, so that it can be found in the log.
        path: Of the request; it decides about the form of the body.
    """
    status, detail, headers = describe(error, request_id)
    if status in _COME_BACK:
        headers["Retry-After"] = str(_retry_after(error))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status in _CLOSES or isinstance(error, DrainingError):
        headers["Connection"] = "close"
    if is_protocol(path):
        return Response(
            error_body(detail.message),
            _PROTOCOL_STATUS.get(status, status),
            headers,
            media_type="application/json",
        )
    body = ErrorBody(error=detail).model_dump(exclude_none=True)
    return JSONResponse(body, status_code=status, headers=headers)


def _retry_after(error: Exception) -> int:
    if isinstance(error, OverloadError | RateLimitError | UpstreamDownError):
        return math.ceil(error.retry_after_s)
    return RETRY_AFTER_S


def is_protocol(path: str) -> bool:
    """Whether a path belongs to the Open Inference Protocol."""
    return path == "/v2" or path.startswith("/v2/")


def describe(error: Exception, request_id: str) -> tuple[int, ErrorDetail, dict[str, str]]:
    """Status, body and headers of an exception."""
    if isinstance(error, HTTPException):
        # Of the framework's own refusals only 404 and 405 can occur.
        phrase = HTTPStatus(error.status_code).phrase
        detail = ErrorDetail(
            code=phrase.lower().replace(" ", "_"),
            message=f"{phrase}: see /docs for what this service answers to",
            request_id=request_id,
        )
        return error.status_code, detail, dict(error.headers or {})
    status, code = _look_up(error)
    detail = ErrorDetail(
        code=code,
        message=_message(error, code),
        reason=error.reason if isinstance(error, ImageError) else None,
        request_id=request_id,
    )
    return status, detail, {}


def _look_up(error: Exception) -> tuple[int, str]:
    return next((_TABLE[base] for base in type(error).__mro__ if base in _TABLE), _INTERNAL)


def _message(error: Exception, code: str) -> str:
    if code == _INTERNAL[1]:
        return "this request met a bug in the service: report it and quote the request id"
    if isinstance(error, ClientDisconnect):
        return "expected a whole body, got a part of it: send it again"
    return str(error)
