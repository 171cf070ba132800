"""The address at which people say what an image truly showed."""

from __future__ import annotations

from fastapi import APIRouter, Request

from gatekeeper.service.book import Book
from gatekeeper.service.console.requests import read_body
from gatekeeper.service.errors import UnknownDecisionError
from gatekeeper.service.feedback_bodies import FeedbackBody, FeedbackRequest
from gatekeeper.service.host import Host
from gatekeeper.service.schemas import ErrorBody

FEEDBACK = "/v1/feedback"

_REFUSALS = {
    400: "The body is not what it should be.",
    401: "No key, or an unknown one, where keys are asked for.",
    403: "The key is not good for this.",
    404: "No recent decision has this id.",
    408: "The body did not arrive in time.",
    409: "The decision has another label already, or the request had several images.",
    413: "The body is too large.",
    415: "The media type or encoding is not accepted.",
    422: "The label is none of the classes.",
    429: "Too much is under way; Retry-After says when to come back.",
    500: "A bug; the log of the service has the request id.",
}
_BODY = {
    "required": True,
    "description": "One label.",
    "content": {"application/json": {"schema": FeedbackRequest.model_json_schema()}},
}


def make_feedback_router(host: Host, book: Book | None) -> APIRouter:
    """The route.

    Args:
        host: Has threads for work that blocks, and says in its answers what labels led to.
        book: Keeps decisions and labels; None where no ledger is kept.
    """
    router = APIRouter()

    @router.post(
        FEEDBACK,
        tags=["feedback"],
        openapi_extra={"requestBody": _BODY},
        responses={
            status: {"model": ErrorBody, "description": text} for status, text in _REFUSALS.items()
        },
    )
    async def feedback(request: Request) -> FeedbackBody:
        """Say what an image truly showed.

        Only labels of accepted answers that were drawn at random (`sample.drawn` in the decision)
        can speak against the certificate; all others are kept and counted.
        """
        asked = read_body(await request.body(), FeedbackRequest)
        if book is None:
            raise UnknownDecisionError(
                "expected a service that keeps a ledger, this one keeps none: set "
                "GATEKEEPER_LEDGER_DECISIONS"
            )
        done = await host.aside(lambda: book.label(asked))
        host.heed_labels()
        return done

    return router
