"""Recipe → fitted gate: evidence, predictors, calibrators, margin, path, certificate.

Order of fitting (each step reads one split and what earlier steps froze):

    fit        router, raw predictor, restored predictor, arbiter where the recipe asks for one
    calibrate  raw calibrator, restored calibrator, switch margin, threshold path
    certify    the stopping point on that path, nothing else
    calibrate  final calibrator, at the certified thresholds
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatekeeper.bundle import (
    ClassifierSpec,
    FittedGate,
    SecondOpinion,
    log_odds,
    raw_context,
)
from gatekeeper.calibrators import IsotonicCalibrator, calibrator
from gatekeeper.errors import InputError
from gatekeeper.evidence import (
    EvidenceTable,
    Plan,
    TableBuilder,
    draw_plan,
    draw_wide_plan,
)
from gatekeeper.fitting.accuracy import accuracy_estimator
from gatekeeper.fitting.arbitration import Arbitration, fit_restored_calibrators
from gatekeeper.fitting.certificate import policy_said
from gatekeeper.fitting.levels import level_reader
from gatekeeper.fitting.limits import WITHOUT_LEARNING, symptom_limits, too_few_to_learn
from gatekeeper.fitting.policy import certify, certify_groups, choose_margin
from gatekeeper.gate import Gate
from gatekeeper.images import Dataset, Splits, seeds_for
from gatekeeper.judging import Judged, judged_with, mixed_rows, restored_looks
from gatekeeper.mlp import MlpOptions
from gatekeeper.monitoring import ConditionsTest
from gatekeeper.protocols import Calibrator, Classifier, ReliabilityPredictor, Restorer
from gatekeeper.recipe import Recipe
from gatekeeper.reliability import TRUST, LearnedPredictor, predictor
from gatekeeper.risk_control import Certification, GroupCertificate
from gatekeeper.routing import CLEAN, Router, planned_attempts
from gatekeeper.selection import Candidate, choose, judge_trust
from gatekeeper.types import BoolArray, FloatArray, StrArray

_EXPLORED = 0.25
_COMPOSED_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FitResult:
    """A fitted gate and the recorded attempts that it was certified on.

    Attributes:
        fitted: The gate.
        calibrate: Attempts on *calibrate* under the declared mix.
        certify: Attempts on *certify*, one row per image.
    """

    fitted: FittedGate
    calibrate: Judged
    certify: Judged


class Fitter:
    """Fits a gate to a frozen classifier, step by step.

    Args:
        data: The data set.
        splits: Its six splits; *test* is never read.
        spec: How to rebuild the classifier.
        classifier: The classifier.
        restorers: By name; those that the recipe routes to.
        recipe: What to fit and certify.
        builder: Makes evidence tables.
        second_opinion: What the builder's second opinion is made of; None where it has none.

    Raises:
        InputError: the builder hears another second opinion.
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
        builder: TableBuilder,
        second_opinion: SecondOpinion | None = None,
    ) -> None:
        splits.check(data.digests)
        heard = None if second_opinion is None else second_opinion.classifier
        if builder.second_opinion is not heard:
            raise InputError(
                "expected the second opinion that the evidence is built with, got another one: "
                "give both the same"
            )
        self.second_opinion = second_opinion
        self.data, self.splits, self.recipe = data, splits, recipe
        self.spec, self.classifier, self.restorers = spec, classifier, restorers
        self.builder = builder
        self.router = Router(
            recipe.restorers.restorer_of, clean_share=recipe.restorers.clean_share_restored
        )
        self.arbitration = Arbitration(recipe, restorers)
        self.trust_judged: tuple[Candidate, ...] = ()
        self.note = too_few_to_learn(len(splits.calibrate))
        learns = self.note is None
        self.levels = level_reader(recipe, data, splits, classifier) if learns else None
        self.predictors = {key: self._new_predictor() for key in ("raw", "restored")}
        kind = recipe.predictor.calibrator
        self.calibrators: dict[str, Calibrator] = {
            "raw": calibrator(kind),
            "restored": calibrator(kind),
            "final": IsotonicCalibrator(),
        }

    def _new_predictor(self) -> ReliabilityPredictor:
        if self.note is not None:
            return predictor(WITHOUT_LEARNING)
        trust = self.recipe.predictor.trust
        return LearnedPredictor(
            self._options(),
            seed=self.recipe.seed,
            trust=TRUST if trust == "choose" else trust,
            levels=self.levels,
        )

    def _options(self) -> MlpOptions:
        wanted = self.recipe.predictor
        return MlpOptions(
            hidden=wanted.hidden,
            members=wanted.members,
            epochs=wanted.epochs,
            dropout=wanted.dropout,
        )

    def _choose_trust(self, table: EvidenceTable) -> None:
        """Both predictors take the trust that serves groups of corruptions left out best."""
        self.trust_judged = judge_trust(table, self._options(), seed=self.recipe.seed)
        if self.trust_judged:
            chosen = choose(self.trust_judged).trust
            self.predictors = {
                key: LearnedPredictor(
                    self._options(), seed=self.recipe.seed, trust=chosen, levels=self.levels
                )
                for key in self.predictors
            }

    def run(self) -> FitResult:
        """All steps in order."""
        self.fit_predictors()
        declared, clean = self.fit_calibrators()
        policy = self.recipe.policy
        margin = choose_margin(declared, clean, policy)
        certify_table = self.builder.raw(self._plan("certify", self.recipe.conditions.clean_share))
        judged = self._judge(certify_table)
        gate, verdict = certify(declared, judged, margin, policy)
        declared, judged = declared.settled(gate), judged.settled(gate)
        replay = gate.replay(declared.raw_reliability, declared.restored_reliability)
        right = declared.final_labels(replay.keep_restored) == declared.labels
        kept = log_odds(replay.kept_reliability)
        context = replay.keep_restored.astype(np.float64)[:, None]
        final = self.calibrators["final"].fit(kept, right, context=context)
        fitted = FittedGate(
            name=self.recipe.name,
            seed=self.recipe.seed,
            image_size=self.data.image_size,
            classifier_spec=self.spec,
            classifier=self.classifier,
            restorers=self.restorers,
            router=self.router,
            predictors=self.predictors,
            views=self.builder.views,
            calibrators=self.calibrators,
            gate=gate,
            conditions=ConditionsTest().fit(judged.signals, judged.raw_reliability),
            accuracy=accuracy_estimator(
                declared.plan, final.reliability(kept, context=context), right, replay.accepted
            ),
            symptom_limits=symptom_limits(clean.signals),
            arbiter=self.arbitration.arbiter,
            certificate=self._certificate(
                gate,
                verdict,
                len(judged),
                variants=self._variants(declared, judged),
                groups=certify_groups(declared, judged, margin, policy, verdict),
            ),
            second_opinion=self.second_opinion,
        )
        return FitResult(fitted=fitted, calibrate=declared, certify=judged)

    def _plan(self, split: str, clean_share: float, purpose: str = "") -> Plan:
        return draw_plan(
            self.data,
            split,
            self.splits[split],
            corruptions=self.recipe.conditions.seen,
            clean_share=clean_share,
            seed=self.recipe.seed,
            purpose=f"{split}{purpose}",
        )

    def fit_predictors(self) -> None:
        """Router and both predictors, on *fit*."""
        looks = self.recipe.predictor.looks_per_image
        tables = [self.builder.raw(self._plan("fit", 1.0))]
        tables += [self.builder.raw(self._plan("fit", 0.0, f"/{n}")) for n in range(1, looks)]
        table = EvidenceTable.concatenate(tables)
        kinds = np.where(table.plan.corruptions == "", CLEAN, table.plan.corruptions)
        routed = np.isin(kinds, [CLEAN, *self.router.restorer_of])
        self.router.fit(
            table.evidence.signals[routed], kinds[routed].tolist(), seed=self.recipe.seed
        )
        wide = EvidenceTable.concatenate([table, *self._wide_looks()])
        if self.recipe.predictor.trust == "choose" and self.note is None:
            self._choose_trust(wide)
        self.predictors["raw"].fit(wide.evidence, wide.labels)
        names = self._explored_restorers(table, kinds)
        self.arbitration.declare(
            self.classifier, self.data, self.splits, second_opinion=self.builder.second_opinion
        )
        rows, tried = self.arbitration.to_try(self.router, table.evidence, names)
        restored = self.builder.restored(table, rows, tried)
        self.predictors["restored"].fit(restored.evidence, restored.labels)
        self.arbitration.fit(table, restored, seed=self.recipe.seed)

    def _wide_looks(self) -> list[EvidenceTable]:
        """Looks at continuous severities, some under two corruptions at once; none by default."""
        n_looks = self.recipe.predictor.wide_looks
        if not n_looks:
            return []
        plan = draw_wide_plan(
            self.data,
            "fit",
            self.splits["fit"],
            corruptions=self.recipe.conditions.seen,
            looks_per_image=1 + n_looks,
            composed_share=_COMPOSED_SHARE,
            seed=self.recipe.seed,
            purpose="fit/wide",
        )
        # The clean looks, which come first, are in the other table already.
        return [self.builder.raw(plan.take(np.arange(len(self.splits["fit"]), len(plan))))]

    def _explored_restorers(self, table: EvidenceTable, kinds: StrArray) -> StrArray:
        """The fitting restorer for most degraded rows, any restorer for some rows of all kinds.

        In service the router errs; the restored predictor must have seen what that looks like.
        """
        available = np.array(sorted(self.restorers))
        draws = seeds_for(self.recipe.seed, table.plan.seeds, "explore")
        explored = (draws % 10_000) < _EXPLORED * 10_000
        anything = available[(draws // 10_000) % len(available)]
        fitting = np.array([self.router.restorer_of.get(kind, "") for kind in kinds.tolist()])
        return np.where(explored, anything, fitting)

    def fit_calibrators(self) -> tuple[Judged, Judged]:
        """Raw and restored calibrators, on *calibrate* under the declared mix.

        Returns:
            Attempts under the declared mix, and at the clean images alone.
        """
        clean = self.builder.raw(self._plan("calibrate", 1.0))
        degraded = self.builder.raw(self._plan("calibrate", 0.0))
        table = EvidenceTable.concatenate([clean, degraded])
        declared = mixed_rows(len(clean), len(degraded), self.recipe.conditions.clean_share)
        score = self.predictors["raw"].score(table.evidence)
        looks = table.evidence.take(declared)
        self.calibrators["raw"].fit(
            score[declared],
            table.correct[declared],
            context=raw_context(self.calibrators["raw"], looks),
        )
        raw = self._raw_reliability(table, score)
        restored = self._restored_looks(table, raw)
        usable = np.isin(restored.raw_rows, declared)
        self._fit_restored_calibrator(restored, raw[restored.raw_rows], usable)
        judged = self._judged_with(table, score, raw, restored)
        return judged.take(declared), judged.take(np.arange(len(clean)))

    def _fit_restored_calibrator(
        self, restored: EvidenceTable, raw: FloatArray, usable: BoolArray
    ) -> None:
        if not usable.any():
            # Nothing was restored here, so a restored answer has earned no trust.
            self.calibrators["restored"] = IsotonicCalibrator().fit(
                np.zeros(1), np.zeros(1, dtype=bool), context=np.zeros((1, 1))
            )
            return
        scores = self.predictors["restored"].score(restored.evidence)
        fit_restored_calibrators(
            self.calibrators,
            scores[usable],
            restored.take(usable),
            raw[usable],
            kind=self.recipe.predictor.calibrator,
            each=self.arbitration.names,
        )

    def _raw_reliability(self, table: EvidenceTable, score: FloatArray) -> FloatArray:
        fitted = self.calibrators["raw"]
        return fitted.reliability(score, context=raw_context(fitted, table.evidence))

    def _judge(self, table: EvidenceTable) -> Judged:
        score = self.predictors["raw"].score(table.evidence)
        raw = self._raw_reliability(table, score)
        return self._judged_with(table, score, raw, self._restored_looks(table, raw))

    def _restored_looks(self, table: EvidenceTable, raw: FloatArray) -> EvidenceTable:
        plans = planned_attempts(self.router, self.arbitration.arbiter, table.evidence)
        doubt_below = self.recipe.policy.doubt_below
        return restored_looks(plans, table, raw, self.builder, doubt_below=doubt_below)

    def _judged_with(
        self, table: EvidenceTable, score: FloatArray, raw: FloatArray, restored: EvidenceTable
    ) -> Judged:
        return judged_with(
            table,
            score,
            raw,
            restored,
            self.predictors["restored"],
            self.calibrators,
            n_attempts=self.arbitration.n_attempts,
        )

    def _variants(self, declared: Judged, judged: Judged) -> dict[str, Any]:
        """Every other policy that *certify* was read for: here the one without restoration."""
        gate, verdict = certify(
            declared.without_restoration(), judged.without_restoration(), 1.0, self.recipe.policy
        )
        return {
            "no_restorer": {
                "certified": verdict.certified,
                "reason": verdict.reason,
                "accept_raw_at": gate.accept_raw_at,
                "n_accepted": verdict.n_accepted,
                "n_wrong": verdict.n_wrong,
                "upper_bound": verdict.upper_bound,
                "certified_coverage": verdict.n_accepted / len(judged)
                if verdict.certified
                else 0.0,
            }
        }

    def _router_said(self) -> dict[str, Any]:
        """How often the router takes which degradation for which, cross-fitted on *fit*."""
        counts = self.router.confusion_
        return {
            "types": list(self.router.types.names),
            "confusion": [] if counts is None else counts.tolist(),
        }

    def _certificate(
        self,
        gate: Gate,
        verdict: Certification,
        n_certify: int,
        *,
        variants: Mapping[str, Any],
        groups: Sequence[GroupCertificate],
    ) -> dict[str, Any]:
        return {
            **policy_said(self.recipe, gate, verdict, n_certify),
            "note": self.note,
            "trust_judged": [asdict(candidate) for candidate in self.trust_judged],
            "groups": [asdict(group) for group in groups],
            "variants": dict(variants),
            "router": self._router_said(),
            **self.arbitration.said(self.calibrators),
            "dataset": self.data.name,
            "splits": self.splits.to_json(self.data.digests),
            "classifier_digest": self.classifier.digest,
            "second_opinion_digest": None
            if self.second_opinion is None
            else self.second_opinion.classifier.digest,
            "seed": self.recipe.seed,
        }
