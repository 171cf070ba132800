"""Recorded attempts: what a gate made, or would make, of the images of an evidence table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from gatekeeper.bundle import FittedGate, raw_context, restored_reliability
from gatekeeper.errors import InputError
from gatekeeper.evidence import EvidenceTable, Plan, TableBuilder
from gatekeeper.gate import Gate
from gatekeeper.mlp import log_softmax
from gatekeeper.protocols import Calibrator, ReliabilityPredictor
from gatekeeper.risk_control import ThresholdPath
from gatekeeper.signals import N_SCALARS
from gatekeeper.types import BoolArray, FloatArray, IntArray, StrArray

_PATH_POINTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Recorded attempts at N images: all that the gate needs to be replayed on them.

    All arrays have one row per image and condition.

    Attributes:
        plan: Image and condition of each row.
        digests: Image digests.
        labels: True class.
        raw_labels: Answer on the image as received.
        msp: Maximum softmax of that answer, the baseline, in [0, 1].
        raw_score: The raw predictor's score; orders finer than the calibrated number.
        raw_reliability: Calibrated, in [0, 1].
        signals: Scalar signals of the image as received, shape (N, D).
        restorers: Name of the restorer tried, "" for none.
        restored_labels: Answer on the restored image; the raw answer where none is on record.
        restored_reliability: In [0, 1]; NaN where no restored attempt is on record.
    """

    plan: Plan
    digests: StrArray
    labels: IntArray
    raw_labels: IntArray
    msp: FloatArray
    raw_score: FloatArray
    raw_reliability: FloatArray
    signals: FloatArray
    restorers: StrArray
    restored_labels: IntArray
    restored_reliability: FloatArray

    def __len__(self) -> int:
        """Number of rows N."""
        return len(self.labels)

    @property
    def raw_correct(self) -> BoolArray:
        """Whether the answer on the image as received is right."""
        return np.asarray(self.raw_labels == self.labels)

    def take(self, rows: IntArray | BoolArray) -> Judged:
        """Some rows, in that order."""
        own = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "plan"}
        return type(self)(plan=self.plan.take(rows), **own)

    @classmethod
    def concatenate(cls, parts: Sequence[Judged]) -> Judged:
        """Several one after another.

        Raises:
            InputError: there is none, their images come from different splits, or some of them
                were judged with several attempts and others with one.
        """
        if not parts or len({(part.plan.split, type(part)) for part in parts}) > 1:
            raise InputError("expected images of one split judged alike, at least one")
        kind = type(parts[0])
        plan = {
            f.name: np.concatenate([getattr(part.plan, f.name) for part in parts])
            for f in fields(Plan)
            if f.name != "split"
        }
        own = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(kind)
            if f.name != "plan"
        }
        return kind(plan=Plan(split=parts[0].plan.split, **plan), **own)

    def without_restoration(self) -> Judged:
        """The same images as if no restorer were at hand."""
        return replace(
            self,
            restorers=np.full(len(self), "", dtype="<U32"),
            restored_labels=self.raw_labels,
            restored_reliability=np.full(len(self), np.nan),
        )

    def settled(self, gate: Gate) -> Judged:
        """The same with the restored attempt that counts for a gate; here there is only one."""
        return self

    def flips(self, margin: float, *, doubt_below: float) -> BoolArray:
        """Whether a right answer may be replaced by a wrong one at some threshold, shape (N,).

        Args:
            margin: The switch margin.
            doubt_below: No raw threshold exceeds it.
        """
        gate = Gate(accept_raw_at=doubt_below, accept_restored_at=0.0, switch_margin=margin)
        keep = gate.replay(self.raw_reliability, self.restored_reliability).keep_restored
        return np.asarray(self.raw_correct & (self.final_labels(keep) != self.labels))

    def final_labels(self, keep_restored: BoolArray) -> IntArray:
        """The answer that counts, before abstention, shape (N,)."""
        return np.where(keep_restored, self.restored_labels, self.raw_labels)

    def counts(self, path: ThresholdPath, margin: float) -> tuple[IntArray, IntArray]:
        """Accepted and wrongly accepted images at every point of a path, shape (M,) each."""
        accepted, wrong = self.steps(path, margin)
        return accepted.sum(axis=0), (accepted & wrong).sum(axis=0)

    def steps(self, path: ThresholdPath, margin: float) -> tuple[BoolArray, BoolArray]:
        """Whether each image is accepted, and its final label wrong, at every point of a path.

        Returns:
            Both of shape (N, M), one column per point.
        """
        accepted = np.empty((len(self), len(path)), dtype=bool)
        wrong = np.empty_like(accepted)
        for point, (raw_at, restored_at) in enumerate(zip(path.raw, path.restored, strict=True)):
            gate = Gate(
                accept_raw_at=float(raw_at),
                accept_restored_at=float(restored_at),
                switch_margin=margin,
            )
            one = self.settled(gate)
            replay = gate.replay(one.raw_reliability, one.restored_reliability)
            accepted[:, point] = replay.accepted
            wrong[:, point] = one.final_labels(replay.keep_restored) != self.labels
        return accepted, wrong


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedPlans(Judged):
    """Recorded attempts where several restorers may be tried on one image, in a planned order.

    ``restorers``, ``restored_labels`` and ``restored_reliability`` are those of the attempt that
    counts for one gate; :meth:`settled` finds it anew for another.

    Attributes:
        tried_restorers: Name of the restorer of each attempt, "" for none, shape (N, A).
        tried_labels: Answer after it; the raw answer where none is on record, shape (N, A).
        tried_reliability: In [0, 1]; NaN where none is on record, shape (N, A).
    """

    tried_restorers: StrArray
    tried_labels: IntArray
    tried_reliability: FloatArray

    def without_restoration(self) -> JudgedPlans:
        """The same images as if no restorer were at hand."""
        nothing = np.full(self.tried_labels.shape, np.nan)
        return replace(
            self,
            restorers=np.full(len(self), "", dtype="<U32"),
            restored_labels=self.raw_labels,
            restored_reliability=nothing[:, 0],
            tried_restorers=np.full(nothing.shape, "", dtype="<U32"),
            tried_labels=np.broadcast_to(self.raw_labels[:, None], nothing.shape),
            tried_reliability=nothing,
        )

    def settled(self, gate: Gate) -> JudgedPlans:
        """The same with the restored attempt that counts for a gate (see :meth:`Gate.resting`)."""
        rows = np.arange(len(self))
        column = gate.resting(self.raw_reliability, self.tried_reliability)
        # Where nothing was tried, every column holds the raw answer and no reliability.
        return replace(
            self,
            restorers=self.tried_restorers[rows, column],
            restored_labels=self.tried_labels[rows, column],
            restored_reliability=self.tried_reliability[rows, column],
        )

    def flips(self, margin: float, *, doubt_below: float) -> BoolArray:
        """Whether a right answer may be replaced by a wrong one at some threshold, shape (N,)."""
        gate = Gate(accept_raw_at=doubt_below, accept_restored_at=0.0, switch_margin=margin)
        doubted = self.raw_correct & (self.raw_reliability < doubt_below)
        may_count = gate.met(self.raw_reliability[:, None], self.tried_reliability)
        wrong = self.tried_labels != self.labels[:, None]
        return np.asarray(doubted & (may_count & wrong).any(axis=1))


def sweep(judged: Judged, margin: float, *, doubt_below: float = 1.0) -> ThresholdPath:
    """One threshold on both reliabilities, at the quantiles of the attempts that would be kept."""
    # Nothing is accepted after restoration here, so that the most reliable attempt is kept.
    gate = Gate(accept_raw_at=doubt_below, accept_restored_at=2.0, switch_margin=margin)
    best = judged.settled(gate)
    kept = gate.replay(best.raw_reliability, best.restored_reliability).kept_reliability
    levels = np.unique(np.quantile(kept, np.linspace(0.0, 1.0, _PATH_POINTS)))[::-1]
    return ThresholdPath(raw=np.minimum(levels, doubt_below), restored=levels)


def mixed_rows(n_clean: int, n_degraded: int, clean_share: float) -> IntArray:
    """Rows of [clean…, degraded…] in the declared proportion, as many as possible.

    Args:
        n_clean: Rows at clean images.
        n_degraded: Rows at degraded images, which come after them.
        clean_share: Share of clean images, in [0, 1].

    Raises:
        InputError: the mix asks for rows of which there are none.

    Example:
        >>> mixed_rows(2, 4, 0.5).tolist()
        [0, 1, 2, 3]
    """
    clean, degraded = np.arange(n_clean), n_clean + np.arange(n_degraded)
    if clean_share in (0.0, 1.0):
        return clean if clean_share else degraded
    if not n_clean or not n_degraded:
        raise InputError("expected clean and degraded rows for a mix of both")
    total = min(n_clean / clean_share, n_degraded / (1.0 - clean_share))
    n_kept = round(total * clean_share), round(total * (1.0 - clean_share))
    return np.concatenate([clean[: n_kept[0]], degraded[: n_kept[1]]])


def judge(
    fitted: FittedGate, table: EvidenceTable, builder: TableBuilder, *, doubt_below: float
) -> Judged:
    """Attempts at the images of a raw table, as a fitted gate makes them.

    Args:
        fitted: The gate.
        table: Raw looks.
        builder: Makes the restored looks.
        doubt_below: Raw reliability below which a restored look is taken where a restorer fits.
    """
    calibrator = fitted.calibrators["raw"]
    score = fitted.predictors["raw"].score(table.evidence)
    raw = calibrator.reliability(score, context=raw_context(calibrator, table.evidence))
    plans = fitted.plan(table.evidence)
    restored = restored_looks(plans, table, raw, builder, doubt_below=doubt_below)
    judged = judged_with(
        table,
        score,
        raw,
        restored,
        fitted.predictors["restored"],
        fitted.calibrators,
        n_attempts=plans.shape[1],
    )
    return judged.settled(fitted.gate)


def restored_looks(
    plans: StrArray,
    table: EvidenceTable,
    raw: FloatArray,
    builder: TableBuilder,
    *,
    doubt_below: float,
) -> EvidenceTable:
    """Looks at the restored images of the doubted rows of a raw table, one per restorer planned.

    Args:
        plans: Restorers to try on each row, in order, then "", shape (N, A).
        table: Raw looks, N rows.
        raw: Calibrated raw reliability, shape (N,).
        builder: Makes the looks.
        doubt_below: Raw reliability below which they are taken.
    """
    rows, columns = np.nonzero((raw < doubt_below)[:, None] & (plans != ""))
    return builder.restored(table, rows, plans[rows, columns])


def judged_with(
    table: EvidenceTable,
    score: FloatArray,
    raw: FloatArray,
    restored: EvidenceTable,
    predictor: ReliabilityPredictor,
    calibrators: Mapping[str, Calibrator],
    *,
    n_attempts: int = 1,
) -> Judged:
    """Join raw and restored looks to attempts, with the parts of a gate that is being fitted.

    Args:
        table: Raw looks.
        score: The raw predictor's score of each, shape (N,).
        raw: Calibrated raw reliability, shape (N,).
        restored: Looks at the restored images of some of them, row by row in the order of trying.
        predictor: Of restored looks.
        calibrators: Those of restored looks are used, with the raw reliability as context.
        n_attempts: Most attempts at one image, A.

    Returns:
        With several attempts :class:`JudgedPlans`, in which the first one counts until it is
        settled for a gate.
    """
    shape = (len(table), n_attempts)
    labels = np.repeat(table.evidence.labels[:, None], n_attempts, axis=1)
    reliability = np.full(shape, np.nan)
    names = np.full(shape, "", dtype="<U32")
    rows = restored.raw_rows
    if len(rows):
        columns = np.arange(len(rows)) - np.searchsorted(rows, rows, side="left")
        labels[rows, columns] = restored.evidence.labels
        names[rows, columns] = restored.evidence.restorer
        scores = predictor.score(restored.evidence)
        reliability[rows, columns] = restored_reliability(
            calibrators, scores, restored.evidence, raw[rows]
        )
    one = Judged(
        plan=table.plan,
        digests=table.digests,
        labels=table.labels,
        raw_labels=table.evidence.labels,
        msp=np.exp(log_softmax(table.evidence.logits).max(axis=1)),
        raw_score=score,
        raw_reliability=raw,
        signals=table.evidence.signals[:, :N_SCALARS].copy(),
        restorers=names[:, 0],
        restored_labels=labels[:, 0],
        restored_reliability=reliability[:, 0],
    )
    if n_attempts == 1:
        return one
    return JudgedPlans(
        **{f.name: getattr(one, f.name) for f in fields(Judged)},
        tried_restorers=names,
        tried_labels=labels,
        tried_reliability=reliability,
    )
