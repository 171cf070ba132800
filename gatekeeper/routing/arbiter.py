"""The arbiter: which of the restorers that fit an image are tried, and in which order.

It expects, from the signals and the first look alone, what each restorer would do to the answer:
turn a wrong one right, or a right one wrong. What is gained is weighed against a declared cost.
Costs are numbers in the bundle, never times that are taken while deciding: the same image is tried
alike on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from gatekeeper.errors import InputError, NotFittedError
from gatekeeper.mlp import Mlp, MlpOptions, log_softmax
from gatekeeper.protocols import Evidence
from gatekeeper.signals import N_SCALARS
from gatekeeper.types import BoolArray, FloatArray, IntArray, StrArray

_OUTCOMES = 3  # as before, helped, harmed
_HELPED, _HARMED = 1, 2
_LEAST_ROWS = 100
_LEAST_GAINS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1)
_TOP = 3
_BATCH, _LEAST_EPOCHS, _LEAST_STEPS = 128, 10, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the attempts at one image may cost; the unit is one pass of the classifier.

    Attributes:
        costs: Restorer -> declared cost of restoring one image, at least 0.
        look_cost: Cost of the look that follows: 1, 1 more for each view, and the second
            opinion's where there is one.
        max_attempts: Most restorers that are tried on one image, at least 1.
        max_cost: Most that all attempts at one image may cost together; None for no limit.

    Raises:
        InputError: a number is out of range, or no attempt is within ``max_cost``.
    """

    costs: Mapping[str, float]
    look_cost: float
    max_attempts: int
    max_cost: float | None = None

    def __post_init__(self) -> None:
        """Refuse a budget that cannot be meant."""
        numbers = [*self.costs.values(), self.look_cost]
        if not self.costs or not all(np.isfinite(n) and n >= 0 for n in numbers):
            raise InputError(
                f"expected finite costs of at least 0, one per restorer, got {dict(self.costs)} "
                f"and {self.look_cost} for a look"
            )
        if self.max_attempts < 1:
            raise InputError(f"max_attempts must be at least 1, got {self.max_attempts}")
        cheapest = min(self.attempt_cost(name) for name in self.costs)
        if self.max_cost is not None and not self.max_cost >= cheapest:
            raise InputError(
                f"expected max_cost to allow the cheapest attempt, {cheapest:g} passes of the "
                f"classifier with its look, got {self.max_cost:g}: raise it or restore nothing"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Restorers, the cheapest first; by name where they cost the same."""
        return tuple(sorted(self.costs, key=lambda name: (self.costs[name], name)))

    def attempt_cost(self, name: str) -> float:
        """Cost of restoring an image and looking again."""
        return self.costs[name] + self.look_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was expected of a restorer on images that the expectation was not fitted on.

    Attributes:
        rows: Looks that it was learned from.
        least_gain: Expected gain below which the restorer is not tried.
        tried: Rows with at least that.
        helped: Those of them whose answer became right and was not.
        harmed: Those of them whose answer was right and became wrong.
    """

    rows: int
    least_gain: float
    tried: int
    helped: int
    harmed: int


class Arbiter:
    """Plans the attempts at an image.

    Each restorer's expected gain is the probability that the answer becomes right and was not,
    minus that of the reverse, from a small perceptron per restorer. Those with the highest gain per
    cost are taken as far as the budget goes, and tried in order of cost, the cheapest first.

    Args:
        budget: Costs and limits.

    Attributes:
        measured_: After ``fit``: restorer -> what cross-fitting showed. A restorer with too few
            rows to learn from is missing and never tried.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.measured_: dict[str, Measured] = {}
        self._models: dict[str, Mlp] = {}
        self._least_gain: dict[str, float] = {}

    def fit(
        self,
        first: Evidence,
        names: StrArray,
        before: BoolArray,
        after: BoolArray,
        images: StrArray,
        *,
        seed: int,
    ) -> Self:
        """Learn from restored looks at *fit* images.

        Args:
            first: The first look of each row, N rows.
            names: The restorer of each, shape (N,).
            before: Whether the first answer was right, shape (N,).
            after: Whether the answer on the restored image is, shape (N,).
            images: Digest of each image, shape (N,): rows of one image stay in one half of the
                cross-fitting.
            seed: Of the perceptrons and the halves.

        Raises:
            InputError: rows do not line up, or a name has no declared cost.
        """
        if unknown := sorted(set(names.tolist()) - set(self.budget.costs)):
            raise InputError(f"expected a declared cost for every restorer, got none for {unknown}")
        if len({len(first), len(names), len(before), len(after), len(images)}) > 1:
            raise InputError(f"expected one row per look ({len(first)}) in every argument")
        inputs, outcomes = arbiter_inputs(first), _outcomes(before, after)
        half = _halves(images, seed)
        for name in self.budget.names:
            rows = np.flatnonzero(names == name)
            if len(rows) < _LEAST_ROWS or not half[rows].any() or half[rows].all():
                continue
            expected = _cross_fitted(inputs[rows], outcomes[rows], half[rows], seed)
            found = _measured(expected, outcomes[rows])
            self.measured_[name] = found
            self._least_gain[name] = found.least_gain
            self._models[name] = _fitted(inputs[rows], outcomes[rows], seed)
        return self

    def gains(self, first: Evidence) -> FloatArray:
        """Expected gain of each restorer of ``budget.names``, shape (B, R), in [−1, 1].

        Minus infinity where the restorer had too few rows to learn from.
        """
        inputs = arbiter_inputs(first)
        found = np.full((len(first), len(self.budget.names)), -np.inf)
        for column, name in enumerate(self.budget.names):
            if name in self._models:
                found[:, column] = _gain(self._models[name], inputs)
        return found

    def plan(self, first: Evidence, allowed: Mapping[str, BoolArray]) -> StrArray:
        """The restorers to try on each image, the cheapest first, then "".

        Args:
            first: First looks, B rows.
            allowed: Restorer -> where it may be tried, shape (B,).

        Returns:
            Names, shape (B, ``max_attempts``).
        """
        names, budget = self.budget.names, self.budget
        plans = np.full((len(first), budget.max_attempts), "", dtype="<U32")
        gains = self.gains(first)
        least = np.array([self._least_gain.get(name, np.inf) for name in names])
        may = np.stack([allowed.get(n, np.zeros(len(first), dtype=bool)) for n in names], axis=1)
        costs = np.array([budget.attempt_cost(name) for name in names])
        # An attempt always costs something: where neither look nor restorer does, any gain is best.
        worth = gains / np.maximum(costs, np.finfo(float).tiny)
        worth = np.where(may & (gains > 0) & (gains >= least), worth, -np.inf)
        for row in np.flatnonzero(np.isfinite(worth).any(axis=1)):
            chosen = self._affordable(worth[row], costs)
            plans[row, : len(chosen)] = [names[column] for column in chosen]
        return plans

    def _affordable(self, worth: FloatArray, costs: FloatArray) -> list[int]:
        """Columns within the budget, best worth first taken, cheapest first returned."""
        left = np.inf if self.budget.max_cost is None else self.budget.max_cost
        chosen: list[int] = []
        for column in np.argsort(-worth, kind="stable"):
            if len(chosen) == self.budget.max_attempts or not np.isfinite(worth[column]):
                break
            if costs[column] <= left:
                chosen.append(int(column))
                left -= costs[column]
        return sorted(chosen)

    def config(self) -> dict[str, Any]:
        """Budget and least gains, JSON-ready."""
        return {
            "costs": dict(sorted(self.budget.costs.items())),
            "look_cost": self.budget.look_cost,
            "max_attempts": self.budget.max_attempts,
            "max_cost": self.budget.max_cost,
            "least_gain": dict(sorted(self._least_gain.items())),
        }

    def state(self) -> dict[str, FloatArray]:
        """The fitted perceptrons as plain arrays; none where no restorer had enough rows."""
        return {
            f"{name}|{key}": array
            for name, model in self._models.items()
            for key, array in model.state().items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, FloatArray], config: Mapping[str, Any]) -> Self:
        """Rebuild from :meth:`state` and :meth:`config`.

        Raises:
            NotFittedError: a restorer has a least gain and no perceptron, or the reverse.
        """
        facts = dict(config)
        least = {str(n): float(g) for n, g in facts.pop("least_gain").items()}
        arbiter = cls(Budget(**facts))
        parts: dict[str, dict[str, FloatArray]] = {}
        for key, array in state.items():
            name, _, inner = key.partition("|")
            parts.setdefault(name, {})[inner] = array
        if set(parts) != set(least):
            raise NotFittedError(
                f"expected a perceptron for each of {sorted(least)}, got {sorted(parts)}: fit again"
            )
        arbiter._models = {name: Mlp.from_state(part) for name, part in parts.items()}
        arbiter._least_gain = least
        return arbiter


def arbiter_inputs(first: Evidence) -> FloatArray:
    """What an expectation is formed from: scalar signals and how sure the first answer is.

    Args:
        first: First looks, B rows.

    Returns:
        Shape (B, ``N_SCALARS`` + 4): signals, the three highest log-probabilities (the lowest again
        where there are fewer classes), and the entropy in nats.
    """
    logs = log_softmax(first.logits.astype(np.float64))
    top = -np.sort(-logs, axis=1)[:, :_TOP]
    padding = np.repeat(top[:, -1:], _TOP - top.shape[1], axis=1)
    entropy = -(np.exp(logs) * logs).sum(axis=1, keepdims=True)
    signals = first.signals[:, :N_SCALARS].astype(np.float64)
    return np.concatenate([signals, top, padding, entropy], axis=1)


def _outcomes(before: BoolArray, after: BoolArray) -> IntArray:
    return np.where(~before & after, _HELPED, np.where(before & ~after, _HARMED, 0))


def _halves(images: StrArray, seed: int) -> BoolArray:
    names, place = np.unique(images, return_inverse=True)
    side = np.random.default_rng(seed).permutation(len(names)) % 2 == 0
    return np.asarray(side[place])


def _fitted(inputs: FloatArray, outcomes: IntArray, seed: int) -> Mlp:
    n_batches = max(1, len(inputs) // _BATCH)
    epochs = max(_LEAST_EPOCHS, -(-_LEAST_STEPS // n_batches))
    options = MlpOptions(hidden=32, members=1, epochs=epochs, batch_size=_BATCH)
    return Mlp(options).fit(inputs, outcomes, n_classes=_OUTCOMES, seed=seed)


def _gain(model: Mlp, inputs: FloatArray) -> FloatArray:
    found = np.exp(model.log_probabilities(inputs))
    return np.asarray(found[:, _HELPED] - found[:, _HARMED])


def _cross_fitted(inputs: FloatArray, outcomes: IntArray, half: BoolArray, seed: int) -> FloatArray:
    """Expected gain of each row by a perceptron that was fitted on the other half."""
    found = np.empty(len(inputs))
    for held_out in (half, ~half):
        model = _fitted(inputs[~held_out], outcomes[~held_out], seed)
        found[held_out] = _gain(model, inputs[held_out])
    return found


def _measured(expected: FloatArray, outcomes: IntArray) -> Measured:
    """The least gain that gained most on rows left out; the largest of those that gained alike."""

    def at(least: float) -> Measured:
        tried = outcomes[(expected > 0) & (expected >= least)]
        return Measured(
            rows=len(outcomes),
            least_gain=least,
            tried=len(tried),
            helped=int((tried == _HELPED).sum()),
            harmed=int((tried == _HARMED).sum()),
        )

    candidates = [at(least) for least in _LEAST_GAINS]
    return max(candidates, key=lambda found: (found.helped - found.harmed, found.least_gain))
