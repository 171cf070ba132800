"""Scopes: which conditions a figure speaks of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gatekeeper.evaluation.grid import Grid, Mix
from gatekeeper.evaluation.views import View
from gatekeeper.evidence import draw_plan
from gatekeeper.images import Dataset
from gatekeeper.types import IntArray

MAIN_SCOPES = ("clean", "declared", "seen", "held_out", "all")
"""Clean images; the certificate's stream; corruptions fitted on; others; all corruptions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scope:
    """Some conditions of a grid, by name.

    Attributes:
        name: Of ``MAIN_SCOPES``, or ``corruption`` (one, all severities), or ``condition`` (one at
            one severity).
        conditions: Positions in the grid, shape (S,); for a stream None.
        stream: For a stream one condition per image, shape (N,); else None.
        corruption: Its name, "" where there are several.
        severity: 1…5, 0 where there are several.
    """

    name: str
    conditions: IntArray | None = None
    stream: IntArray | None = None
    corruption: str = ""
    severity: int = 0

    def of(self, view: View) -> View:
        """The rows of this scope."""
        if self.stream is not None:
            return view.pick(self.stream)
        return view.take(np.asarray(self.conditions))


def scopes_of(
    grid: Grid, *, held_out: Sequence[str] | None, stream: IntArray | None
) -> Iterator[Scope]:
    """All scopes of an evaluation, the main ones first.

    Args:
        grid: The conditions.
        held_out: Corruptions of which something is unlike all that was fitted on; None where
            nothing is known about what was fitted on, and then no corruption counts as seen.
        stream: Condition of each image in the declared stream, shape (N,); None without one.
    """
    yield Scope(name="clean", conditions=np.array([0]))
    if stream is not None:
        yield Scope(name="declared", stream=stream)
    if held_out is not None:
        seen = [name for name in grid.corruptions if name not in held_out]
        for scope, names in (("seen", seen), ("held_out", held_out)):
            if names:
                yield Scope(name=scope, conditions=grid.of(names))
    yield Scope(name="all", conditions=np.arange(1, len(grid)))
    for name in grid.corruptions:
        yield Scope(name="corruption", conditions=grid.of([name]), corruption=name)
    for position, (name, severity) in enumerate(grid.conditions):
        if name:
            yield Scope(
                name="condition",
                conditions=np.array([position]),
                corruption=name,
                severity=severity,
            )


def declared_stream(
    data: Dataset, positions: IntArray, grid: Grid, mix: Mix | None, *, seed: int
) -> IntArray | None:
    """The condition of each image in the certificate's traffic, shape (N,), each image once.

    Args:
        data: The data set.
        positions: The images, shape (N,).
        grid: The conditions that are evaluated.
        mix: What was declared; None where nothing was.
        seed: The run's seed.

    Returns:
        Positions in the grid; None where a part of the mix is not evaluated.
    """
    full = Grid(grid.corruptions).severities == grid.severities
    if mix is None or not full or not set(mix.corruptions) <= set(grid.corruptions):
        return None
    plan = draw_plan(
        data,
        "test",
        positions,
        corruptions=mix.corruptions,
        clean_share=mix.clean_share,
        seed=seed,
        purpose="stream/declared",
    )
    place = {condition: position for position, condition in enumerate(grid.conditions)}
    drawn = zip(plan.corruptions.tolist(), plan.severities.tolist(), strict=True)
    return np.array([place[name, int(severity)] for name, severity in drawn])
