"""Pictures for the page: samples of the bundle, data URIs, what a restorer made."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load
from torch import Tensor

from gatekeeper.corruptions import store_8_bit
from gatekeeper.decision import Decision
from gatekeeper.evidence import restore_rows
from gatekeeper.golden import GOLDEN_IMAGES
from gatekeeper.images import fit_to, seeds_for, tensor_digests
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.service.served import ServedGatekeeper

MAX_SAMPLES = 24


def data_uri(image: Tensor) -> str:
    """An image (3, H, W) in [0, 1] as a PNG that needs no address."""
    levels = (image.detach().cpu() * 255).round().clamp(0, 255).byte()
    out = BytesIO()
    # Small pictures over a loopback: time counts more than bytes.
    Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy()).save(out, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def fitted_8_bit(image: Tensor, size: tuple[int, int]) -> Tensor:
    """An image (3, H, W) at the gate's size in 8 bits, so that its PNG is the same image again."""
    return store_8_bit(fit_to(image[None], size))[0]


def bundle_directory(gatekeeper: ServedGatekeeper) -> Path | None:
    """Where the bundle lies; None for what is no gatekeeper from a bundle."""
    if not isinstance(gatekeeper, Gatekeeper):
        return None
    spec = gatekeeper.fitted.classifier_spec
    # Loading a bundle points the classifier at the weights that lie in it.
    weights = spec.options.get(spec.weights_option)
    return None if weights is None else Path(weights).parent


def samples_of(gatekeeper: ServedGatekeeper) -> list[Tensor]:
    """Images of the bundle's golden set, each (3, H, W) in 8 bits; [] where it has none."""
    directory = bundle_directory(gatekeeper)
    if directory is None or not (directory / GOLDEN_IMAGES).is_file():
        return []
    try:
        pixels = load((directory / GOLDEN_IMAGES).read_bytes())["images"][:MAX_SAMPLES]
    except (OSError, KeyError, SafetensorError):
        # Samples are a convenience, and the bundle was verified when it was loaded.
        return []
    images = torch.from_numpy(np.array(pixels)).float().div_(255).permute(0, 3, 1, 2).contiguous()
    return [fitted_8_bit(image, gatekeeper.image_size) for image in images]


def restored_images(
    gatekeeper: ServedGatekeeper, received: Tensor, decision: Decision
) -> list[Tensor | None]:
    """What each attempt looked at: None for the image as received, or where it cannot be had.

    The engine keeps no restored image, so it is made again: same image, same seed, same pixels.

    Args:
        gatekeeper: Decided.
        received: What it was given, shape (3, H, W).
        decision: What it decided.
    """
    if not isinstance(gatekeeper, Gatekeeper):
        return [None] * len(decision.attempts)
    fitted, images = gatekeeper.fitted, received[None]
    seeds = seeds_for(fitted.seed, tensor_digests(images), "serve")
    return [
        None
        if attempt.restorer is None
        else restore_rows(fitted.restorers, images, np.array([attempt.restorer]), seeds)[0]
        for attempt in decision.attempts
    ]
