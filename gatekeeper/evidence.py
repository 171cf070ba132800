"""The evidence table: one row per look at one base image under one condition.

Everything that is fitted, certified, judged or reported reads such tables; after them nothing
touches an image. Cells are cached on disk by the hash of all that determines them, so a run that
was cut short continues and a redraw costs seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from gatekeeper.corruptions import SEVERITIES, corruption
from gatekeeper.errors import InputError
from gatekeeper.images import Dataset, seeds_for
from gatekeeper.mlp import log_softmax
from gatekeeper.progress import Progress, Silent
from gatekeeper.protocols import Classifier, Evidence, LogitsKind, Restorer
from gatekeeper.signals import SIGNALS_VERSION, read_signals
from gatekeeper.types import BoolArray, FloatArray, IntArray, StrArray
from gatekeeper.views import VIEWS, check_views

CELL_ROWS = 2048
"""Rows per cached cell: what is lost at most when a run is killed."""

_BATCH = 256
_TABLE_VERSION = 2
_UNIT = 2.0**-62
_SEVERITY_RANGE = (0.5, 5.5)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Which images are looked at, and under which condition; all arrays have shape (N,).

    Attributes:
        split: Name of the split that the images come from.
        positions: Positions in the data set.
        corruptions: Name of the corruption, "" for clean.
        severities: 1…5, whole numbers or between them (see ``draw_wide_plan``); 0 where clean.
        seeds: Seed of each row's corruption and restoration.
    """

    split: str
    positions: IntArray
    corruptions: StrArray
    severities: IntArray | FloatArray
    seeds: IntArray

    def __len__(self) -> int:
        """Number of rows N."""
        return len(self.positions)

    def take(self, rows: IntArray | BoolArray) -> Plan:
        """The plan of some rows, in that order."""
        return replace(
            self,
            positions=self.positions[rows],
            corruptions=self.corruptions[rows],
            severities=self.severities[rows],
            seeds=self.seeds[rows],
        )


def draw_plan(
    data: Dataset,
    split: str,
    positions: IntArray,
    *,
    corruptions: Sequence[str],
    clean_share: float,
    seed: int,
    purpose: str,
) -> Plan:
    """A stream: each image once, under one condition drawn from a mix.

    Args:
        data: The data set.
        split: Name of the split.
        positions: The base images, each once.
        corruptions: Corruptions of the mix, each as often as the others, severities evenly.
        clean_share: Share of clean images, in [0, 1].
        seed: The run's seed.
        purpose: Different purposes draw independently.

    Raises:
        InputError: an image occurs twice, or there is no corruption to draw.
    """
    if len(np.unique(positions)) != len(positions):
        raise InputError("a stream holds each base image at most once; an image occurs twice")
    if not corruptions and clean_share < 1:
        raise InputError("expected at least one corruption, or a clean share of 1")
    digests = data.digests[positions]
    clean = _uniform(seed, digests, f"{purpose}/clean") < clean_share
    names = np.array([*corruptions, ""])
    kind = (_uniform(seed, digests, f"{purpose}/corruption") * len(corruptions)).astype(int)
    level = 1 + (_uniform(seed, digests, f"{purpose}/severity") * len(SEVERITIES)).astype(int)
    return Plan(
        split=split,
        positions=np.asarray(positions),
        corruptions=np.where(clean, "", names[kind]),
        severities=np.where(clean, 0, level),
        seeds=seeds_for(seed, digests, f"{purpose}/noise"),
    )


def draw_wide_plan(
    data: Dataset,
    split: str,
    positions: IntArray,
    *,
    corruptions: Sequence[str],
    looks_per_image: int,
    composed_share: float,
    seed: int,
    purpose: str,
) -> Plan:
    """Looks for fitting: every image clean once, then under conditions drawn at random.

    Severities are drawn evenly from 0.5…5.5 and not from the five of the tables, and some
    conditions are compositions of two corruptions, so that what is learned from them is a matter of
    degree and not of a list. Rows share images: for fitting, never for certifying.

    Args:
        data: The data set.
        split: Name of the split.
        positions: The base images, each once.
        corruptions: What conditions are drawn from, evenly.
        looks_per_image: Rows per image, at least 1; the first is clean.
        composed_share: Share of the other rows that are compositions, in [0, 1].
        seed: The run's seed.
        purpose: Different purposes draw independently.

    Raises:
        InputError: there is no corruption to draw and more than one look is asked for.
    """
    if not corruptions and looks_per_image > 1:
        raise InputError("expected at least one corruption, or one look per image")
    digests, names = data.digests[positions], np.array([*corruptions, ""])
    kinds, severities, seeds = [np.full(len(digests), "")], [np.zeros(len(digests))], []
    seeds.append(seeds_for(seed, digests, f"{purpose}/0/noise"))
    for look in range(1, looks_per_image):
        draw = [_uniform(seed, digests, f"{purpose}/{look}/{n}") for n in range(4)]
        first = names[(draw[0] * len(corruptions)).astype(int)]
        second = names[(draw[1] * len(corruptions)).astype(int)]
        composed = (draw[2] < composed_share) & (first != second)
        joined = np.char.add(np.char.add(first, "+"), second)
        kinds.append(np.where(composed, joined, first))
        # Two at once are each milder: a composition is not meant to be beyond recognition.
        strength = _SEVERITY_RANGE[0] + draw[3] * (_SEVERITY_RANGE[1] - _SEVERITY_RANGE[0])
        severities.append(np.where(composed, np.maximum(strength / 2, 0.5), strength))
        seeds.append(seeds_for(seed, digests, f"{purpose}/{look}/noise"))
    return Plan(
        split=split,
        positions=np.tile(positions, looks_per_image),
        corruptions=np.concatenate(kinds),
        severities=np.concatenate(severities),
        seeds=np.concatenate(seeds),
    )


def _uniform(seed: int, digests: StrArray, purpose: str) -> FloatArray:
    return (seeds_for(seed, digests, purpose) >> 1) * _UNIT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvidenceTable:
    """Looks with all that is known about them; N rows.

    Attributes:
        plan: Image and condition of each row.
        digests: Image digest of each row, shape (N,).
        labels: True class, shape (N,).
        evidence: Logits, features, signals, probes; ``evidence.restorer`` is "" for raw looks.
        raw_rows: For looks at restored images, the row of the first look in its table; for raw
            looks the row's own number. Shape (N,).
    """

    plan: Plan
    digests: StrArray
    labels: IntArray
    evidence: Evidence
    raw_rows: IntArray

    def __len__(self) -> int:
        """Number of rows N."""
        return len(self.labels)

    def take(self, rows: IntArray | BoolArray) -> EvidenceTable:
        """Some rows, in that order."""
        return EvidenceTable(
            plan=self.plan.take(rows),
            digests=self.digests[rows],
            labels=self.labels[rows],
            evidence=self.evidence.take(rows),
            raw_rows=self.raw_rows[rows],
        )

    @classmethod
    def concatenate(cls, tables: Sequence[EvidenceTable]) -> EvidenceTable:
        """Raw tables of the same split one after another.

        Raises:
            InputError: there is none, splits differ, or a table holds restored looks.
        """
        if not tables or len({t.plan.split for t in tables}) > 1:
            raise InputError("expected tables of one split, at least one")
        if any(t.evidence.raw is not None for t in tables):
            raise InputError("expected raw tables; restored looks point into their own raw table")
        plans, looks = [t.plan for t in tables], [t.evidence for t in tables]
        features = [look.features for look in looks if look.features is not None]
        return cls(
            plan=Plan(
                split=plans[0].split,
                positions=np.concatenate([p.positions for p in plans]),
                corruptions=np.concatenate([p.corruptions for p in plans]),
                severities=np.concatenate([p.severities for p in plans]),
                seeds=np.concatenate([p.seeds for p in plans]),
            ),
            digests=np.concatenate([t.digests for t in tables]),
            labels=np.concatenate([t.labels for t in tables]),
            evidence=Evidence(
                logits=np.concatenate([e.logits for e in looks]),
                logits_kind=looks[0].logits_kind,
                features=np.concatenate(features) if len(features) == len(looks) else None,
                signals=np.concatenate([e.signals for e in looks]),
                probes=np.concatenate([e.probes for e in looks]),
                seeds=np.concatenate([e.seeds for e in looks]),
                restorer=np.concatenate([e.restorer for e in looks]),
            ),
            raw_rows=np.arange(sum(len(t) for t in tables)),
        )

    @property
    def correct(self) -> BoolArray:
        """Whether each look's answer is right, shape (N,)."""
        return np.asarray(self.evidence.labels == self.labels)


def require_one_row_per_image(digests: StrArray) -> None:
    """The door to certification: refuse a base image that occurs twice.

    Args:
        digests: Image digest of each row, shape (N,).

    Raises:
        InputError: dependent rows would void the exact binomial.
    """
    n_images = len(np.unique(digests))
    if n_images != len(digests):
        raise InputError(
            f"certification takes one row per base image, got {len(digests)} rows of {n_images} "
            "images: draw each image under one condition"
        )


def _chunks(n_rows: int, size: int) -> list[IntArray]:
    """Row numbers in runs of at most ``size``; one empty run where there is no row."""
    return [np.arange(start, min(start + size, n_rows)) for start in range(0, max(1, n_rows), size)]


def degrade(images: Tensor, plan: Plan) -> Tensor:
    """Put each image (B, 3, H, W) under its row's condition; the input is left untouched."""
    degraded = images.clone()
    whole = plan.severities == np.floor(plan.severities)
    for name in sorted(set(plan.corruptions.tolist()) - {""}):
        named = plan.corruptions == name
        for severity in sorted(set(plan.severities[named & whole].tolist())):
            rows = np.flatnonzero(named & (plan.severities == severity))
            degraded[rows] = corruption(name)(
                images[rows], severity=int(severity), seeds=plan.seeds[rows]
            )
        rows = np.flatnonzero(named & ~whole)
        if len(rows):
            level = torch.from_numpy(plan.severities[rows].astype(np.float32))
            degraded[rows] = corruption(name).at_severity(
                images[rows], severity=level, seeds=plan.seeds[rows]
            )
    return degraded


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
