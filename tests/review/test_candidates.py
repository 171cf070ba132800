"""What is offered: own draws, fresh pixels, refusals."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from gatekeeper.errors import InputError
from gatekeeper.review import Candidate, draw_of


def candidate(**changes: object) -> Candidate:
    given = {
        "decision_id": "a",
        "image": torch.zeros(3, 2, 4),
        "kind": "abstained",
        "probability": 1.0,
        "answer": 1,
        "reliability": 0.4,
        "reason": "GK220",
        "bundle": "b" * 64,
    }
    return Candidate(**{**given, **changes})


def test_the_png_holds_the_pixels_and_nothing_else() -> None:
    image = torch.tensor([0, 51, 102, 255]).div(255).reshape(1, 1, 4).expand(3, 2, 4)
    with Image.open(BytesIO(candidate(image=image).png())) as read:
        assert (read.format, read.size, read.info) == ("PNG", (4, 2), {})
        assert np.asarray(read)[1, :, 2].tolist() == [0, 51, 102, 255]


def test_draws_are_the_images_own_and_evenly_spread() -> None:
    draws = np.array([draw_of(f"{number:064d}") for number in range(2000)])
    assert draw_of("0" * 64) == draws[0]
    assert 0 <= draws.min() < draws.max() < 1
    # Mean of 2,000 even draws: 0.5 with standard error 0.0065.
    assert abs(draws.mean() - 0.5) < 0.026
    assert abs((draws < 0.25).mean() - 0.25) < 0.04


@pytest.mark.parametrize(
    "changes", [{"kind": "restored"}, {"probability": 0.0}, {"probability": 1.01}]
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        candidate(**changes)
