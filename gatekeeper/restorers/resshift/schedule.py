"""How far the chain has gone from the clean towards the degraded image at each of its steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from gatekeeper.errors import InputError


@dataclass(frozen=True, slots=True)
class Schedule:
    """The steps of a chain.

    Step t runs from 1 to T; at t = 0 the image is clean, so that eta_0 = 0.

    Attributes:
        roots: Square roots of eta_1 … eta_T, strictly increasing, in (0, 1].
        times: What the network is told at each step, strictly increasing, from 0: its own number
            in the schedule on which the network was trained.
        kappa: Standard deviation of the noise at eta = 1, above 0, in units of images in [-1, 1].

    Raises:
        InputError: there is no step, or a value is outside its range or out of order.
    """

    roots: tuple[float, ...]
    times: tuple[int, ...]
    kappa: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what is no schedule."""
        inside = bool(self.roots) and self.roots[0] > 0.0 and self.roots[-1] <= 1.0
        if not inside or not _increasing(self.roots):
            raise InputError(
                f"expected square roots of eta that increase within (0, 1], got {self.roots}"
            )
        if len(self.times) != len(self.roots) or self.times[0] < 0 or not _increasing(self.times):
            raise InputError(
                f"expected one time per step, increasing from 0 or above, got {self.times} for "
                f"{len(self.roots)} steps"
            )
        if not (self.kappa > 0.0 and math.isfinite(self.kappa)):
            raise InputError(f"expected a kappa above 0, got {self.kappa}: 2 is usual")

    @classmethod
    def exponential(
        cls,
        steps: int,
        *,
        kappa: float = 2.0,
        power: float = 0.3,
        end: float = 0.99,
        least_noise: float = 0.2,
    ) -> Self:
        """The schedule of the paper: log s_t rises with a power of the step, s_t = sqrt(eta_t).

        s_t = s_1 · (s_T / s_1)^(u^power), u = (t - 1) / (T - 1).

        Args:
            steps: T, at least 1; a single step starts where the last of several does.
            kappa: Standard deviation of the noise at eta = 1, above 0.
            power: Above 0; the larger, the longer the chain stays near the clean image.
            end: s_T, the end of the square roots: 0.99 makes eta_T 0.9801. Above s_1, at most 1.
            least_noise: Standard deviation of the noise at the first step, kappa · s_1, above 0
                (paper: 0.04 for 15 steps, 0.2 for 4).

        Raises:
            InputError: a value is outside its range.

        Example:
            >>> [round(2.0 * root, 4) for root in Schedule.exponential(4).roots]
            [0.2, 1.0402, 1.5228, 1.98]

        Source:
            ResShift (arXiv:2307.12348), eq. 14 and the published constants.
        """
        if steps < 1:
            raise InputError(f"expected at least one step, got {steps}: 4 and 15 are usual")
        if not (power > 0.0 and kappa > 0.0 and least_noise > 0.0):
            raise InputError(
                f"expected power, kappa and least_noise above 0, got {power}, {kappa} and "
                f"{least_noise}"
            )
        first = min(least_noise / kappa, least_noise)
        if not first < end <= 1.0:
            raise InputError(f"expected an end above {first:.4g} and at most 1, got {end}")
        shares = [1.0] if steps == 1 else [t / (steps - 1) for t in range(steps)]
        roots = [first * (end / first) ** (share**power) for share in shares]
        # In exact arithmetic it is the end already.
        roots[-1] = end
        return cls(tuple(roots), tuple(range(steps)), kappa)

    @property
    def steps(self) -> int:
        """T."""
        return len(self.roots)

    @property
    def etas(self) -> tuple[float, ...]:
        """The T + 1 values eta_0 = 0, eta_1, …, eta_T."""
        return (0.0, *(root * root for root in self.roots))

    @property
    def variances(self) -> tuple[float, ...]:
        """Variance of the posterior of step t, at position t; T + 1 values, the first unused.

        kappa² · (eta_{t-1} / eta_t) · (eta_t - eta_{t-1}); 0 at t = 1, where nothing is drawn.
        """
        etas = self.etas
        found = [self.kappa**2 * before / eta * (eta - before) for before, eta in pairwise(etas)]
        return (0.0, *found)

    def respaced(self, steps: int) -> Schedule:
        """Fewer of the same steps, spread evenly; the first and the last are always among them.

        The last must stay: sampling starts there, from an image of the full noise.

        Args:
            steps: How many, from 1 (the last alone) to T.

        Raises:
            InputError: more steps than there are, or none.

        Example:
            >>> Schedule.exponential(15, least_noise=0.04).respaced(4).times
            (0, 5, 9, 14)
        """
        if not 1 <= steps <= self.steps:
            raise InputError(
                f"expected 1 to {self.steps} steps, those the network was trained on, got {steps}"
            )
        last = self.steps - 1
        kept = [last] if steps == 1 else [round(i * last / (steps - 1)) for i in range(steps)]
        roots, times = ([values[i] for i in kept] for values in (self.roots, self.times))
        return Schedule(tuple(roots), tuple(int(time) for time in times), self.kappa)


def _increasing(values: tuple[float, ...] | tuple[int, ...]) -> bool:
    return all(before < after for before, after in pairwise(values))
