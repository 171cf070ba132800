"""Adam with a one-cycle rate and moving averages of the weights; all of it plain tensors."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from gatekeeper.errors import InputError, TrainingError

M = TypeVar("M", bound=nn.Module)

_WARM_UP = 0.15
_START, _END = 1 / 25, 1e-3
_MOMENTS = ("exp_avg", "exp_avg_sq")


def one_cycle(step: int, *, steps: int, peak: float) -> float:
    """The learning rate of a step: a rise to the peak and a longer fall, both along a cosine.

    Args:
        step: Steps done, from 0; beyond ``steps`` the rate stays at its end.
        steps: Steps in all, at least 1.
        peak: The largest rate, reached after 15 % of the steps; the first is 1/25 of it and the
            last 1/1000.

    Example:
        >>> one_cycle(150, steps=1000, peak=1e-3)
        0.001

    Source:
        Smith & Topin 2018 (arXiv:1708.07120), in the form with cosines.
    """
    summit = max(1, round(_WARM_UP * steps))
    if step <= summit:
        low, share = _START, 1.0 - step / summit
    else:
        low, share = _END, min(1.0, (step - summit) / max(1, steps - summit))
    return peak * (low + (1.0 - low) * (1.0 + math.cos(math.pi * share)) / 2.0)


def check_schedule(steps: int, learning_rate: float, ema_decay: float) -> None:
    """Refuse a schedule that cannot be followed.

    Raises:
        InputError: no steps, no learning rate, or a decay outside [0, 1).
    """
    if steps < 1 or not learning_rate > 0.0:
        raise InputError(
            f"expected at least one step and a learning rate above 0, got {steps} and "
            f"{learning_rate}: correct them"
        )
    if not 0.0 <= ema_decay < 1.0:
        raise InputError(f"expected an ema_decay in [0, 1), got {ema_decay}: 0.999 is usual")


class Optimiser(Generic[M]):
    """One Adam over one or more networks, with an exponential moving average of the first one.

    Args:
        network: The one of which the average is kept; called ``network`` in the state.
        others: Trained beside it, by name.
        steps: Planned steps, for the schedule.
        learning_rate: Peak of :func:`one_cycle`.
        ema_decay: Of the moving average, in [0, 1); in the first steps it is smaller, so that the
            average forgets the initial weights: min(decay, (1 + step) / (10 + step)).

    Attributes:
        steps_done: Steps taken so far.
        average: The averaged network, in evaluation mode.
    """

    def __init__(
        self,
        network: M,
        *,
        others: Mapping[str, nn.Module] | None = None,
        steps: int,
        learning_rate: float,
        ema_decay: float,
    ) -> None:
        self._networks: dict[str, nn.Module] = {"network": network, **(others or {})}
        self._steps, self._peak, self._decay = steps, learning_rate, ema_decay
        self._adam = torch.optim.Adam(self._parameters().values(), lr=learning_rate)
        self.average = copy.deepcopy(network).eval()
        self.average.requires_grad_(False)
        self.steps_done = 0

    def clear(self) -> None:
        """Forget all gradients."""
        self._adam.zero_grad(set_to_none=True)

    def add_gradients(self, loss: Tensor) -> float:
        """Add the gradients of a loss, or of a part of one, to those that are there.

        They are added only when all are there: what ran out of memory half-way can be done again.

        Returns:
            The loss.
        """
        parameters = list(self._parameters().values())
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        return float(loss.item())

    def apply(self, loss: float) -> None:
        """One step along the gradients that are there.

        Raises:
            TrainingError: the loss is not finite; weights and averages stay as they were.
        """
        if not math.isfinite(loss):
            raise TrainingError(
                f"expected a finite loss at step {self.steps_done + 1}, got {loss}: go on from the "
                "last kept state with a smaller learning rate"
            )
        rate = one_cycle(self.steps_done, steps=self._steps, peak=self._peak)
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        self.steps_done += 1
        self._follow()

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self._decay, (1 + self.steps_done) / (10 + self.steps_done))
        followed = self._networks["network"].state_dict()
        for name, tensor in self.average.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(followed[name], 1.0 - decay)
            else:
                tensor.copy_(followed[name])

    def state(self) -> dict[str, Tensor]:
        """Networks, average, moments and steps done, copied to the CPU."""
        tensors: dict[str, Tensor] = {"steps_done": torch.tensor(self.steps_done)}
        for name, network in self._kept():
            tensors |= {f"{name}.{key}": t for key, t in network.state_dict().items()}
        for name, parameter in self._parameters().items():
            moments = self._adam.state.get(parameter, {})
            for key in _MOMENTS:
                tensors[f"{key}.{name}"] = moments.get(key, torch.zeros_like(parameter))
        return {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave.

        Raises:
            InputError: the state is of other networks.
        """
        own = self.state()
        wrong = sorted(
            name
            for name in own.keys() | state.keys()
            if name not in own or name not in state or own[name].shape != state[name].shape
        )
        if wrong:
            raise InputError(
                f"expected the state of this training, got one that differs in {wrong[0]} and "
                f"{len(wrong) - 1} more: keep the options and the networks as they were"
            )
        for name, network in self._kept():
            network.load_state_dict({k: state[f"{name}.{k}"] for k in network.state_dict()})
        self.steps_done = int(state["steps_done"])
        for name, parameter in self._parameters().items():
            self._adam.state[parameter] = {
                "step": torch.tensor(float(self.steps_done)),
                **{k: state[f"{k}.{name}"].to(parameter, copy=True) for k in _MOMENTS},
            }

    def _kept(self) -> list[tuple[str, nn.Module]]:
        return [*self._networks.items(), ("average", self.average)]

    def _parameters(self) -> dict[str, nn.Parameter]:
        return {
            f"{name}.{key}": parameter
            for name, network in self._networks.items()
            for key, parameter in network.named_parameters()
        }
