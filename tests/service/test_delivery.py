"""What is made of errors on the way out; good answers are followed through the whole app."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.classifiers.upstream import UpstreamDownError
from gatekeeper.engine import DeadlineError, StageError
from gatekeeper.errors import ImageError
from gatekeeper.service.delivery import Delivery, LateError
from gatekeeper.service.metrics import ServiceMetrics


@pytest.fixture
def metrics() -> ServiceMetrics:
    return ServiceMetrics([])


@pytest.fixture
def delivery(metrics: ServiceMetrics) -> Any:
    made = Delivery(metrics, audit=None, proxy=None, traces=None, book=None)
    yield made
    made.close()


def test_a_classifier_elsewhere_that_is_down_is_no_fault_of_the_stage(delivery: Delivery) -> None:
    down = UpstreamDownError("nobody there", retry_after_s=7.0)
    told = StageError("expected to decide this image")
    told.__cause__ = down
    assert delivery.refused(told) is down
    told = StageError("expected to decide this image")
    told.__cause__ = ValueError("a bug")
    assert delivery.refused(told) is told


@pytest.mark.parametrize(
    ("error", "line"),
    [(DeadlineError("late"), 'deadline_missed_total{where="queue"} 1.0'),
     (LateError("late"), 'deadline_missed_total{where="compute"} 1.0'),
     (ImageError("truncated", "half"), 'decode_rejections_total{reason="truncated"} 1.0')],
)  # fmt: skip
def test_refusals_are_counted_by_their_kind(
    delivery: Delivery, metrics: ServiceMetrics, error: Exception, line: str
) -> None:
    assert delivery.refused(error) is error
    assert line in metrics.exposition().decode()


def test_what_is_no_exception_is_a_bug(delivery: Delivery) -> None:
    with pytest.raises(TypeError, match="got KeyboardInterrupt"):
        delivery.refused(KeyboardInterrupt())
