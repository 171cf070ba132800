"""The client for threads."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from gatekeeper.client.answers import (
    Answer,
    ServiceError,
    UnreachableError,
    answer_of,
    item_of,
)
from gatekeeper.client.transport import Transport
from gatekeeper.errors import InputError

_T = TypeVar("_T")

Image = bytes | Path
"""An encoded image, or the file that holds one."""


class Client:
    """Asks a service; safe to use from several threads.

    A service that says "come back later" (429, 503), or that hangs up, is asked again: every
    request of this client can be repeated without harm. Environment variables for proxies are
    not read.

    Args:
        url: Such as ``"http://127.0.0.1:8080"``.
        key: API key, where the service asks for one.
        timeout_s: Time that one try may take, above 0.
        patience_s: Time in all that may be spent on waiting between tries, at least 0; 0 never
            asks again.
        images_per_request: Most images that :meth:`decide_batch` sends at once, at least 1; the
            service has a limit of its own (``max_images``).
        sleep: Waits, in seconds.

    Raises:
        InputError: the address or a number cannot be meant.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        patience_s: float = 30.0,
        images_per_request: int = 32,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if images_per_request < 1:
            raise InputError(f"images_per_request must be at least 1, got {images_per_request}")
        self._transport = Transport(
            url, key=key, timeout_s=timeout_s, patience_s=patience_s, sleep=sleep
        )
        self._images_per_request = images_per_request

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the connections that are open and idle."""
        self._transport.close()

    def decide(self, image: Image) -> Answer:
        """Decide one image.

        Args:
            image: A JPEG, PNG or WebP file.

        Raises:
            ServiceError: the service refused; ``reason`` says what is wrong with the image.
            UnreachableError: it did not answer.
            OSError: the file cannot be read.
        """
        body, request_id = self._transport.ask(
            "POST", "/v1/decide", _bytes(image), "application/octet-stream"
        )
        return self._understood(answer_of, body, request_id)

    def decide_batch(self, images: Sequence[Image]) -> list[Answer | ServiceError]:
        """Decide several images; what is wrong with one does not concern the others.

        Args:
            images: Any number; they are sent some at a time.

        Returns:
            One answer per image, in order, or why it has none.

        Raises:
            ServiceError: the service refused a whole request.
            UnreachableError: it did not answer.
            OSError: a file cannot be read.
        """
        results: list[Answer | ServiceError] = []
        for at in range(0, len(images), self._images_per_request):
            part = images[at : at + self._images_per_request]
            texts = [base64.b64encode(_bytes(image)).decode("ascii") for image in part]
            body, request_id = self._post_json("/v1/decide/batch", {"images": texts})
            found = body.get("results")
            if not isinstance(found, list) or len(found) != len(part):
                raise self._transport.strange(f"{len(part)} results")
            results += [self._understood(item_of, each, request_id) for each in found]
        return results

    def feedback(
        self, label: int, *, decision_id: str = "", request_id: str = "", reviewer: str = ""
    ) -> Mapping[str, Any]:
        """Tell the true class of an image that was decided before.

        Args:
            label: Class index that it truly shows.
            decision_id: Of the answer; or else
            request_id: of its request, where that was about one image.
            reviewer: Who says so.

        Returns:
            What became of the label: ``right``, ``counted`` and more.

        Raises:
            InputError: not exactly one of the two ids is given.
            ServiceError: the service refused, such as for a decision that it does not know.
            UnreachableError: it did not answer.
        """
        if bool(decision_id) == bool(request_id):
            raise InputError("expected exactly one of decision_id and request_id")
        named = {"decision_id": decision_id} if decision_id else {"request_id": request_id}
        told = {**named, "label": label, "reviewer": reviewer}
        return self._post_json("/v1/feedback", told)[0]

    def ready(self) -> bool:
        """Whether the service has a verified bundle and decides; asks once, without waiting."""
        try:
            status, _, _ = self._transport.once("GET", "/readyz", None, "")
        except UnreachableError:
            return False
        return status == HTTPStatus.OK

    def _understood(
        self, read: Callable[[Mapping[str, Any], str], _T], body: Mapping[str, Any], request_id: str
    ) -> _T:
        try:
            return read(body, request_id)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise self._transport.strange("a decision") from error

    def _post_json(self, path: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        return self._transport.ask("POST", path, json.dumps(body).encode(), "application/json")


def _bytes(image: Image) -> bytes:
    return image.read_bytes() if isinstance(image, Path) else image
