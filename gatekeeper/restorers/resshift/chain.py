"""The chain that shifts the residual: from the clean image step by step to the degraded one.

x0 is the clean image, y the degraded one of the same shape, x_t the image at step t. Images are in
[-1, 1], or latent. Steps t are integer tensors of shape (B,), from 1 to T.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.restorers.resshift.schedule import Schedule

Parametrisation = Literal["x0", "residual", "epsilon", "scaled_epsilon"]
PARAMETRISATIONS: tuple[Parametrisation, ...] = ("x0", "residual", "epsilon", "scaled_epsilon")


class Chain:
    """Forward steps, marginals, posteriors, and what a network may predict of them.

    Args:
        schedule: The steps.
        latent: Whether images are latent, of a variance of about 1, or pixels in [-1, 1]; it
            decides how the network's input is scaled.

    Source:
        ResShift (arXiv:2307.12348), eq. 1, 2 and 7, and its published code for the scaling.
    """

    def __init__(self, schedule: Schedule, *, latent: bool = False) -> None:
        self.schedule, self.latent = schedule, latent

    def forward_step(self, before: Tensor, x0: Tensor, y: Tensor, t: Tensor, n: Tensor) -> Tensor:
        """x_t from x_{t-1}: a share alpha_t of the residual y - x0 and noise are added.

        Args:
            before: x_{t-1}, shape (B, C, H, W); x0 itself at t = 1.
            x0: Clean, same shape.
            y: Degraded, same shape.
            t: Steps, shape (B,).
            n: Standard normal draws, same shape as ``before``.
        """
        alpha = self._eta(t, y) - self._eta(t - 1, y)
        return before + alpha * (y - x0) + self.schedule.kappa * alpha.sqrt() * n

    def marginal(self, x0: Tensor, y: Tensor, t: Tensor, n: Tensor) -> Tensor:
        """x_t from x0 at once: x0 + eta_t (y - x0) + kappa sqrt(eta_t) n; arguments as above."""
        eta = self._eta(t, y)
        return x0 + eta * (y - x0) + self.schedule.kappa * eta.sqrt() * n

    def start(self, y: Tensor, n: Tensor) -> Tensor:
        """x_T as sampling begins: y + kappa sqrt(eta_T) n.

        The exact mean would be y - (1 - eta_T)(y - x0); x0 is not known, and the gap is 2 % of the
        residual.
        """
        return y + self.schedule.kappa * self.schedule.roots[-1] * n

    def posterior(self, x_t: Tensor, x0: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of x_{t-1} given x_t and x0; y cancels out.

        Returns:
            The mean, shape (B, C, H, W), and the variance, shape (B, 1, 1, 1): at t = 1 they are
            x0 and 0.
        """
        eta, before = self._eta(t, x_t), self._eta(t - 1, x_t)
        mean = before / eta * x_t + (eta - before) / eta * x0
        return mean, self._at(self.schedule.variances, t, x_t)

    def scaled(self, x_t: Tensor, t: Tensor) -> Tensor:
        """x_t as the network sees it, brought to about the same spread at every step.

        Latent: x_t / sqrt(kappa² eta_t + 1). Pixels: x_t / (3 kappa sqrt(eta_t) + 1).
        """
        noise = self.schedule.kappa * self._eta(t, x_t).sqrt()
        return x_t / ((noise * noise + 1.0).sqrt() if self.latent else 3.0 * noise + 1.0)

    def times(self, t: Tensor) -> Tensor:
        """What the network is told at steps t, shape (B,), integers from 0."""
        return torch.tensor(self.schedule.times, device=t.device)[t - 1]

    def target(self, kind: Parametrisation, x0: Tensor, y: Tensor, t: Tensor, n: Tensor) -> Tensor:
        """What the network should predict for :meth:`marginal` of the same arguments.

        Args:
            kind: ``"x0"``: the clean image. ``"residual"``: y - x0. ``"epsilon"``: the noise n.
                ``"scaled_epsilon"``: kappa sqrt(eta_t) n.
            x0: Clean, shape (B, C, H, W).
            y: Degraded, same shape.
            t: Steps, shape (B,).
            n: The noise that was added, same shape as ``x0``.

        Raises:
            InputError: the kind is unknown.
        """
        if kind == "x0":
            return x0
        if kind == "residual":
            return y - x0
        if kind == "epsilon":
            return n
        _known(kind)
        return self._noise(t, n) * n

    def x0_from(
        self, kind: Parametrisation, predicted: Tensor, x_t: Tensor, y: Tensor, t: Tensor
    ) -> Tensor:
        """The clean image that a prediction stands for; the inverse of :meth:`target`.

        From noise it is (x_t - kappa sqrt(eta_t) n - eta_t y) / (1 - eta_t).

        Raises:
            InputError: the kind is unknown, or noise is predicted and the schedule ends at 1,
                where x_t knows nothing of x0.
        """
        if kind == "x0":
            return predicted
        if kind == "residual":
            return y - predicted
        _known(kind)
        if self.schedule.roots[-1] >= 1.0:
            raise InputError(
                "expected a schedule that ends below 1 where noise is predicted, got one that ends "
                "at 1: predict x0 or residual"
            )
        eta = self._eta(t, y)
        noise = predicted if kind == "scaled_epsilon" else self._noise(t, y) * predicted
        return (x_t - noise - eta * y) / (1.0 - eta)

    def weight(self, kind: Parametrisation, t: Tensor, like: Tensor) -> Tensor:
        """Weight of the squared error at steps t, shape (B, 1, 1, 1).

        1, but 1 / (kappa² eta_t) for ``"scaled_epsilon"``.
        """
        if kind == "scaled_epsilon":
            return self._noise(t, like) ** -2
        return torch.ones((len(t), 1, 1, 1), dtype=like.dtype, device=like.device)

    def _eta(self, t: Tensor, like: Tensor) -> Tensor:
        return self._at(self.schedule.etas, t, like)

    def _noise(self, t: Tensor, like: Tensor) -> Tensor:
        return self.schedule.kappa * self._eta(t, like).sqrt()

    def _at(self, values: Sequence[float], t: Tensor, like: Tensor) -> Tensor:
        table = torch.tensor(values, dtype=like.dtype, device=like.device)
        return table[t.to(like.device)].reshape(-1, 1, 1, 1)


def _known(kind: str) -> None:
    if kind not in PARAMETRISATIONS:
        raise InputError(
            f"expected one of the parametrisations {', '.join(PARAMETRISATIONS)}, got {kind!r}"
        )
