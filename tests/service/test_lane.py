"""A lane: loaded once, tried, ready or failed; what its answers say can change while it decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gatekeeper.errors import BundleError
from gatekeeper.service.errors import NotReadyError
from gatekeeper.service.lane import Candidate, Lane
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.settings import Settings


def lane(load: Callable[[], Candidate], **more: Any) -> Lane:
    return Lane(load, Settings(), ServiceMetrics([]), **more)


def test_it_is_tried_and_prepared_before_it_is_ready(fake: Any) -> None:
    told: list[str] = []

    def prepare(loaded: Any) -> Any:
        told.append(f"prepared after {fake.canaries} canary")
        return loaded.withdrawn("labels speak against it")

    made = lane(
        lambda: Candidate(fake, "7", ("registry",)),
        prepare=prepare,
        on_ready=lambda ready: told.append(f"ready: {ready is made}"),
    )
    with pytest.raises(NotReadyError, match="still being verified"):
        made.loaded()
    made.start()
    loaded = made.wait(10)
    assert told == ["prepared after 1 canary", "ready: True"]
    assert (loaded.versions.version, loaded.degraded) == ("7", ("registry",))
    assert loaded.certificate.certified is False
    assert loaded.certificate.withdrawn == "labels speak against it"
    assert made.loaded() is loaded
    made.confirmed()
    assert made.loaded().degraded == ()
    made.close(1)
    with pytest.raises(NotReadyError):
        made.loaded()


def test_a_withdrawal_is_news_once(fake: Any) -> None:
    made = lane(lambda: Candidate(fake))
    assert made.withdraw("too early") is False
    made.start()
    made.wait(10)
    assert made.withdraw("wrong answers") is True
    assert made.withdraw("again") is False
    certificate = made.loaded().certificate
    assert (certificate.certified, certificate.withdrawn) == (False, "wrong answers")
    made.close(1)


def test_what_cannot_be_loaded_is_told(fake: Any) -> None:
    told: list[str] = []

    def load() -> Candidate:
        raise BundleError("a file was changed")

    made = lane(load, on_failure=lambda: told.append("failed"))
    made.start()
    with pytest.raises(BundleError, match="a file was changed"):
        made.wait(10)
    assert (told, made.is_ready, made.known) == (["failed"], False, None)
    slow = lane(lambda: Candidate(fake))
    with pytest.raises(BundleError, match=r"within 0\.01 s"):
        slow.wait(0.01)


def test_users_are_counted(fake: Any) -> None:
    made = lane(lambda: Candidate(fake))
    with made.in_use(), made.in_use():
        assert made.users == 2
    assert made.users == 0
