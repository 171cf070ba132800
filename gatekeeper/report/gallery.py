"""Images of the gallery as data URIs, and what is written beside them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from gatekeeper.report.content import GalleryItem
from gatekeeper.types import IntArray

SHOWN_PX = 112  # longest side on the page; noise does not compress, so larger ones cost 50 kB each


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image that needs no file.

    Attributes:
        uri: PNG as a data URI.
        width: Width on the page, in CSS px.
        height: Height on the page, in CSS px.
    """

    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One gallery item, ready to be laid out.

    Attributes:
        item: What it shows.
        title: Corruption and severity, or "clean".
        original: The image as received.
        restored: The restored image, or None.
        restorer: Which restorer made it; "" where nothing was restored.
        accepted: Whether the answer was handed out.
        outcome: "right", "wrong" or "abstained", of the answer that was handed out.
        attempts: Restorer (None for raw), class name and reliability of each attempt.
    """

    item: GalleryItem
    title: str
    original: Picture
    restored: Picture | None
    restorer: str
    accepted: bool
    outcome: str
    attempts: tuple[dict[str, Any], ...]


def picture(image: IntArray) -> Picture:
    """An image as a lossless PNG: small ones grow by a whole factor, large ones shrink.

    Args:
        image: uint8, shape (H, W, 3).
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    factor = max(1, SHOWN_PX // longest)
    shown = Image.fromarray(np.ascontiguousarray(image))
    if longest > SHOWN_PX:
        width, height = (max(1, round(side * SHOWN_PX / longest)) for side in (width, height))
        shown = shown.resize((width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    shown.save(file, format="PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return Picture(uri=uri, width=width * factor, height=height * factor)


def card(item: GalleryItem) -> Card:
    """What the page shows of a gallery item."""
    accepted = item.decision["action"] == "accept"
    outcome = "abstained"
    if accepted:
        outcome = "right" if item.decision["class_name"] == item.truth else "wrong"
    title = "clean" if item.corruption is None else f"{item.corruption}, severity {item.severity}"
    return Card(
        item=item,
        title=title,
        original=picture(item.original),
        restored=None if item.restored is None else picture(item.restored),
        restorer=_counted(item.decision["attempts"]),
        accepted=accepted,
        outcome=outcome,
        attempts=tuple(dict(attempt) for attempt in item.decision["attempts"]),
    )


def _counted(attempts: Sequence[Mapping[str, Any]]) -> str:
    """The restorer whose answer counts, which is the most reliable of those tried; "" for none."""
    tried = [attempt for attempt in attempts if attempt["restorer"] is not None]
    return str(max(tried, key=lambda each: each["reliability"])["restorer"]) if tried else ""
