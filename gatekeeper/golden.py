"""The golden set: a few images that travel with a bundle, and how each must be decided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save

from gatekeeper.decision import Decision
from gatekeeper.errors import BundleError
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.types import IntArray

GOLDEN_IMAGES = "golden.safetensors"
GOLDEN_DECISIONS = "golden.json"

_TOLERANCE = 1e-3


def golden_files(gatekeeper: Gatekeeper, pixels: IntArray) -> dict[str, bytes]:
    """The golden set as files of a bundle.

    Args:
        gatekeeper: Decides what is expected.
        pixels: uint8, shape (N, H, W, 3), as received.
    """
    expected = [_essence(decision) for decision in _decide(gatekeeper, pixels)]
    return {
        GOLDEN_IMAGES: save({"images": np.ascontiguousarray(pixels)}),
        GOLDEN_DECISIONS: (json.dumps(expected, indent=1) + "\n").encode(),
    }


def check_golden(directory: Path) -> None:
    """Load a bundle and decide its golden set and its canary.

    Args:
        directory: The bundle.

    Raises:
        BundleError: the bundle has no golden set or an incomplete one, or decides an image
            differently: another label or action, or a reliability that is off by more than 0.001.
    """
    gatekeeper = Gatekeeper.load(directory)
    gatekeeper.canary()
    try:
        pixels = load((directory / GOLDEN_IMAGES).read_bytes())["images"]
        expected = json.loads((directory / GOLDEN_DECISIONS).read_text(encoding="utf-8"))
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise BundleError(
            f"expected a golden set in {directory}, got none that can be read ({error}): fit again"
        ) from error
    if not 0 < len(pixels) == len(expected):
        raise BundleError(
            f"expected a decision for each golden image of {directory}, got {len(pixels)} golden "
            f"images and {len(expected)} decisions: fit again"
        )
    for row, decision in enumerate(_decide(gatekeeper, pixels)):
        got, wanted = _essence(decision), expected[row]
        off = abs(got.pop("reliability") - wanted.pop("reliability"))
        if got != wanted or off > _TOLERANCE:
            raise BundleError(
                f"golden image {row} of {directory} is decided differently here: expected "
                f"{wanted}, got {got} (reliability off by {off:.4f})"
            )


def _decide(gatekeeper: Gatekeeper, pixels: IntArray) -> list[Decision]:
    images = torch.from_numpy(np.array(pixels)).float().div_(255).permute(0, 3, 1, 2).contiguous()
    return gatekeeper.decide(images)


def _essence(decision: Decision) -> dict[str, Any]:
    return {
        "action": decision.action.value,
        "label": decision.label,
        "reliability": round(decision.reliability, 6),
        "attempts": [
            {"restorer": attempt.restorer, "label": attempt.label} for attempt in decision.attempts
        ],
    }
