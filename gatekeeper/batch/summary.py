"""What a batch came to: counted row by row, so that any number of rows takes no memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from gatekeeper.batch.arrow import pa, pc
from gatekeeper.batch.rows import TIMINGS, Facts

N_BINS = 20
"""Bins of the histogram of reliability, of equal width."""

_EXAMPLES = 20


class Tally:
    """Adds up tables of rows.

    Args:
        facts: The same for every row.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._counts: dict[str, Counter[str]] = {
            name: Counter()
            for name in (
                *("action", "reason", "error", "restorer", "class_name"),
                *("policy", "degraded", "symptoms"),
            )
        }
        self._n = 0
        self._restored_accepted = 0
        self._histogram = np.zeros(N_BINS, dtype=np.int64)
        self._expected_right = 0.0
        self._ms = dict.fromkeys(TIMINGS, 0.0)
        self._examples: list[dict[str, str]] = []

    def add(self, table: pa.Table) -> None:
        """Count the rows of a table."""
        self._n += len(table)
        for name, counts in self._counts.items():
            counts.update(_counted(table.column(name), name))
        accepted = pc.fill_null(pc.equal(table.column("action"), "accept"), False)
        kept = table.filter(accepted)
        self._restored_accepted += int(
            pc.sum(pc.equal(kept.column("reason"), "GK110")).as_py() or 0
        )
        self._expected_right += float(pc.sum(kept.column("reliability")).as_py() or 0.0)
        reliability = table.column("reliability").drop_null().to_numpy()
        bins = np.minimum((reliability * N_BINS).astype(np.int64), N_BINS - 1)
        self._histogram += np.bincount(bins, minlength=N_BINS)
        for name in TIMINGS:
            self._ms[name] += float(pc.sum(table.column(name)).as_py() or 0.0)
        self._note_errors(table)

    def _note_errors(self, table: pa.Table) -> None:
        if len(self._examples) < _EXAMPLES:
            broken = table.filter(pc.is_valid(table.column("error")))
            rows = broken.select(["path", "error", "error_text"]).slice(0, _EXAMPLES).to_pylist()
            self._examples = [*self._examples, *rows][:_EXAMPLES]

    @property
    def failure_rate(self) -> float:
        """Share of the rows that hold an error, in [0, 1]; 0 where there are no rows."""
        return sum(self._counts["error"].values()) / self._n if self._n else 0.0

    def _is_below_certificate(self, accepted: int) -> bool:
        """Whether the accepted answers look worse than certified: unlike images, most likely."""
        certificate = self._facts.certificate
        if not (accepted and certificate["certified"]):
            return False
        return bool(self._expected_right / accepted < 1 - certificate["target_risk"])

    def to_json(self) -> dict[str, Any]:
        """The summary, JSON-ready; a share that is not defined is None."""
        actions = self._counts["action"]
        decided = sum(actions.values())
        accepted = actions["accept"]
        return {
            "n_images": self._n,
            "n_decided": decided,
            "n_accepted": accepted,
            "n_abstained": actions["abstain"],
            "n_restored": sum(self._counts["restorer"].values()),
            "n_accepted_after_restoration": self._restored_accepted,
            "n_errors": self._n - decided,
            "failure_rate": self.failure_rate,
            "coverage": _share(accepted, decided),
            "expected_accuracy": _share(self._expected_right, accepted),
            "below_certificate": self._is_below_certificate(accepted),
            "reasons": _sorted(self._counts["reason"]),
            "errors": _sorted(self._counts["error"]),
            "error_examples": self._examples,
            "restorers": _sorted(self._counts["restorer"]),
            "accepted_classes": {
                name: self._counts["class_name"][name] for name in self._facts.class_names
            },
            "policies": _sorted(self._counts["policy"]),
            "degraded": _sorted(self._counts["degraded"]),
            "symptoms": _sorted(self._counts["symptoms"]),
            "reliability_histogram": self._histogram.tolist(),
            "stage_seconds": {name: total / 1000 for name, total in self._ms.items()},
            "versions": {
                "gatekeeper": self._facts.gatekeeper,
                "bundle": self._facts.bundle,
                "classifier": self._facts.classifier,
            },
            "certificate": {
                key: self._facts.certificate.get(key)
                for key in ("certified", "target_risk", "confidence_level", "reason")
            },
        }


def _counted(column: pa.ChunkedArray, name: str) -> Mapping[str, int]:
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    counts: Counter[str] = Counter()
    for each in pc.value_counts(column.drop_null()).to_pylist():
        value = each["values"]
        # "noise, sigma about 0.12": what it is, without how much of it.
        counts[value.partition(",")[0] if name == "symptoms" else value] += each["counts"]
    return counts


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))
