"""From a degraded image and noise back to a clean one, one network call per step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gatekeeper.errors import BundleError
from gatekeeper.restorers.resshift.chain import Chain, Parametrisation

Predict = Callable[[Tensor, Tensor], Tensor]
"""(scaled x_t, times (B,)) -> prediction, same shape as x_t; the condition is the caller's."""

Noise = Callable[[int], Tensor]
"""Number of the draw, from 0 -> standard normal draws of the shape of y."""


def sample(
    predict: Predict,
    chain: Chain,
    y: Tensor,
    *,
    noise: Noise,
    kind: Parametrisation = "x0",
    clip: bool = True,
) -> Tensor:
    """Draw a clean image: start at y + noise, then T times predict x0 and step to its posterior.

    The last step draws nothing and returns the prediction.

    Args:
        predict: The network, called T times.
        chain: Its chain.
        y: Degraded, shape (B, C, H, W), in [-1, 1] or latent.
        noise: Draw 0 is for the start, draw i for the i-th step from the top, T draws in all.
        kind: What the network predicts.
        clip: Cut each x0 to [-1, 1]; for pixels, not for latents.

    Returns:
        Same shape as ``y``.

    Raises:
        BundleError: the network gives a value that is not finite.

    Source:
        ResShift (arXiv:2307.12348), eq. 7.
    """
    steps = chain.schedule.steps
    x_t = chain.start(y, noise(0))
    for step in range(steps, 0, -1):
        t = torch.full((len(y),), step, device=y.device)
        predicted = predict(chain.scaled(x_t, t), chain.times(t)).to(y.dtype)
        x0 = chain.x0_from(kind, predicted, x_t, y, t)
        _check_finite(x0, step)
        if clip:
            x0 = x0.clamp(-1.0, 1.0)
        x_t, variance = chain.posterior(x_t, x0, t)
        if step > 1:
            x_t = x_t + variance.sqrt() * noise(steps + 1 - step)
    return x_t


def _check_finite(x0: Tensor, step: int) -> None:
    bad = (~torch.isfinite(x0)).flatten(1).any(dim=1)
    if bool(bad.any()):
        raise BundleError(
            f"expected finite values from the network at step {step}, got others for "
            f"{int(bad.sum())} of {len(x0)} images: its weights are damaged or diverged in "
            "training, take an earlier record"
        )
