"""What of the traffic is kept for people: abstentions, and the drawn share of accepted answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from gatekeeper.decision import Action
from gatekeeper.paths import home
from gatekeeper.review import ABSTAINED, ACCEPTED, Candidate, Capture, ReviewQueue
from gatekeeper.service.schemas import DecisionBody
from gatekeeper.settings import Settings


def review_folder() -> Path:
    """Where images for review are kept, below the product's home."""
    return home() / "review"


def make_capture(settings: Settings, on_drop: Callable[[], None]) -> Capture | None:
    """What keeps images for review; None unless a number of images was allowed.

    Args:
        settings: Quota and days.
        on_drop: Called for each image that is lost.

    Raises:
        InputError: the folder cannot be used.
    """
    if settings.review_images == 0:
        return None
    review = ReviewQueue(
        review_folder(), max_images=settings.review_images, keep_days=settings.review_days
    )
    return Capture(review, on_drop=on_drop)


def offer(capture: Capture, body: DecisionBody, image: Tensor) -> None:
    """Offer an answered image, if it is of a kind that people label; never blocks.

    Args:
        capture: Takes it.
        body: As it goes out; an accepted answer counts if its ``sample`` was drawn.
        image: What was decided, shape (3, H, W), in [0, 1].
    """
    kind, probability = ABSTAINED, 1.0
    if body.action is Action.ACCEPT:
        if body.sample is None or not body.sample.drawn:
            return
        kind, probability = ACCEPTED, body.sample.probability
    answer = body.label
    if answer is None and body.attempts:
        answer = body.attempts[-1].label
    capture.offer(
        Candidate(
            decision_id=body.decision_id,
            image=image,
            kind=kind,
            probability=probability,
            answer=answer,
            reliability=body.reliability,
            reason=body.reason.value,
            bundle=body.versions.bundle,
        )
    )
