"""Looks become evidence, and evidence becomes tables.

Cells are cached on disk by the hash of all that determines them, so a run that was cut short
continues and a redraw costs seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from torch import Tensor

from gatekeeper.corruptions import corruption
from gatekeeper.errors import InputError
from gatekeeper.evidence.plans import Plan, degrade
from gatekeeper.evidence.table import EvidenceTable
from gatekeeper.images import Dataset
from gatekeeper.mlp import log_softmax
from gatekeeper.progress import Progress, Silent
from gatekeeper.protocols import Classifier, Evidence, LogitsKind, Restorer
from gatekeeper.signals import SIGNALS_VERSION, read_signals
from gatekeeper.types import FloatArray, IntArray, StrArray
from gatekeeper.views import VIEWS, check_views

CELL_ROWS = 2048
"""Rows per cached cell: what is lost at most when a run is killed."""

_BATCH = 256
_TABLE_VERSION = 2


def _chunks(n_rows: int, size: int) -> list[IntArray]:
    """Row numbers in runs of at most ``size``; one empty run where there is no row."""
    return [np.arange(start, min(start + size, n_rows)) for start in range(0, max(1, n_rows), size)]


def collect(
    classifier: Classifier,
    images: Tensor,
    seeds: IntArray,
    restorer: StrArray | None = None,
    *,
    views: Sequence[str] = (),
    second_opinion: Classifier | None = None,
) -> Evidence:
    """One look at a batch: everything a predictor may read.

    Args:
        classifier: The frozen classifier.
        images: Shape (B, 3, H, W).
        seeds: Shape (B,).
        restorer: Name of the restorer behind each image, "" or None for raw ones.
        views: Views that the classifier is asked about, too; each costs another pass, and gives
            the log-probabilities of its K classes as probes.
        second_opinion: Another classifier of the same classes, whose log-probabilities are the last
            probes.
    """
    look = classifier.look(images)
    probes = [log_softmax(classifier.look(VIEWS[name](images)).logits) for name in views]
    if second_opinion is not None:
        probes.append(log_softmax(second_opinion.look(images).logits))
    return Evidence(
        logits=look.logits,
        logits_kind=look.kind,
        features=look.features,
        signals=read_signals(images),
        probes=np.concatenate(probes, axis=1).astype(np.float32)
        if probes
        else np.zeros((len(images), 0), dtype=np.float32),
        seeds=seeds,
        restorer=np.full(len(images), "", dtype="<U32") if restorer is None else restorer,
    )


def restore_rows(
    restorers: Mapping[str, Restorer], images: Tensor, names: StrArray, seeds: IntArray
) -> Tensor:
    """Send each image through the restorer of its row.

    Raises:
        InputError: a row names a restorer that is not there.
    """
    restored = images.clone()
    for name in sorted(set(names.tolist())):
        if name not in restorers:
            raise InputError(f"expected a restorer among {sorted(restorers)}, got {name!r}")
        rows = np.flatnonzero(names == name)
        restored[rows] = restorers[name].restore(images[rows], seeds=seeds[rows])
    return restored


class TableBuilder:
    """Makes evidence tables from plans.

    Args:
        data: The data set.
        classifier: The frozen classifier.
        restorers: By name.
        cache: Folder for finished cells; None keeps none.
        progress: Told of every table that is made, in rows.
        views: Views that the classifier is asked about, too (see :func:`collect`).
        second_opinion: Another classifier that is asked, too.
    """

    def __init__(
        self,
        data: Dataset,
        classifier: Classifier,
        restorers: Mapping[str, Restorer],
        *,
        cache: Path | None = None,
        progress: Progress | None = None,
        views: Sequence[str] = (),
        second_opinion: Classifier | None = None,
    ) -> None:
        self.data = data
        self.classifier = classifier
        self.restorers = restorers
        self.cache = cache
        self.progress: Progress = progress or Silent()
        self.views = check_views(views)
        self.second_opinion = second_opinion
        self._kind_: LogitsKind | None = None

    def raw(self, plan: Plan) -> EvidenceTable:
        """Looks at the images as they arrive."""
        return self._table(plan, np.full(len(plan), "", dtype="<U32"), None)

    def restored(
        self, table: EvidenceTable, rows: IntArray, restorer_names: StrArray
    ) -> EvidenceTable:
        """Looks at the restored images of some rows of a raw table.

        Args:
            table: Raw looks.
            rows: Which rows, shape (R,).
            restorer_names: The restorer for each of them, shape (R,).
        """
        first = table.evidence.take(rows)
        made = self._table(table.plan.take(rows), restorer_names.astype("<U32"), first)
        return replace(made, raw_rows=np.asarray(rows))

    def _table(self, plan: Plan, names: StrArray, first: Evidence | None) -> EvidenceTable:
        kind = "looks" if first is None else "restored looks"
        self.progress.start(f"{plan.split}: {kind}", len(plan))
        cells = [self._cell(plan.take(rows), names[rows]) for rows in _chunks(len(plan), CELL_ROWS)]
        arrays = {key: np.concatenate([cell[key] for cell in cells]) for key in cells[0]}
        evidence = Evidence(
            logits=arrays["logits"],
            logits_kind=self._kind(),
            features=arrays.get("features"),
            signals=arrays["signals"],
            probes=arrays["probes"],
            seeds=plan.seeds,
            restorer=names,
            raw=first,
        )
        return EvidenceTable(
            plan=plan,
            digests=self.data.digests[plan.positions],
            labels=self.data.labels[plan.positions],
            evidence=evidence,
            raw_rows=np.arange(len(plan)),
        )

    def _kind(self) -> LogitsKind:
        if self._kind_ is None:
            self._kind_ = self.classifier.look(self.data.batch(np.arange(1))).kind
        return self._kind_

    def _cell(self, plan: Plan, names: StrArray) -> dict[str, FloatArray]:
        path = None if self.cache is None else self.cache / f"{self._key(plan, names)}.safetensors"
        if path is not None and path.is_file():
            arrays = load_file(path)
            self.progress.advance(len(plan))
            return arrays
        parts = [self._batch(plan.take(rows), names[rows]) for rows in _chunks(len(plan), _BATCH)]
        arrays = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            save_file(arrays, unfinished)
            unfinished.replace(path)
        return arrays

    def _batch(self, plan: Plan, names: StrArray) -> dict[str, FloatArray]:
        if not len(plan):
            # A classifier takes no empty batch; one look tells the widths of the empty arrays.
            one = self.data.batch(np.arange(1))
            seeds = np.zeros(1, dtype=np.int64)
            evidence = self._look(one, seeds, None).take(np.arange(0))
        else:
            images = self.scene(plan)
            if names[0]:
                images = restore_rows(self.restorers, images, names, plan.seeds)
            evidence = self._look(images, plan.seeds, names)
        self.progress.advance(len(plan))
        arrays = {
            "logits": evidence.logits,
            "signals": evidence.signals,
            "probes": evidence.probes,
        }
        return arrays if evidence.features is None else {**arrays, "features": evidence.features}

    def _look(self, images: Tensor, seeds: IntArray, names: StrArray | None) -> Evidence:
        return collect(
            self.classifier,
            images,
            seeds,
            names,
            views=self.views,
            second_opinion=self.second_opinion,
        )

    def scene(self, plan: Plan) -> Tensor:
        """The images of a plan under their conditions, shape (B, 3, H, W)."""
        return degrade(self.data.batch(plan.positions), plan)

    def _key(self, plan: Plan, names: StrArray) -> str:
        # Once per restorer: a digest is taken over all of its weights.
        digest_of = {n: self.restorers[n].digest if n else "" for n in set(names.tolist())}
        facts = {
            "version": _TABLE_VERSION,
            "signals": SIGNALS_VERSION,
            "classifier": self.classifier.digest,
            "images": self.data.digests[plan.positions].tolist(),
            "size": list(self.data.image_size),
            "corruptions": plan.corruptions.tolist(),
            "tables": {
                n: corruption(n).table_for(*self.data.image_size)
                for n in sorted(set(plan.corruptions))
                if n
            },
            "views": self.views,
            "severities": plan.severities.tolist(),
            "seeds": plan.seeds.tolist(),
            "restorers": [digest_of[name] for name in names.tolist()],
        }
        if self.second_opinion is not None:
            facts["second opinion"] = self.second_opinion.digest
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
