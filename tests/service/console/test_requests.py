"""Requests that contradict themselves are refused with the part that is wrong."""

from __future__ import annotations

import pytest

from gatekeeper.service.console.bodies import TrialRequest
from gatekeeper.service.console.requests import read_body
from gatekeeper.service.errors import MalformedRequestError
from gatekeeper.wire import WireError


def test_a_request() -> None:
    asked = read_body(b'{"sample": 2, "corruption": "dark", "severity": 3}', TrialRequest)
    assert (asked.sample, asked.image, asked.corruption, asked.severity) == (2, None, "dark", 3)


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"sample": 1, "image": "AA=="}', b'{"sample": -1}', b'{"sample": 1, "more": 2}',
     b'{"sample": 1, "corruption": "dark", "severity": 0}',
     b'{"sample": 1, "corruption": "dark", "severity": 6}',
     b'{"sample": 1, "corruption": "dark", "severity": 2.5}', b'{"sample": 1, "severity": 2}'],
)  # fmt: skip
def test_objects_that_are_none(body: bytes) -> None:
    with pytest.raises(MalformedRequestError, match="expected a TrialRequest"):
        read_body(body, TrialRequest)


def test_what_is_no_object() -> None:
    with pytest.raises(WireError):
        read_body(b"[1]", TrialRequest)
