"""Several attempts from the recipe to the certificate: fit, replay, live, engine, recount, disk."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatekeeper.bundle import EXTENDED_VERSION, GATE_FILE, FittedGate, load_bundle, save_bundle
from gatekeeper.calibrators import calibrator
from gatekeeper.decision import Action
from gatekeeper.engine import Doubted, GatekeeperStages
from gatekeeper.evaluation import recount_certificate
from gatekeeper.evidence import TableBuilder
from gatekeeper.fitting import FitResult, fit_restored_calibrators
from gatekeeper.judging import JudgedPlans, judge
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.recipe import parse_recipe
from gatekeeper.routing import router
from tests import small_gate

COSTS = {"median": 0.5, "exposure": 0.25}


@pytest.fixture(scope="module")
def result() -> FitResult:
    """Two restorers that may both be tried on every degraded image."""
    body = {
        **small_gate.RECIPE,
        "restorers": {
            "restorer_of": {"impulse": "median", "gaussian": "median", "dark": "exposure"},
            "steps": 0,
            "clean_share_restored": 0.02,
            "arbitrate": True,
            "max_attempts": 2,
            "costs": COSTS,
        },
    }
    recipe = parse_recipe(body, source="small", folder=Path())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(router, "_ALLOWED_SHARE", 0.0)
        return small_gate.fitter(with_recipe=recipe).run()


@pytest.fixture(autouse=True)
def every_restorer_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "_ALLOWED_SHARE", 0.0)


@pytest.fixture(scope="module")
def eager(result: FitResult) -> FittedGate:
    """The same gate with an arbiter that always expects both restorers to help."""
    arbiter = copy.deepcopy(result.fitted.arbiter)
    assert arbiter is not None
    state = {}
    for name in ("median", "exposure"):
        arrays = {key.partition("|")[2]: a for key, a in arbiter.state().items()}
        for key, array in arrays.items():
            state[f"{name}|{key}"] = np.zeros_like(array)
        state[f"{name}|spread"] = np.ones_like(arrays["spread"])
        state[f"{name}|0.last.bias"] = np.array([0.0, 1.0, 0.0], dtype=np.float32)
    config = {**arbiter.config(), "least_gain": dict.fromkeys(("median", "exposure"), 0.0)}
    return replace(result.fitted, arbiter=type(arbiter).from_state(state, config))


def test_the_certificate_says_what_was_arbitrated(result: FitResult) -> None:
    said = result.fitted.certificate["arbitration"]
    assert said["costs"] == COSTS
    assert (said["max_attempts"], said["max_cost"], said["look_cost"]) == (2, None, 1.0)
    assert set(said["calibrators"]) == {"median", "exposure"}
    for name, kind in said["calibrators"].items():
        assert (f"restored/{name}" in result.fitted.calibrators) == (kind == "own")
        n_looks = int((result.calibrate.tried_restorers == name).sum())
        assert kind == "pooled" or n_looks >= said["least_rows_per_calibrator"]
    assert said["cross_fitted"]["median"]["helped"] > said["cross_fitted"]["median"]["harmed"]
    json.dumps(said, allow_nan=False)


def test_the_counts_are_those_of_the_whole_policy(result: FitResult) -> None:
    fitted, judged = result.fitted, result.certify
    assert isinstance(judged, JudgedPlans)
    gate = fitted.gate
    n_accepted = n_wrong = 0
    for row in range(len(judged)):
        raw = judged.raw_reliability[row]
        accepted, label = raw >= gate.accept_raw_at, judged.raw_labels[row]
        for at in range(2):
            reliability = judged.tried_reliability[row, at]
            if accepted or np.isnan(reliability):
                break
            accepted = gate.decide(raw, reliability).action is Action.ACCEPT
            label = judged.tried_labels[row, at] if accepted else label
        n_accepted += accepted
        n_wrong += accepted and label != judged.labels[row]
    assert n_accepted == fitted.certificate["n_accepted"]
    assert n_wrong == fitted.certificate["n_wrong"]


def test_every_number_can_be_counted_again(result: FitResult) -> None:
    certificate = copy.deepcopy(dict(result.fitted.certificate))
    assert certificate["certified"]
    cells = small_gate.folder() / "cells"
    found = recount_certificate(result.fitted, certificate, small_gate.digits(), cache=cells)
    assert [each for each in found if not each.same] == []


class TestSeveralAttempts:
    def test_the_cheap_one_first_and_only_while_none_is_good_enough(self, eager) -> None:
        decisions = Gatekeeper(eager, "c").decide(small_gate.stream_images(80))
        tried = [tuple(a.restorer for a in d.attempts[1:]) for d in decisions]
        assert {(), ("exposure",), ("exposure", "median")} >= set(tried)
        assert ("exposure", "median") in tried
        for decision in decisions:
            raw, *rest = decision.attempts
            outcomes = [eager.gate.decide(raw.reliability, a.reliability).action for a in rest]
            assert all(action is Action.ABSTAIN for action in outcomes[:-1])
            assert all(a.action is Action.RESTORE for a in decision.attempts[:-1])
            assert decision.attempts[-1].action is decision.action
            if rest and len(rest) < 2:
                assert outcomes == [Action.ACCEPT]
            if rest and decision.action is Action.ACCEPT:
                assert decision.label == rest[-1].label

    def test_live_decisions_are_those_on_record(self, eager, result) -> None:
        data = small_gate.digits()
        builder = TableBuilder(data, eager.classifier, eager.restorers)
        table = builder.raw(result.certify.plan.take(np.arange(120)))
        judged = judge(eager, table, builder, doubt_below=0.99)
        assert isinstance(judged, JudgedPlans)
        replay = eager.gate.replay(judged.raw_reliability, judged.restored_reliability)
        labels = judged.final_labels(replay.keep_restored)
        decisions = Gatekeeper(eager, "c").decide(builder.scene(table.plan))
        assert any(len(decision.attempts) > 2 for decision in decisions)
        for row, decision in enumerate(decisions):
            assert (decision.action is Action.ACCEPT) == replay.accepted[row]
            if decision.label is not None:
                assert decision.label == labels[row]
            for at, attempt in enumerate(decision.attempts[1:]):
                assert attempt.restorer == judged.tried_restorers[row, at]
                np.testing.assert_allclose(
                    attempt.reliability, judged.tried_reliability[row, at], atol=1e-5
                )

    def test_the_engines_stages_decide_the_same(self, eager) -> None:
        images = small_gate.stream_images(24)
        gatekeeper = Gatekeeper(eager, "c")
        stages = GatekeeperStages(gatekeeper)
        first = list(stages.first(images))
        doubted = [each for each in first if isinstance(each, Doubted)]
        assert any(each.later == ("median",) for each in doubted)
        second = iter(stages.second(doubted))
        for each, decision in zip(first, gatekeeper.decide(images), strict=True):
            judged = next(second) if isinstance(each, Doubted) else each
            assert (judged.decision.action, judged.decision.label) == (
                decision.action, decision.label,
            )  # fmt: skip
            assert [a.restorer for a in judged.decision.attempts] == [
                a.restorer for a in decision.attempts
            ]
            if decision.label is not None:
                assert judged.probabilities.argmax() == decision.label

    def test_a_decision_does_not_depend_on_its_batch(self, eager) -> None:
        images, gatekeeper = small_gate.stream_images(12), Gatekeeper(eager, "c")
        for row, decision in enumerate(gatekeeper.decide(images)):
            alone = gatekeeper.decide(images[row : row + 1])[0]
            assert (alone.action, alone.label) == (decision.action, decision.label)
            assert [a.restorer for a in alone.attempts] == [a.restorer for a in decision.attempts]

    def test_it_decides_the_same_after_save_and_load(self, eager, tmp_path: Path) -> None:
        save_bundle(eager, tmp_path / "bundle")
        body = json.loads((tmp_path / "bundle" / GATE_FILE).read_text(encoding="utf-8"))
        assert body["schema_version"] == EXTENDED_VERSION
        loaded, _ = load_bundle(tmp_path / "bundle", device="cpu")
        images = small_gate.stream_images(24)
        assert Gatekeeper(loaded, "c").decide(images) == Gatekeeper(eager, "c").decide(images)


def test_few_looks_share_the_pooled_calibrator(result: FitResult) -> None:
    data, fitted = small_gate.digits(), result.fitted
    builder = TableBuilder(data, fitted.classifier, fitted.restorers)
    table = builder.raw(result.calibrate.plan.take(np.arange(230)))
    names = np.array(["median"] * 210 + ["exposure"] * 20)
    restored = builder.restored(table, np.arange(230), names)
    scores = np.linspace(-2, 2, 230)
    raw = np.full(230, 0.5)
    made = {"restored": calibrator("isotonic")}
    fit_restored_calibrators(made, scores, restored, raw, kind="isotonic", each=("exposure",))
    assert set(made) == {"restored"}
    fit_restored_calibrators(
        made, scores, restored, raw, kind="isotonic", each=("exposure", "median")
    )
    assert set(made) == {"restored", "restored/median"}
    alone = calibrator("isotonic").fit(
        scores[:210], restored.correct[:210], context=np.zeros((210, 1))
    )
    own = made["restored/median"].reliability(scores[:210], context=np.zeros((210, 1)))
    np.testing.assert_allclose(own, alone.reliability(scores[:210], context=np.zeros((210, 1))))
