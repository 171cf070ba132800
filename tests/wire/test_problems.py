"""One exception for everything that is wrong with a request."""

from __future__ import annotations

from gatekeeper.errors import InputError
from gatekeeper.wire import WireError


def test_it_is_an_error_of_input() -> None:
    assert issubclass(WireError, InputError)
