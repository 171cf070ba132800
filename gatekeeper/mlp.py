"""Small multilayer perceptrons, fitted with torch and kept as plain arrays.

The router and the reliability predictor are such networks: a few dense layers that are stored as
arrays in a bundle and evaluated with numpy, so that loading one runs no foreign code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.types import FloatArray, IntArray

_CLAMP = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpOptions:
    """How a perceptron is built and fitted.

    Attributes:
        hidden: Width of the two hidden layers.
        members: Networks in the ensemble, each from its own seed; log-probabilities are averaged.
        dropout: Share of hidden units dropped in fitting, in [0, 1).
        epochs: Passes over the rows.
        batch_size: Rows per step.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: Of AdamW.
    """

    hidden: int = 128
    members: int = 3
    dropout: float = 0.1
    epochs: int = 12
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4


class _Network(nn.Module):
    def __init__(self, n_inputs: int, n_classes: int, options: MlpOptions) -> None:
        super().__init__()
        self.first = nn.Linear(n_inputs, options.hidden)
        self.second = nn.Linear(options.hidden, options.hidden)
        self.last = nn.Linear(options.hidden, n_classes)
        self.scale = nn.Parameter(torch.ones(()))
        self.dropout = options.dropout
        # Starting from the base alone, the network learns what the base gets wrong.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, inputs: Tensor, base: Tensor) -> Tensor:
        hidden = F.dropout(F.relu(self.first(inputs)), self.dropout, self.training)
        hidden = F.dropout(F.relu(self.second(hidden)), self.dropout, self.training)
        logits: Tensor = self.last(hidden) + self.scale * base
        return logits


class Mlp:
    """A K-way classifier on tabular inputs: softmax(scale · base + perceptron(inputs)).

    Args:
        options: Widths and fitting schedule.
    """

    def __init__(self, options: MlpOptions | None = None) -> None:
        self.options = options or MlpOptions()
        self.state_: dict[str, FloatArray] | None = None

    def fit(
        self,
        inputs: FloatArray,
        labels: IntArray,
        *,
        n_classes: int,
        seed: int,
        base: FloatArray | None = None,
    ) -> Self:
        """Minimise the cross-entropy.

        Args:
            inputs: Shape (N, I).
            labels: Shape (N,), in 0…K−1.
            n_classes: K.
            seed: Of initial weights, order and dropout.
            base: Shape (N, K), logits that the network corrects; zeros by default.

        Raises:
            InputError: rows do not line up or a value is not finite.
        """
        if len(inputs) != len(labels) or (base is not None and len(base) != len(labels)):
            raise InputError(f"expected as many inputs as labels ({len(labels)})")
        if not np.isfinite(inputs).all():
            raise InputError("expected finite inputs, got NaN or infinity")
        mean = inputs.mean(axis=0)
        spread = inputs.std(axis=0) + 1e-3
        rows = torch.from_numpy(_standardised(inputs, mean, spread))
        based = torch.zeros((len(rows), n_classes)) if base is None else torch.from_numpy(base)
        based = based.float()
        truth = torch.from_numpy(np.asarray(labels, dtype=np.int64))
        state = {"mean": mean.astype(np.float32), "spread": spread.astype(np.float32)}
        for member in range(self.options.members):
            network = self._fit_one(rows, based, truth, n_classes, seed + member)
            for name, tensor in network.state_dict().items():
                state[f"{member}.{name}"] = tensor.numpy().astype(np.float32)
        self.state_ = state
        return self

    def _fit_one(
        self, rows: Tensor, base: Tensor, truth: Tensor, n_classes: int, seed: int
    ) -> _Network:
        options = self.options
        n_batches = max(1, len(rows) // options.batch_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = _Network(rows.shape[1], n_classes, options)
            optimiser = torch.optim.AdamW(
                network.parameters(), options.learning_rate, weight_decay=options.weight_decay
            )
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimiser, options.learning_rate, total_steps=options.epochs * n_batches + 1
            )
            for _ in range(options.epochs):
                for batch in torch.randperm(len(rows)).tensor_split(n_batches):
                    loss = F.cross_entropy(network(rows[batch], base[batch]), truth[batch])
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
                    schedule.step()
        return network.eval()

    def log_probabilities(
        self, inputs: FloatArray, *, base: FloatArray | None = None
    ) -> FloatArray:
        """Shape (N, K), float64; each row's exponentials sum to 1.

        Raises:
            NotFittedError: before ``fit``.
        """
        state = self.state()
        rows = _standardised(inputs, state["mean"], state["spread"])
        total: FloatArray = np.zeros(1)
        n_members = sum(name.endswith(".scale") for name in state)
        for member in range(n_members):
            layer = {n.partition(".")[2]: a for n, a in state.items() if n.startswith(f"{member}.")}
            hidden = np.maximum(rows @ layer["first.weight"].T + layer["first.bias"], 0.0)
            hidden = np.maximum(hidden @ layer["second.weight"].T + layer["second.bias"], 0.0)
            logits = (hidden @ layer["last.weight"].T + layer["last.bias"]).astype(np.float64)
            if base is not None:
                logits = logits + layer["scale"] * base
            total = total + log_softmax(logits)
        return log_softmax(total / n_members)

    def state(self) -> dict[str, FloatArray]:
        """The fitted parameters as plain arrays.

        Raises:
            NotFittedError: before ``fit``.
        """
        if self.state_ is None:
            raise NotFittedError("this perceptron has not been fitted: call fit first")
        return self.state_

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray]) -> Self:
        """Rebuild from :meth:`state`."""
        built = cls()
        built.state_ = dict(state)
        return built


def _standardised(inputs: FloatArray, mean: FloatArray, spread: FloatArray) -> FloatArray:
    # Clamped, so that an input far outside what was seen cannot drive the answer alone.
    return np.clip((inputs - mean) / spread, -_CLAMP, _CLAMP).astype(np.float32)


def log_softmax(logits: FloatArray) -> FloatArray:
    """Logarithm of the softmax over the last axis; shape unchanged."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
