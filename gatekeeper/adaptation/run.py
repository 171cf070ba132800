"""Champion + captured traffic -> challenger, judged beside the champion on the same images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gatekeeper.adaptation.captured import Captured
from gatekeeper.adaptation.checking import (
    CapturedCertificate,
    Recheck,
    certify_on_draws,
    recheck,
)
from gatekeeper.adaptation.comparing import Contest, contest
from gatekeeper.adaptation.dealing import Dealt, check_unused, deal
from gatekeeper.adaptation.parts import digest_of
from gatekeeper.adaptation.promotion import Condition, judge_promotion, met
from gatekeeper.adaptation.recipe import AdaptationRecipe
from gatekeeper.adaptation.recognition import Taught, taught_restorer
from gatekeeper.adaptation.refitting import Refitter, Traffic, TwoSources
from gatekeeper.adaptation.restorer import adapted_restorer
from gatekeeper.bundle import FittedGate, load_bundle
from gatekeeper.demonstration import splits_of
from gatekeeper.errors import BundleError, RecipeError
from gatekeeper.evaluation import final_correct, final_reliability, replay
from gatekeeper.evidence import Plan, TableBuilder, draw_plan
from gatekeeper.fitting.policy import certify
from gatekeeper.images import Dataset, Splits
from gatekeeper.judging import Judged, judge
from gatekeeper.progress import Progress
from gatekeeper.protocols import Restorer
from gatekeeper.recipe import Recipe
from gatekeeper.training.sources import DatasetImages
from gatekeeper.types import StrArray

USED_FILE = "adaptation.json"
"""In a challenger's bundle: what it was adapted to, with the digests that it used."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Champion:
    """What is to be adapted.

    Attributes:
        directory: Its bundle.
        fitted: The gate.
        identity: Of the bundle.
        used: Digests of traffic images that earlier adaptations used.
    """

    directory: Path
    fitted: FittedGate
    identity: str
    used: StrArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapted:
    """A finished adaptation, before anything is written.

    Attributes:
        champion: What was adapted.
        challenger: What came out.
        contest: Both on the same images.
        conditions: The rule, condition by condition.
        captured: What is certified about the captured traffic; None where the certificate itself
            speaks of it.
        rechecks: ``"champion"`` and ``"challenger"`` on random draws; None without any.
        dealt: What was used for what.
        source: Where the captured images come from.
    """

    champion: Champion
    challenger: FittedGate
    contest: Contest
    conditions: list[Condition]
    captured: CapturedCertificate | None
    rechecks: Mapping[str, Recheck | None]
    dealt: Dealt
    source: str

    @property
    def rule_met(self) -> bool:
        """Whether the challenger may become the champion by rule."""
        return met(self.conditions)


def open_champion(directory: Path) -> Champion:
    """Verify and read the champion.

    Raises:
        BundleError: it is damaged.
    """
    fitted, identity = load_bundle(directory)
    path = directory / USED_FILE
    used: list[str] = []
    if path.is_file():
        try:
            used = list(json.loads(path.read_text(encoding="utf-8"))["used"])
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} cannot be read: {error}; adapt again") from error
    return Champion(
        directory=directory,
        fitted=fitted,
        identity=identity,
        used=np.array(used, dtype="<U64"),
    )


def adapt(
    champion: Champion,
    data: Dataset,
    captured: Captured,
    recipe: AdaptationRecipe,
    fit: Recipe,
    *,
    sample: Dataset | None,
    work: Path,
    progress: Progress,
) -> Adapted:
    """Train the adapted restorer, refit, certify, and judge both gates.

    Args:
        champion: What is to be adapted.
        data: The champion's data set, at the gate's size.
        captured: Captured images.
        recipe: What to do.
        fit: The champion's recipe.
        sample: A random labelled sample of the traffic, at the gate's size, or None.
        work: Folder of finished trainings and evidence cells, so that a run continues.
        progress: Told of every stage.

    Raises:
        DataError: there are too few images.
        RecipeError: the recipe did not fit this champion.
        SplitOverlapError: an image would play two parts.
    """
    splits = splits_of(fit, data)
    check_champion(champion.fitted, fit, data, splits)
    parts = deal(
        captured,
        sample,
        champion=champion.identity,
        class_names=data.class_names,
        shares=recipe.shares,
        seed=recipe.seed,
    )
    check_unused(parts, data, splits, champion.used)
    traffic = parts.traffic
    clean = DatasetImages(data, splits.train)
    adapted = adapted_restorer(
        clean,
        DatasetImages(traffic.data, np.unique(traffic.seen)),
        recipe.restorer,
        seed=recipe.seed,
        work=work,
        progress=progress,
    )
    taught = taught_restorer(
        adapted,
        DatasetImages(traffic.data, traffic.learn),
        clean,
        champion.fitted.classifier,
        recipe.recognition,
        highest_sigma=recipe.restorer.highest_sigma,
        flips=recipe.restorer.training.flips,
        seed=recipe.seed,
        work=work,
        progress=progress,
    )
    name = f"adapted-{taught.restorer.digest[:8]}"
    restorers: dict[str, Restorer] = {**_of_recipe(champion.fitted, fit), name: taught.restorer}
    builder = TwoSources(
        TableBuilder(
            data,
            champion.fitted.classifier,
            {**champion.fitted.restorers, **restorers},
            cache=work / "cells",
            progress=progress,
            views=champion.fitted.views,
            second_opinion=champion.fitted.second,
        ),
        traffic.data,
    )
    challenger = (
        Refitter(
            data,
            splits,
            champion.fitted.classifier_spec,
            champion.fitted.classifier,
            restorers,
            fit,
            traffic=traffic,
            adapted=name,
            builder=builder,
            second_opinion=champion.fitted.second_opinion,
        )
        .run()
        .fitted
    )
    judging = _Judging(fit, data, splits, traffic, builder)
    about, rechecks = judging.draws(champion.fitted, challenger, parts)
    facts = _facts(champion, parts, name, taught)
    challenger = replace(challenger, certificate=_certificate(challenger, traffic, about, facts))
    found = judging.contest(champion.fitted, challenger, recipe)
    return Adapted(
        champion=champion,
        challenger=challenger,
        contest=found,
        conditions=judge_promotion(
            found, recipe.promotion, certified=bool(challenger.certificate["certified"])
        ),
        captured=about,
        rechecks=rechecks,
        dealt=parts,
        source=captured.source,
    )


def check_champion(fitted: FittedGate, fit: Recipe, data: Dataset, splits: Splits) -> None:
    """Refuse a recipe that is not the champion's.

    Raises:
        RecipeError: name, image size, views or splits differ.
    """
    recorded, now = fitted.certificate["splits"], splits.to_json(data.digests)
    # An adapted champion was calibrated and certified on traffic; these three stay.
    same = all(recorded[name]["digest"] == now[name]["digest"] for name in ("train", "fit", "test"))
    wanted = (fit.name, tuple(data.image_size), tuple(fit.predictor.views), True)
    got = (fitted.name, tuple(fitted.image_size), tuple(fitted.views), same)
    if wanted != got:
        raise RecipeError(
            "expected the recipe that fitted this champion, got another: name, image size, views "
            f"and whether the splits are the same are {wanted} in the recipe and {got} in the "
            "bundle; name the right recipe and data"
        )


def _of_recipe(fitted: FittedGate, fit: Recipe) -> dict[str, Restorer]:
    names = sorted(set(fit.restorers.restorer_of.values()))
    missing = sorted(set(names) - set(fitted.restorers))
    if missing:
        raise RecipeError(
            f"expected the champion to hold the recipe's restorers, got none called "
            f"{', '.join(missing)}: name the recipe that fitted it"
        )
    return {name: fitted.restorers[name] for name in names}


class _Judging:
    """Both gates on the same images."""

    def __init__(
        self, fit: Recipe, data: Dataset, splits: Splits, traffic: Traffic, builder: TwoSources
    ) -> None:
        self._fit, self._data, self._splits = fit, data, splits
        self._traffic, self._builder = traffic, builder

    def _judged(self, fitted: FittedGate, plan: Plan) -> Judged:
        doubt_below = self._fit.policy.doubt_below
        return judge(fitted, self._builder.raw(plan), self._builder, doubt_below=doubt_below)

    def _of_traffic(self, fitted: FittedGate, part: str) -> Judged:
        rows = getattr(self._traffic, part)
        return self._judged(fitted, self._traffic.plan(part, rows, seed=self._fit.seed))

    def draws(
        self, champion: FittedGate, challenger: FittedGate, parts: Dealt
    ) -> tuple[CapturedCertificate | None, dict[str, Recheck | None]]:
        """What the random draws say about both, and certify about the challenger."""
        rechecks: dict[str, Recheck | None] = {"champion": None, "challenger": None}
        digests = self._traffic.data.digests[self._traffic.draws]
        right = accepted = np.zeros(0, dtype=bool)
        gates = {"champion": champion, "challenger": challenger}
        # Nothing can be scored where nothing was drawn.
        for name, fitted in gates.items() if len(digests) else ():
            judged = self._of_traffic(fitted, "draws")
            replayed = replay(fitted, judged)
            right, accepted = final_correct(judged, replayed), replayed.accepted
            rechecks[name] = recheck(final_reliability(fitted, replayed), right)
        if self._traffic.sampled:
            return None, rechecks
        policy = self._fit.policy
        about = certify_on_draws(
            digests,
            accepted,
            ~right,
            n_unlabelled=parts.n_unlabelled_draws,
            target_risk=policy.target_risk,
            confidence_level=policy.confidence_level,
        )
        return about, rechecks

    def contest(
        self, champion: FittedGate, challenger: FittedGate, recipe: AdaptationRecipe
    ) -> Contest:
        """On judged traffic where there is enough of it, else on the champion's *test*."""
        enough = self._traffic.sampled or len(self._traffic.judge) >= recipe.promotion.least_images
        if enough:
            images = "traffic, each image with the same probability"
            judged = [self._of_traffic(gate, "judge") for gate in (champion, challenger)]
        else:
            images = "the champion's test split under its declared conditions"
            judged = [self._judged(gate, self._declared()) for gate in (champion, challenger)]
        covered = float(challenger.certificate["certified_coverage"])
        before = (
            self._certified_again(champion)
            if self._traffic.sampled
            else float(champion.certificate["certified_coverage"])
        )
        return contest(
            (champion, judged[0], before),
            (challenger, judged[1], covered),
            images=images,
            confidence_level=recipe.promotion.confidence_level,
        )

    def _declared(self) -> Plan:
        conditions = self._fit.conditions
        return draw_plan(
            self._data,
            "test",
            self._splits.test,
            corruptions=conditions.seen,
            clean_share=conditions.clean_share,
            seed=self._fit.seed,
            purpose="stream/declared",
        )

    def _certified_again(self, fitted: FittedGate) -> float:
        """The champion's coverage if it were certified on this sample as it is."""
        calibrate, held = (self._of_traffic(fitted, part) for part in ("calibrate", "certify"))
        _, verdict = certify(calibrate, held, fitted.gate.switch_margin, self._fit.policy)
        return verdict.n_accepted / len(held) if verdict.certified else 0.0


def _facts(champion: Champion, parts: Dealt, name: str, taught: Taught) -> dict[str, Any]:
    return {
        "champion": champion.identity,
        "captured_digest": parts.captured_digest,
        "sample_digest": parts.sample_digest,
        "adapted_restorer": name,
        "adapted_restorer_digest": taught.restorer.digest,
        "recognition": taught.to_json(),
    }


def _certificate(
    challenger: FittedGate,
    traffic: Traffic,
    about: CapturedCertificate | None,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """The certificate, with what it does not speak about."""
    held = {
        **challenger.certificate,
        "captured": None if about is None else about.to_json(),
        "adaptation": dict(facts),
    }
    if not traffic.sampled:
        held["not_covered"] = f"{held['not_covered']}, and the captured traffic"
        return held
    digests = traffic.data.digests
    for part in ("calibrate", "certify"):
        rows = getattr(traffic, part)
        held["splits"] = {
            **held["splits"],
            part: {"n": len(rows), "digest": digest_of(digests[rows])},
        }
    # The mix of corruptions is not what this certificate speaks of, nor are groups of it.
    del held["seen"], held["clean_share"]
    return {
        **held,
        "dataset": "traffic",
        "conditions": ["a random labelled sample of the traffic, each image once, as it came"],
        "not_covered": "any other traffic, the conditions of the champion's certificate among it",
        "groups": [],
    }
