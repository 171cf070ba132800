"""The seam between the service and the pipeline: same image in, same decision out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gatekeeper.engine import Stage
from gatekeeper.errors import ImageError
from gatekeeper.images import decode_image, fit_to
from gatekeeper.service.errors import NotReadyError
from gatekeeper.service.host import Host
from gatekeeper.service.metrics import ServiceMetrics
from gatekeeper.settings import Settings


@pytest.fixture
def host(fake: Any, eventually: Callable[..., None]) -> Any:
    host = Host(lambda: fake, Settings(), ServiceMetrics([]))
    host.start()
    eventually(lambda: host.bundle_id is not None)
    yield host
    host.close()


def test_the_pipeline_gets_the_decoded_image_at_its_size(
    host: Host, fake: Any, rng: np.random.Generator
) -> None:
    out = BytesIO()
    Image.fromarray(rng.integers(0, 256, (9, 20, 3), dtype=np.uint8)).save(out, "PNG")
    seen: list[Tensor] = []
    decide = fake.decide
    fake.decide = lambda images: (seen.append(images), decide(images))[1]
    body = asyncio.run(host.decide(out.getvalue())).body
    assert (body.image.width, body.image.height) == (20, 9)
    expected = fit_to(decode_image(out.getvalue())[None], fake.image_size)
    assert torch.equal(seen[0], expected)


def test_refused_bytes_never_reach_the_engine(host: Host, fake: Any) -> None:
    before = fake.entered._value
    with pytest.raises(ImageError):
        asyncio.run(host.decide(b"text"))
    assert fake.entered._value == before


def test_nothing_is_decided_before_loading(fake: Any, image_file: Callable[..., bytes]) -> None:
    host = Host(lambda: fake, Settings(), ServiceMetrics([]))
    with pytest.raises(NotReadyError, match="still being verified"):
        asyncio.run(host.decide(image_file()))
    with pytest.raises(NotReadyError), host.admission():
        pytest.fail("admitted")
    host.close()


def test_what_is_tried_out_is_no_traffic(fake: Any, eventually: Callable[..., None]) -> None:
    metrics = ServiceMetrics([])
    host = Host(lambda: fake, Settings(), metrics)
    host.start()
    eventually(lambda: host.bundle_id is not None)
    bright, dark = torch.ones(3, *fake.image_size), torch.zeros(3, *fake.image_size)
    answers = asyncio.run(host.try_out([bright, dark]))
    assert [answer.outcome.label for answer in answers] == [1, None]
    assert b"gatekeeper_decisions_total{" not in metrics.exposition()
    assert (host.gear.name, host.in_flight) == ("full", 0)
    assert [host.waiting(stage) for stage in Stage] == [0, 0]
    host.close()


def test_failure_is_told_once(fake: Any, eventually: Callable[..., None]) -> None:
    told: list[str | None] = []
    fake.error = ValueError("no")
    host = Host(lambda: fake, Settings(), ServiceMetrics([]))
    host.start(lambda: told.append(host.failure))
    eventually(lambda: bool(told))
    assert told == ["loading met an unexpected error: the log of the service names it"]
    host.close()
