"""Fits a challenger: predictors and router learn from the traffic too, the rest as in fitting.

Labels of abstentions train the raw and the restored predictor, weighted by repetition; captured
images without labels teach the router what the traffic looks like. Where there is a labelled random
sample of the traffic, calibrators, margin, path and certificate read its parts in place of the
champion's *calibrate* and *certify*; without one they read those, and the certificate speaks of the
champion's conditions only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from gatekeeper.bundle import ClassifierSpec, SecondOpinion, raw_context
from gatekeeper.evidence import EvidenceTable, Plan, TableBuilder
from gatekeeper.fitting import Fitter
from gatekeeper.images import Dataset, Splits, seeds_for
from gatekeeper.judging import Judged
from gatekeeper.protocols import Classifier, Evidence, Restorer
from gatekeeper.recipe import Recipe
from gatekeeper.routing import CLEAN, Router
from gatekeeper.types import IntArray, StrArray

CAPTURED = "captured"
"""Name under which the router knows what the captured images look like."""

_TRAFFIC = "traffic/"
_EXPLORED = 0.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traffic:
    """Captured images and what each may be used for; all rows are positions in ``data``.

    Attributes:
        data: Captured images and the labelled sample, at the gate's size.
        seen: Images whose look the router learns, labelled or not.
        learn: Labelled images that train the predictors, repeated as their weights say.
        calibrate: Of the random labelled sample; empty without one.
        certify: Of the random labelled sample; empty without one.
        judge: Labelled images that judge champion and challenger; may be empty.
        draws: Labelled random draws of answers that the champion accepted, for the re-check.
    """

    data: Dataset
    seen: IntArray
    learn: IntArray
    calibrate: IntArray
    certify: IntArray
    judge: IntArray
    draws: IntArray

    @property
    def sampled(self) -> bool:
        """Whether there is a random labelled sample to calibrate and certify on."""
        return bool(len(self.calibrate) and len(self.certify))

    def plan(self, purpose: str, rows: IntArray, *, seed: int) -> Plan:
        """Looks at traffic images as they came."""
        return Plan(
            split=f"{_TRAFFIC}{purpose}",
            positions=rows,
            corruptions=np.full(len(rows), "", dtype="<U1"),
            severities=np.zeros(len(rows), dtype=np.int64),
            seeds=seeds_for(seed, self.data.digests[rows], "traffic"),
        )


class TwoSources(TableBuilder):
    """Evidence of the champion's data, and of the traffic where a plan is of the traffic.

    Args:
        original: Makes tables of the champion's data.
        traffic: The traffic's images.
    """

    def __init__(self, original: TableBuilder, traffic: Dataset) -> None:
        super().__init__(
            original.data,
            original.classifier,
            original.restorers,
            cache=original.cache,
            progress=original.progress,
            views=original.views,
            second_opinion=original.second_opinion,
        )
        self.traffic = TableBuilder(
            traffic,
            original.classifier,
            original.restorers,
            cache=original.cache,
            progress=original.progress,
            views=original.views,
            second_opinion=original.second_opinion,
        )

    def raw(self, plan: Plan) -> EvidenceTable:
        """Looks at the images as they arrive."""
        return self.traffic.raw(plan) if _of_traffic(plan) else super().raw(plan)

    def restored(
        self, table: EvidenceTable, rows: IntArray, restorer_names: StrArray
    ) -> EvidenceTable:
        """Looks at restored images; see :class:`gatekeeper.evidence.TableBuilder`."""
        if _of_traffic(table.plan):
            return self.traffic.restored(table, rows, restorer_names)
        return super().restored(table, rows, restorer_names)


def _of_traffic(plan: Plan) -> bool:
    return plan.split.startswith(_TRAFFIC)


class Refitter(Fitter):
    """Fits a challenger to the champion's classifier.

    Args:
        data: The champion's data set.
        splits: Its splits.
        spec: How to rebuild the classifier.
        classifier: The frozen classifier.
        restorers: Those of the recipe, and the adapted one.
        recipe: The champion's.
        traffic: What was captured, dealt out.
        adapted: Name of the adapted restorer.
        builder: Makes evidence of both.
        second_opinion: The champion's.
    """

    def __init__(
        self,
        data: Dataset,
        splits: Splits,
        spec: ClassifierSpec,
        classifier: Classifier,
        restorers: Mapping[str, Restorer],
        recipe: Recipe,
        *,
        traffic: Traffic,
        adapted: str,
        builder: TwoSources,
        second_opinion: SecondOpinion | None = None,
    ) -> None:
        super().__init__(
            data,
            splits,
            spec,
            classifier,
            restorers,
            recipe,
            builder=builder,
            second_opinion=second_opinion,
        )
        self.traffic, self.adapted = traffic, adapted
        self.router = Router(
            {**recipe.restorers.restorer_of, CAPTURED: adapted},
            clean_share=recipe.restorers.clean_share_restored,
        )

    def _plan(self, split: str, clean_share: float, purpose: str = "") -> Plan:
        if split == "certify" and self.traffic.sampled:
            return self._traffic_plan("certify", self.traffic.certify)
        return super()._plan(split, clean_share, purpose)

    def _traffic_plan(self, purpose: str, rows: IntArray) -> Plan:
        return self.traffic.plan(purpose, rows, seed=self.recipe.seed)

    def fit_predictors(self) -> None:
        """Router and both predictors, on *fit* and on what the traffic may teach."""
        looks = self.recipe.predictor.looks_per_image
        tables = [self.builder.raw(self._plan("fit", 1.0))]
        tables += [self.builder.raw(self._plan("fit", 0.0, f"/{n}")) for n in range(1, looks)]
        table = EvidenceTable.concatenate(tables)
        kinds = np.where(table.plan.corruptions == "", CLEAN, table.plan.corruptions)
        self._fit_router(table, kinds)
        learned = self.builder.raw(self._traffic_plan("learn", self.traffic.learn))
        known = [table, *self._wide_looks()]
        if len(learned):
            # One name for both sources: from here on only what was seen counts, not where.
            known.append(replace(learned, plan=replace(learned.plan, split="fit")))
        wide = EvidenceTable.concatenate(known)
        if self.recipe.predictor.trust == "choose" and self.note is None:
            self._choose_trust(wide)
        self.predictors["raw"].fit(wide.evidence, wide.labels)
        self._fit_restored(table, kinds, learned)

    def _fit_router(self, table: EvidenceTable, kinds: StrArray) -> None:
        routed = np.isin(kinds, [CLEAN, *self.router.restorer_of])
        seen = self.builder.raw(self._traffic_plan("seen", self.traffic.seen))
        self.router.fit(
            np.concatenate([table.evidence.signals[routed], seen.evidence.signals]),
            [*kinds[routed].tolist(), *[CAPTURED] * len(seen)],
            seed=self.recipe.seed,
        )

    def _fit_restored(self, table: EvidenceTable, kinds: StrArray, learned: EvidenceTable) -> None:
        names = self._explored_restorers(table, kinds)
        rows, tried = self.arbitration.to_try(self.router, table.evidence, names)
        restored = self.builder.restored(table, rows, tried)
        looks, labels = restored.evidence, restored.labels
        if len(learned):
            every = np.arange(len(learned))
            own = self.builder.restored(learned, every, self._explored_for_traffic(learned))
            looks = joined_looks(looks, own.evidence)
            labels = np.concatenate([labels, own.labels])
        self.predictors["restored"].fit(looks, labels)

    def _explored_for_traffic(self, learned: EvidenceTable) -> StrArray:
        """The adapted restorer for most rows, any for some: in service the router errs."""
        available = np.array(sorted(self.restorers))
        draws = seeds_for(self.recipe.seed, learned.plan.seeds, "explore")
        anything = available[(draws // 10_000) % len(available)]
        explored = (draws % 10_000) < _EXPLORED * 10_000
        return np.where(explored, anything, self.adapted)

    def fit_calibrators(self) -> tuple[Judged, Judged]:
        """Raw and restored calibrators, on the sample's *calibrate* part where there is one.

        Returns:
            Attempts that shape the path, and attempts at the champion's clean images.
        """
        if not self.traffic.sampled:
            return super().fit_calibrators()
        table = self.builder.raw(self._traffic_plan("calibrate", self.traffic.calibrate))
        score = self.predictors["raw"].score(table.evidence)
        calibrator = self.calibrators["raw"]
        calibrator.fit(score, table.correct, context=raw_context(calibrator, table.evidence))
        raw = self._raw_reliability(table, score)
        restored = self._restored_looks(table, raw)
        usable = np.ones(len(restored), dtype=bool)
        self._fit_restored_calibrator(restored, raw[restored.raw_rows], usable)
        clean = self.builder.raw(self._plan("calibrate", 1.0))
        return self._judged_with(table, score, raw, restored), self._judge(clean)


def joined_looks(one: Evidence, other: Evidence) -> Evidence:
    """Looks one after another, with their first looks where both have them.

    Args:
        one: B looks.
        other: B' looks of the same classifier.
    """
    features = None
    if one.features is not None and other.features is not None:
        features = np.concatenate([one.features, other.features])
    raw = None
    if one.raw is not None and other.raw is not None:
        raw = joined_looks(one.raw, other.raw)
    return Evidence(
        logits=np.concatenate([one.logits, other.logits]),
        logits_kind=one.logits_kind,
        features=features,
        signals=np.concatenate([one.signals, other.signals]),
        probes=np.concatenate([one.probes, other.probes]),
        seeds=np.concatenate([one.seeds, other.seeds]),
        restorer=np.concatenate([one.restorer, other.restorer]),
        raw=raw,
    )
