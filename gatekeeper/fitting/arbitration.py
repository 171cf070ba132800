"""What fitting does for several restorers: the arbiter, its costs, a calibrator for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from gatekeeper.bundle import restored_context
from gatekeeper.calibrators import calibrator
from gatekeeper.evidence import EvidenceTable
from gatekeeper.fitting.costs import declared_costs, look_cost
from gatekeeper.images import Dataset, Splits
from gatekeeper.protocols import Calibrator, Classifier, Evidence, Restorer
from gatekeeper.recipe import Recipe
from gatekeeper.routing import Arbiter, Budget, Router
from gatekeeper.types import FloatArray, IntArray, StrArray

LEAST_ROWS = 200
"""Restored *calibrate* looks from which a restorer gets a calibrator of its own."""

_TIMED_IMAGES = 64


class Arbitration:
    """The arbiter of a gate that is being fitted; does nothing where the recipe asks for none.

    Args:
        recipe: What is asked for.
        restorers: By name.

    Attributes:
        arbiter: None until it is fitted, and where the recipe asks for none.
    """

    def __init__(self, recipe: Recipe, restorers: Mapping[str, Restorer]) -> None:
        self._recipe = recipe
        self._restorers = dict(restorers)
        self._budget: Budget | None = None
        self.arbiter: Arbiter | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Restorers between which is chosen; none where the router's word counts."""
        return tuple(sorted(self._restorers)) if self._recipe.restorers.arbitrate else ()

    @property
    def n_attempts(self) -> int:
        """Most attempts at one image."""
        return self._recipe.restorers.max_attempts

    def declare(
        self,
        classifier: Classifier,
        data: Dataset,
        splits: Splits,
        *,
        second_opinion: Classifier | None = None,
    ) -> None:
        """Fix the costs, on *fit* images where they are not given."""
        if not self.names:
            return
        wanted = self._recipe.restorers
        rows = splits.fit[:_TIMED_IMAGES]
        images = data.batch(rows)
        views = self._recipe.predictor.views
        self._budget = Budget(
            costs=declared_costs(self._restorers, classifier, images, rows, given=wanted.costs),
            look_cost=look_cost(classifier, second_opinion, images, n_views=len(views)),
            max_attempts=wanted.max_attempts,
            max_cost=wanted.max_cost,
        )

    def to_try(
        self, router: Router, first: Evidence, explored: StrArray
    ) -> tuple[IntArray, StrArray]:
        """Which restorers are tried on which *fit* looks, to learn from.

        Args:
            router: With an arbiter, all that it allows are tried, too.
            first: First looks, N rows.
            explored: The restorer that is tried on each anyway, "" for none, shape (N,).

        Returns:
            Row and name of each trial; a row occurs once per restorer.
        """
        if not self.names:
            rows = np.flatnonzero(explored != "")
            return rows, explored[rows]
        names = np.array(self.names)
        allowed = router.allowed(first.signals)
        tried = explored[:, None] == names
        for column, name in enumerate(router.restorers):
            tried[:, self.names.index(name)] |= allowed[:, column]
        rows, columns = np.nonzero(tried)
        return rows, names[columns].astype("<U32")

    def fit(self, table: EvidenceTable, restored: EvidenceTable, *, seed: int) -> None:
        """Fit the arbiter on trials.

        Args:
            table: First looks.
            restored: Looks at restored images of some of them.
            seed: The run's seed.
        """
        if self._budget is None:
            return
        rows = restored.raw_rows
        self.arbiter = Arbiter(self._budget).fit(
            table.evidence.take(rows),
            restored.evidence.restorer,
            table.correct[rows],
            restored.correct,
            table.digests[rows],
            seed=seed,
        )

    def said(self, calibrators: Mapping[str, Calibrator]) -> dict[str, Any]:
        """What the certificate says of it; nothing where there is no arbiter."""
        if self.arbiter is None:
            return {}
        measured = self.arbiter.measured_
        return {
            "arbitration": {
                **self.arbiter.config(),
                "cross_fitted": {name: asdict(found) for name, found in sorted(measured.items())},
                "never_tried": sorted(set(self.names) - set(measured)),
                "calibrators": {
                    name: "own" if f"restored/{name}" in calibrators else "pooled"
                    for name in self.names
                },
                "least_rows_per_calibrator": LEAST_ROWS,
            }
        }


def fit_restored_calibrators(
    calibrators: dict[str, Calibrator],
    scores: FloatArray,
    restored: EvidenceTable,
    raw: FloatArray,
    *,
    kind: str,
    each: Sequence[str],
) -> None:
    """Fit the calibrator of all restored looks, and one for each restorer with enough of them.

    Args:
        calibrators: ``"restored"`` is fitted, ``"restored/NAME"`` are added.
        scores: The restored predictor's score of each look, shape (R,).
        restored: The looks, R rows.
        raw: Reliability of the first look at each image, shape (R,).
        kind: A key of ``gatekeeper.calibrators.CALIBRATORS``.
        each: Restorers that may get one of their own; where one has fewer than
            :data:`LEAST_ROWS`, or all its answers are right or all wrong, the pooled one counts.
    """
    chosen = {"restored": np.arange(len(scores))}
    for name in each:
        rows = np.flatnonzero(restored.evidence.restorer == name)
        right = restored.correct[rows]
        if len(rows) >= LEAST_ROWS and right.any() and not right.all():
            chosen[f"restored/{name}"] = rows
            calibrators[f"restored/{name}"] = calibrator(kind)
    for key, rows in chosen.items():
        fitted = calibrators[key]
        context = restored_context(fitted, restored.evidence.take(rows), raw[rows])
        fitted.fit(scores[rows], restored.correct[rows], context=context)
