"""Mean PSNR of the nineteen of ImageNet-C at 224 px against another package's.

``peer_psnr.json`` says how its figures were made; ``measure_peer.py`` makes them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gatekeeper.corruptions import CORRUPTIONS
from tests.corruptions.photos import photos

PEER = json.loads((Path(__file__).parent / "peer_psnr.json").read_text(encoding="utf-8"))
SLOW = {"defocus_blur", "elastic_transform", "glass_blur", "motion_blur", "shot_noise", "zoom_blur"}
ROUNDS = {"fog": 4, "spatter": 3}  # few large shapes per picture: one draw each is not enough
TOLERANCE_DB = 0.5


def mean_psnr_db(name: str, severity: int) -> float:
    clean = torch.from_numpy(photos(PEER["side_px"]))
    found = []
    for number in range(ROUNDS.get(name, 1)):
        seeds = np.arange(len(clean)) + 1000 * number
        degraded = CORRUPTIONS[name](clean, severity=severity, seeds=seeds)
        error = (degraded - clean).double().square().mean(dim=(1, 2, 3))
        error = error.clamp(min=10 ** (-PEER["cap_db"] / 10))
        found.append(float((-10 * torch.log10(error)).mean()))
    return float(np.mean(found))


def test_the_same_photographs() -> None:
    assert len(photos(PEER["side_px"])) == PEER["photos"]


@pytest.mark.parametrize("name", sorted(set(PEER["mean_psnr_db"]) - {"frost"}))
def test_mean_psnr_is_the_peers(name: str) -> None:
    for severity in (5,) if name in SLOW else (1, 3, 5):
        expected = PEER["mean_psnr_db"][name][severity - 1]
        assert mean_psnr_db(name, severity) == pytest.approx(expected, abs=TOLERANCE_DB)
