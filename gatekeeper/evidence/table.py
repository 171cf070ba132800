"""The evidence table: one row per look at one base image under one condition.

Everything that is fitted, certified, judged or reported reads such tables; after them nothing
touches an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatekeeper.errors import InputError
from gatekeeper.evidence.plans import Plan
from gatekeeper.protocols import Evidence
from gatekeeper.types import BoolArray, IntArray, StrArray


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
