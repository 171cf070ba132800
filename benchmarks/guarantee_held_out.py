"""Windows of images under conditions that a gate was not fitted on, from raw looks alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.guarantee_arrays import AnyArray, coded
from benchmarks.guarantee_watch import shuffled, window_p_values
from benchmarks.study import VIEWS, Study
from gatekeeper.bundle import FittedGate
from gatekeeper.corruptions import corruption
from gatekeeper.errors import InputError
from gatekeeper.evidence import CELL_ROWS, Plan, TableBuilder, degrade
from gatekeeper.mlp import log_softmax
from gatekeeper.progress import Progress
from gatekeeper.protocols import Classifier, Evidence
from gatekeeper.recipe import Recipe
from gatekeeper.signals import N_SCALARS
from gatekeeper.types import IntArray

LEAST_SEVERITY = 3
"""Held-out conditions are judged from this severity on."""


def held_out_windows(
    fitted: FittedGate, study: Study, names: Sequence[str], progress: Progress
) -> dict[str, AnyArray]:
    """How likely the conditions test finds windows of one corruption at one severity.

    The looks are the cells of the study's grid. Every cell's images are dealt to windows in the
    same shuffled order.

    Args:
        fitted: The gate.
        study: With one classifier, the gate's.
        names: Corruptions that the gate has not seen.
        progress: Told of the looks.

    Returns:
        ``held_out`` (C, longest name) and ``severities`` (C,) of each cell, ``held_out_p`` (C, W),
        the p-values of its windows.
    """
    plan = study.plan("test")
    wanted = np.isin(plan.corruptions, names) & (plan.severities >= LEAST_SEVERITY)
    (classifier,) = study.classifiers.values()
    builder = TableBuilder(
        study.data, classifier, {}, cache=study.cache, progress=progress, views=VIEWS
    )
    signals, reliability = [], []
    for rows in _chunks(plan):
        if wanted[rows].any():
            chosen = np.flatnonzero(wanted[rows])
            looks = builder.raw(plan.take(rows)).evidence.take(chosen)
            looks = with_views(looks, fitted.views)
            looks = with_second_opinion(looks, study, plan.take(rows).take(chosen), fitted.second)
            signals.append(looks.signals[:, :N_SCALARS])
            reliability.append(fitted.raw_reliability(looks))
    n_images = len(study.splits.test)
    order = shuffled(n_images, 0)
    by_cell = (-1, n_images)
    columns = np.concatenate(signals).reshape(*by_cell, N_SCALARS)
    stated = np.concatenate(reliability).reshape(by_cell)
    first = np.flatnonzero(wanted).reshape(by_cell)[:, 0]
    return {
        "held_out": coded(plan.corruptions[first]),
        "severities": plan.severities[first],
        "held_out_p": np.stack(
            [
                window_p_values(fitted.conditions, own, reliable, order)
                for own, reliable in zip(columns, stated, strict=True)
            ]
        ),
    }


def _chunks(plan: Plan) -> Iterator[IntArray]:
    """Row numbers cell by cell, as the study fills them."""
    for start in range(0, len(plan), CELL_ROWS):
        yield np.arange(start, min(start + CELL_ROWS, len(plan)))


def unseen(recipe: Recipe, names: Sequence[str]) -> tuple[str, ...]:
    """The corruptions none of whose families the recipe was fitted on."""
    seen = {family for name in recipe.conditions.seen for family in corruption(name).families}
    return tuple(name for name in names if seen.isdisjoint(corruption(name).families))


def with_second_opinion(
    looks: Evidence, study: Study, plan: Plan, second: Classifier | None
) -> Evidence:
    """Looks with what a gate's second opinion says of the same images as the last probes.

    The study asks none: each gate has its own.
    """
    if second is None:
        return looks
    images = degrade(study.data.batch(plan.positions), plan)
    said = log_softmax(second.look(images).logits).astype(np.float32)
    return replace(looks, probes=np.concatenate([looks.probes, said], axis=1))


def with_views(looks: Evidence, views: Sequence[str]) -> Evidence:
    """Looks that were asked for all the study's views, with the probes of some views alone.

    Raises:
        InputError: the study does not ask for a view.
    """
    if missing := sorted(set(views) - set(VIEWS)):
        raise InputError(
            f"expected views among those of benchmarks.study ({', '.join(VIEWS)}), "
            f"got {', '.join(missing)}"
        )
    n_classes = looks.logits.shape[1]
    columns = [VIEWS.index(view) * n_classes + np.arange(n_classes) for view in views]
    chosen = np.concatenate(columns) if columns else np.arange(0)
    return replace(looks, probes=looks.probes[:, chosen])
