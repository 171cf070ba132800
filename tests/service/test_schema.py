"""The service keeps to its own description, whatever schemathesis makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS, load_all_checks

from gatekeeper.service import create_app
from gatekeeper.settings import Settings
from tests.service.conftest import FakeGatekeeper, wait_until
from tests.service.test_server import ask, running

load_all_checks()
SCHEMA = schemathesis.openapi.from_dict(create_app(Settings(), FakeGatekeeper).openapi())
# Bytes that fit "a file" need not be one, and fields that nobody reads may be anything.
NOT_MEANT = ("positive_data_acceptance", "negative_data_rejection")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    fake = FakeGatekeeper()
    with running(lambda: fake) as port:
        wait_until(lambda: ask(port, "GET", "/readyz")[0] == 200)
        yield f"http://127.0.0.1:{port}"


def test_every_address_is_described() -> None:
    found = {operation.ok().label for operation in SCHEMA.get_all_operations()}
    assert {"POST /v1/decide", "POST /v1/decide/batch", "POST /v2/models/{model}/infer"} <= found
    assert len(found) >= 14


@SCHEMA.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(address: str, case: schemathesis.Case) -> None:
    answer = case.call_and_validate(
        base_url=address, excluded_checks=[CHECKS.get_one(name) for name in NOT_MEANT]
    )
    assert answer.status_code < 500
