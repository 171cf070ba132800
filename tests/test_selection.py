"""Trust is chosen by what happens on groups of corruptions that were left out."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.evidence import EvidenceTable, Plan
from gatekeeper.metrics import failure_auroc
from gatekeeper.mlp import MlpOptions
from gatekeeper.protocols import Evidence
from gatekeeper.reliability import SINGLE_SCORES, LearnedPredictor
from gatekeeper.selection import Candidate, choose, judge_trust
from gatekeeper.signals import N_SCALARS, SPECTRUM_SHAPE

FAST = MlpOptions(hidden=32, members=1, epochs=15, batch_size=64, learning_rate=5e-3)
N_SIGNALS = N_SCALARS + SPECTRUM_SHAPE[0] * SPECTRUM_SHAPE[1]


def table(n_images: int = 400, *, misleading: str = "") -> EvidenceTable:
    """Looks in which one signal tells failure; in one group it tells the opposite."""
    rng = np.random.default_rng(0)
    names = np.repeat(["", "gaussian", "gaussian_blur", "contrast"], n_images)
    n = len(names)
    labels = rng.integers(0, 4, n)
    wrong = rng.random(n) < np.where(names == "", 0.2, 0.5)
    answers = np.where(wrong, (labels + 1) % 4, labels)
    logits = rng.normal(size=(n, 4)).astype(np.float32)
    logits[np.arange(n), answers] = logits.max(axis=1) + rng.random(n)
    signals = np.zeros((n, N_SIGNALS), dtype=np.float32)
    told = np.where(names == misleading, ~wrong, wrong) if misleading else wrong
    signals[:, 0] = told + 0.2 * rng.normal(size=n)
    positions = np.tile(np.arange(n_images), 4)
    plan = Plan(
        split="fit",
        positions=positions,
        corruptions=names,
        severities=np.where(names == "", 0, 3),
        seeds=np.arange(n),
    )
    return EvidenceTable(
        plan=plan,
        digests=positions.astype(str),
        labels=labels,
        evidence=Evidence(
            logits=logits,
            logits_kind="logits",
            features=None,
            signals=signals,
            probes=np.zeros((n, 0), dtype=np.float32),
            seeds=plan.seeds,
            restorer=np.full(n, ""),
        ),
        raw_rows=np.arange(n),
    )


def test_what_is_judged_equals_a_predictor_fitted_and_judged_by_hand() -> None:
    looks = table()
    judged = judge_trust(looks, FAST, seed=3, candidates=(0.5, 1.0))
    images = np.arange(400)
    held = np.isin(looks.plan.positions, images[np.random.default_rng(3).permutation(400) % 4 == 0])
    gains = []
    for name in ("gaussian", "gaussian_blur", "contrast"):  # one per group
        left_out = looks.plan.corruptions == name
        known = np.flatnonzero(~left_out & ~held)
        rows = np.flatnonzero(left_out & held)
        fitted = LearnedPredictor(FAST, seed=3, trust=0.5)
        fitted.fit(looks.evidence.take(known), looks.labels[known])
        there, right = looks.evidence.take(rows), looks.correct[rows]
        gains.append(
            failure_auroc(fitted.score(there), right)
            - failure_auroc(SINGLE_SCORES["max_softmax"].score(there), right)
        )
    assert judged[0].trust == 0.5
    assert judged[0].mean == pytest.approx(np.mean(gains))
    assert judged[0].worst == pytest.approx(min(gains))
    assert judged[1].mean > 0.05  # the signal tells, in groups that were left out too


def test_a_group_in_which_the_lesson_is_wrong_lowers_the_trust() -> None:
    fooled = judge_trust(table(misleading="contrast"), FAST, seed=0)
    assert choose(fooled).trust < choose(judge_trust(table(), FAST, seed=0)).trust


def test_harmless_ones_go_before_better_ones() -> None:
    def one(trust: float, mean: float, worst: float, clean: float = 0.0) -> Candidate:
        return Candidate(trust=trust, mean=mean, worst=worst, clean=clean)

    safe, bold = one(0.4, 0.01, -0.01), one(1.0, 0.2, -0.02)
    assert choose([safe, bold]) is safe
    assert choose([one(0.4, 0.01, 0.0, -0.006), bold]).trust == 0.4  # the least harmful
    assert choose([one(0.8, 0.2, 0.1), safe]).trust == 0.8
    with pytest.raises(InputError, match="at least one"):
        choose([])


def test_too_few_groups_judge_nothing() -> None:
    looks = table()
    rows = np.isin(looks.plan.corruptions, ["", "gaussian"])
    assert judge_trust(looks.take(rows), FAST, seed=0) == ()
    with pytest.raises(InputError, match="got none"):
        judge_trust(looks, FAST, seed=0, candidates=())
