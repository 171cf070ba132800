"""What the page for labelling asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gatekeeper.errors import DataError
from gatekeeper.review import Capture, Item, ReviewQueue, export_csv, export_parquet
from gatekeeper.service.console.bodies import Share
from gatekeeper.service.console.pages import page_headers
from gatekeeper.service.console.requests import read_body
from gatekeeper.service.errors import MalformedRequestError
from gatekeeper.service.host import Host

REVIEW_API = "/console/api/review"
_NEXT = 8
_FORMATS: dict[str, tuple[Callable[[ReviewQueue, tuple[str, ...]], bytes], str]] = {
    "csv": (export_csv, "text/csv; charset=utf-8"),
    "parquet": (export_parquet, "application/vnd.apache.parquet"),
}

DecisionId = Annotated[str, Field(min_length=1, max_length=256)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WaitingBody(_Body):
    """An image that waits; what the classifier answered is not told before the label is."""

    decision_id: str
    taken: float


class StateBody(_Body):
    """The queue as a whole, and what comes next."""

    enabled: bool
    class_names: list[str]
    abstained: int = 0
    accepted: int = 0
    labelled: int = 0
    refused: int = 0
    share: Share = 1.0
    max_images: int = 0
    keep_days: float = 0.0
    next: list[WaitingBody] = []


class LabelRequest(_Body):
    """What a person says."""

    decision_id: DecisionId
    label: int = Field(ge=0)
    reviewer: str = Field(default="", max_length=64)


class SkipRequest(_Body):
    """What is put at the end."""

    decision_id: DecisionId


class LabelledBody(_Body):
    """What the classifier had said."""

    decision_id: str
    kind: Literal["abstained", "accepted"]
    label: int
    class_name: str
    answered_class: str | None
    right: bool | None
    reliability: Share
    probability: Share


def make_review_router(host: Host, capture: Capture | None) -> APIRouter:
    """The routes.

    Args:
        host: Knows the classes, and has threads for work that blocks.
        capture: Where the images are; None where none are kept.
    """
    router = APIRouter(include_in_schema=False)

    @router.get(REVIEW_API)
    async def state() -> StateBody:
        names = list(host.loaded().class_names)
        if capture is None:
            return StateBody(enabled=False, class_names=names)
        review = capture.review
        return await host.aside(lambda: _state(review, names))

    @router.get(f"{REVIEW_API}/picture")
    async def picture(decision_id: str) -> Response:
        review = _queue(capture)
        with _known():
            content = await host.aside(lambda: review.picture(decision_id))
        return Response(
            content, media_type="image/png", headers={**page_headers(), "Cache-Control": "no-store"}
        )

    @router.post(f"{REVIEW_API}/label")
    async def label(request: Request) -> LabelledBody:
        review, names = _queue(capture), host.loaded().class_names
        asked = read_body(await request.body(), LabelRequest)
        if asked.label >= len(names):
            raise MalformedRequestError(
                f"expected a class index below {len(names)}, got {asked.label}: reload the page"
            )
        with _known():
            item = await host.aside(
                lambda: review.label(asked.decision_id, asked.label, reviewer=asked.reviewer)
            )
        return _labelled(item, names)

    @router.post(f"{REVIEW_API}/skip")
    async def skip(request: Request) -> Response:
        review = _queue(capture)
        asked = read_body(await request.body(), SkipRequest)
        with _known():
            await host.aside(lambda: review.skip(asked.decision_id))
        return Response(b"{}", media_type="application/json")

    @router.get(f"{REVIEW_API}/export")
    async def export(form: Literal["csv", "parquet"]) -> Response:
        review, names = _queue(capture), host.loaded().class_names
        write, media_type = _FORMATS[form]
        content = await host.aside(lambda: write(review, names))
        name = f"gatekeeper-labels.{form}"
        return Response(
            content,
            media_type=media_type,
            headers={
                **page_headers(),
                "Cache-Control": "no-store",
                "Content-Disposition": f'attachment; filename="{name}"',
            },
        )

    return router


def _queue(capture: Capture | None) -> ReviewQueue:
    if capture is None:
        raise HTTPException(404)
    return capture.review


@contextmanager
def _known() -> Iterator[None]:
    """An item that is gone is 404: the page goes on to the next."""
    try:
        yield
    except DataError as error:
        raise HTTPException(404) from error


def _state(review: ReviewQueue, names: list[str]) -> StateBody:
    review.expire()
    counts = review.counts()
    return StateBody(
        enabled=True,
        class_names=names,
        abstained=counts.abstained,
        accepted=counts.accepted,
        labelled=counts.labelled,
        refused=counts.refused,
        share=counts.share,
        max_images=review.max_images,
        keep_days=review.keep_days,
        next=[
            WaitingBody(decision_id=item.decision_id, taken=item.taken)
            for item in review.waiting(_NEXT)
        ],
    )


def _labelled(item: Item, names: tuple[str, ...]) -> LabelledBody:
    label = -1 if item.label is None else item.label
    return LabelledBody(
        decision_id=item.decision_id,
        kind="abstained" if item.kind == "abstained" else "accepted",
        label=label,
        class_name=names[label],
        answered_class=None if item.answer is None else names[item.answer],
        right=None if item.answer is None else item.answer == item.label,
        reliability=item.reliability,
        probability=item.probability,
    )
