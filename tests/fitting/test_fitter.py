"""Who may learn from what, the margin, the path, and the certificate by simulation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import gatekeeper.fitting.fitter as fitting
from gatekeeper.bundle import save_bundle
from gatekeeper.errors import InputError, SplitOverlapError
from gatekeeper.evidence import EvidenceTable, Plan, TableBuilder
from gatekeeper.fitting import (
    FitResult,
    Fitter,
    certify,
    choose_margin,
    path_through,
)
from gatekeeper.gate import Gate
from gatekeeper.judging import Judged
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.recipe import PolicyRecipe
from gatekeeper.reliability import name_of_predictor
from gatekeeper.risk_control import fixed_sequence_test
from gatekeeper.selection import choose
from gatekeeper.signals import N_SCALARS
from tests import small_gate


@dataclass(frozen=True)
class Request:
    """What was asked of the table builder, and which splits its images come from."""

    kind: str
    splits: frozenset[str]
    corruptions: frozenset[str]


class Spy(TableBuilder):
    """Writes down every request and every image that is read."""

    def __init__(self, data, events: list[object]) -> None:
        super().__init__(data, small_gate.classifier(), small_gate.restorers())
        self.events = events
        parts = small_gate.splits()
        self.split_of = {
            int(position): name
            for name in ("train", "validation", "fit", "calibrate", "certify", "test")
            for position in parts[name]
        }

    def _note(self, kind: str, plan: Plan) -> None:
        names = frozenset(self.split_of[int(p)] for p in plan.positions)
        self.events.append(Request(kind, names, frozenset(plan.corruptions.tolist()) - {""}))

    def raw(self, plan: Plan) -> EvidenceTable:
        self._note("raw", plan)
        return super().raw(plan)

    def restored(self, table, rows, restorer_names) -> EvidenceTable:
        self._note("restored", table.plan.take(rows))
        return super().restored(table, rows, restorer_names)


@pytest.fixture(scope="module")
def spied() -> tuple[FitResult, list[object]]:
    """A fit with every request, and the moments at which margin and stopping point are chosen."""
    events: list[object] = []

    def noted(name: str, function):
        def call(*args, **kwargs):
            result = function(*args, **kwargs)
            events.append((name, args, result))
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "choose_margin", noted("margin", fitting.choose_margin))
        patch.setattr(fitting, "certify", noted("certify", fitting.certify))
        data = small_gate.digits()
        result = small_gate.fitter(data, Spy(data, events)).run()
    return result, events


def requests(events: list[object]) -> list[Request]:
    return [event for event in events if isinstance(event, Request)]


class TestWhoSeesWhat:
    def test_splits_are_asked_for_one_after_another(self, spied) -> None:
        order = [next(iter(r.splits)) for r in requests(spied[1]) if len(r.splits) == 1]
        assert all(len(r.splits) <= 1 for r in requests(spied[1]))
        ranks = ["fit", "calibrate", "certify"]
        assert set(order) == set(ranks)
        assert [ranks.index(name) for name in order] == sorted(map(ranks.index, order))

    def test_held_out_families_are_never_asked_for(self, spied) -> None:
        asked = frozenset().union(*(r.corruptions for r in requests(spied[1])))
        assert asked == {"impulse", "dark", "gaussian"}

    def test_certify_is_first_touched_after_margin_and_path_inputs_are_fixed(self, spied) -> None:
        events = spied[1]
        margin = next(i for i, e in enumerate(events) if isinstance(e, tuple) and e[0] == "margin")
        first = next(
            i for i, e in enumerate(events) if isinstance(e, Request) and "certify" in e.splits
        )
        assert margin < first
        _, (declared, _, *_), chosen = events[margin]
        calls = [e for e in events if isinstance(e, tuple) and e[0] == "certify"]
        _, (shaping, judged, used, *_), _ = calls[0]
        assert shaping is declared  # what shapes the path was there before
        assert used == chosen
        certify_rows = set(small_gate.splits().certify.tolist())
        assert set(judged.plan.positions.tolist()) == certify_rows
        assert not set(shaping.plan.positions.tolist()) & certify_rows

    def test_certify_holds_each_image_once(self, spied) -> None:
        judged = spied[0].certify
        assert len(judged) == len(np.unique(judged.digests)) == 1000

    def test_labels_of_certify_choose_the_stopping_point_only(self, spied) -> None:
        result = spied[0]
        data, rows = small_gate.digits(), small_gate.splits().certify
        labels = data.labels.copy()
        labels[rows] = (labels[rows] + 1) % 10
        other = small_gate.fitter(replace(data, labels=labels)).run()
        assert not other.fitted.certificate["certified"]
        assert result.fitted.certificate["certified"]
        for key in ("raw", "restored"):
            for part in ("predictors", "calibrators"):
                ours = getattr(result.fitted, part)[key].state()
                theirs = getattr(other.fitted, part)[key].state()
                for name, array in ours.items():
                    np.testing.assert_array_equal(theirs[name], array)
        for part in ("router", "conditions"):
            theirs = getattr(other.fitted, part).state()
            for name, array in getattr(result.fitted, part).state().items():
                np.testing.assert_array_equal(theirs[name], array)
        assert other.fitted.gate.switch_margin == result.fitted.gate.switch_margin
        policy, margin = small_gate.recipe().policy, result.fitted.gate.switch_margin
        paths = [path_through(r.calibrate, margin, policy) for r in (result, other)]
        np.testing.assert_array_equal(paths[0].raw, paths[1].raw)
        assert result.fitted.gate.accept_raw_at in paths[0].raw
        assert other.fitted.gate.accept_raw_at == paths[0].raw[0]  # the strictest point

    def test_overlapping_splits_are_refused(self) -> None:
        parts = small_gate.splits()
        leaking = replace(parts, certify=np.append(parts.certify, parts.fit[0]))
        data = small_gate.digits()
        builder = TableBuilder(data, small_gate.classifier(), small_gate.restorers())
        with pytest.raises(SplitOverlapError, match="fit and certify share 1"):
            Fitter(
                data, leaking, small_gate.spec(), small_gate.classifier(), builder.restorers,
                small_gate.recipe(), builder=builder,
            )  # fmt: skip


class TestWhatIsFitted:
    def test_certificate_says_what_was_counted(self, spied) -> None:
        fitted, judged = spied[0].fitted, spied[0].certify
        replay = fitted.gate.replay(judged.raw_reliability, judged.restored_reliability)
        right = judged.final_labels(replay.keep_restored) == judged.labels
        record = fitted.certificate
        assert record["n_accepted"] == replay.accepted.sum()
        assert record["n_wrong"] == (replay.accepted & ~right).sum()
        assert record["n_certify"] == 1000
        assert record["certified_coverage"] == record["n_accepted"] / 1000
        assert record["upper_bound"] <= record["target_risk"] == 0.1
        assert set(record["splits"]) == {
            "train", "validation", "fit", "calibrate", "certify", "test",
        }  # fmt: skip
        assert record["classifier_digest"] == small_gate.classifier().digest

    def test_same_seed_same_gate(self, spied) -> None:
        again = small_gate.fitter().run()
        assert again.fitted.gate == spied[0].fitted.gate
        np.testing.assert_array_equal(
            again.certify.restored_reliability, spied[0].certify.restored_reliability
        )

    def test_too_little_data_cannot_certify_and_says_why(self, spied) -> None:
        result, policy = spied[0], small_gate.recipe().policy
        margin = result.fitted.gate.switch_margin
        _, verdict = certify(result.calibrate, result.certify.take(np.arange(20)), margin, policy)
        assert not verdict.certified
        assert "Cannot certify: too few accepted images" in verdict.reason

    def test_a_base_image_that_occurs_twice_is_refused(self, spied) -> None:
        result, policy = spied[0], small_gate.recipe().policy
        with pytest.raises(InputError, match="one row per base image, got 3 rows of 2 images"):
            certify(result.calibrate, result.certify.take(np.array([0, 1, 0])), 0.1, policy)


def judged(raw, restored, raw_right, restored_right, *, split: str = "certify") -> Judged:
    """Attempts at images of class 0: a wrong answer is class 1; NaN where nothing was restored."""
    n = len(raw)
    raw_labels = np.where(raw_right, 0, 1)
    return Judged(
        plan=Plan(
            split=split,
            positions=np.arange(n),
            corruptions=np.full(n, ""),
            severities=np.zeros(n, dtype=int),
            seeds=np.arange(n),
        ),
        digests=np.array([f"{split}-{i}" for i in range(n)]),
        labels=np.zeros(n, dtype=int),
        raw_labels=raw_labels,
        msp=np.asarray(raw, dtype=float),
        raw_score=np.asarray(raw, dtype=float),
        raw_reliability=np.asarray(raw, dtype=float),
        signals=np.zeros((n, 2)),
        restorers=np.where(np.isnan(restored), "", "median"),
        restored_labels=np.where(np.isnan(restored), raw_labels, np.where(restored_right, 0, 1)),
        restored_reliability=np.asarray(restored, dtype=float),
    )


def drawn(n: int, seed: int, split: str) -> Judged:
    """Calibrated attempts: half of the doubted images have a restored one."""
    rng = np.random.default_rng(seed)
    raw = rng.beta(2.0, 0.6, n)
    restored = np.where((raw < 0.9) & (rng.random(n) < 0.5), rng.beta(3.0, 0.8, n), np.nan)
    right = rng.random((2, n)) < np.stack([raw, np.nan_to_num(restored)])
    return judged(raw, restored, right[0], right[1], split=split)


class TestPath:
    @pytest.mark.parametrize("margin", [0.0, 0.2])
    @pytest.mark.parametrize("doubt_below", [0.8, 0.99])
    def test_it_never_rises_and_keeps_below_doubt(self, margin: float, doubt_below: float) -> None:
        policy = PolicyRecipe(doubt_below=doubt_below)
        path = path_through(drawn(2000, 1, "calibrate"), margin, policy)
        assert len(path) > 50
        assert (np.diff(path.raw) <= 0).all()
        assert (np.diff(path.restored) <= 0).all()
        assert path.raw.max() <= doubt_below

    def test_coverage_never_falls_along_it(self) -> None:
        calibrate = drawn(2000, 2, "calibrate")
        accepted, wrong = calibrate.counts(path_through(calibrate, 0.1, PolicyRecipe()), 0.1)
        assert (np.diff(accepted) >= 0).all()
        assert (wrong <= accepted).all()
        assert accepted[-1] == 2000


class TestMargin:
    def test_the_margin_that_flips_no_clean_image_wins(self) -> None:
        # One clean image is right at 0.6 and turned wrong by a restored answer at 0.85.
        clean = judged([0.6, 0.95], [0.85, np.nan], [True, True], [False, False])
        calibrate = judged(
            [0.95] * 60 + [0.5] * 20, [np.nan] * 60 + [0.95] * 20, [True] * 60 + [False] * 20,
            [True] * 80,
        )  # fmt: skip
        policy = PolicyRecipe(target_risk=0.1, switch_margins=(0.1, 0.2, 0.3, 0.4))
        # 0.1 and 0.2 flip it; 0.3 and 0.4 do not and cover alike: the larger one.
        assert choose_margin(calibrate, clean, policy) == 0.4

    def test_a_larger_margin_is_not_taken_where_it_costs_coverage(self) -> None:
        clean = judged([0.95], [np.nan], [True], [True])
        calibrate = judged(
            [0.95] * 60 + [0.6] * 20, [np.nan] * 60 + [0.9] * 20, [True] * 60 + [False] * 20,
            [True] * 80,
        )  # fmt: skip
        policy = PolicyRecipe(target_risk=0.1, switch_margins=(0.1, 0.2, 0.4))
        assert choose_margin(calibrate, clean, policy) == 0.2  # 0.9 exceeds 0.6 by 0.3

    def test_wrong_clean_answers_do_not_count(self) -> None:
        clean = judged([0.6], [0.85], [False], [False])
        calibrate = judged(
            [0.95] * 60 + [0.7] * 20, [np.nan] * 60 + [0.9] * 20, [True] * 60 + [False] * 20,
            [True] * 80,
        )  # fmt: skip
        policy = PolicyRecipe(target_risk=0.1, switch_margins=(0.1, 0.3))
        assert choose_margin(calibrate, clean, policy) == 0.1


class TestCounts:
    def test_counts_along_a_path_are_those_of_the_gate(self) -> None:
        rows = drawn(300, 3, "certify")
        path = path_through(rows, 0.1, PolicyRecipe())
        accepted, wrong = rows.counts(path, 0.1)
        for i in range(0, len(path), 40):
            gate = Gate(
                accept_raw_at=path.raw[i], accept_restored_at=path.restored[i], switch_margin=0.1
            )
            outcomes = [
                gate.decide(raw, None if np.isnan(second) else second)
                for raw, second in zip(rows.raw_reliability, rows.restored_reliability, strict=True)
            ]
            kept = [o.action.value == "accept" for o in outcomes]
            labels = np.where(
                [o.keep_restored for o in outcomes], rows.restored_labels, rows.raw_labels
            )
            assert accepted[i] == sum(kept)
            assert wrong[i] == (np.array(kept) & (labels != 0)).sum()


class TestSimulation:
    """The whole policy on a pool that is the population, certified a thousand times over."""

    margin = 0.1
    n_certify = 1500

    @pytest.fixture(scope="class")
    @classmethod
    def world(cls):
        """Accepted and wrong answers of the pool along a path that was frozen on another draw."""
        policy = PolicyRecipe()
        path = path_through(drawn(2000, 10, "calibrate"), cls.margin, policy)
        pool = drawn(8000, 11, "certify")
        accepted, wrong = [], []
        for raw_at, restored_at in zip(path.raw, path.restored, strict=True):
            gate = Gate(
                accept_raw_at=raw_at, accept_restored_at=restored_at, switch_margin=cls.margin
            )
            replay = gate.replay(pool.raw_reliability, pool.restored_reliability)
            accepted.append(replay.accepted)
            missed = pool.final_labels(replay.keep_restored) != pool.labels
            wrong.append(replay.accepted & missed)
        counted = pool.counts(path, cls.margin)
        np.testing.assert_array_equal(np.sum(accepted, axis=1), counted[0])
        np.testing.assert_array_equal(np.sum(wrong, axis=1), counted[1])
        draws = np.random.default_rng(12).multinomial(
            cls.n_certify, np.full(len(pool), 1 / len(pool)), size=1000
        )  # how often each row is drawn, with replacement
        weights = draws.astype(np.float32)
        return (
            np.array(counted),
            np.rint(weights @ np.array(accepted, dtype=np.float32).T).astype(int),
            np.rint(weights @ np.array(wrong, dtype=np.float32).T).astype(int),
        )

    @pytest.mark.parametrize(("level", "at_most"), [(0.9, 123), (0.95, 67), (0.99, 18)])
    def test_violations_stay_below_the_binomial_limit(self, world, level, at_most) -> None:
        (pool_accepted, pool_wrong), accepted, wrong = world
        risk = pool_wrong / np.maximum(pool_accepted, 1)
        violations, covered = 0, []
        for row_accepted, row_wrong in zip(accepted, wrong, strict=True):
            verdict = fixed_sequence_test(
                row_wrong, row_accepted, target_risk=0.05, confidence_level=level
            )
            if verdict.certified:
                violations += risk[verdict.index] > 0.05
                covered.append(pool_accepted[verdict.index] / 8000)
        assert violations <= at_most
        # The promise costs something, but it is not kept by promising nothing.
        assert len(covered) > 950
        best = pool_accepted[risk <= 0.05].max() / 8000
        assert np.median(covered) > 0.75 * best
        assert violations > 0 or level == 0.99


def test_with_few_calibrate_images_nothing_is_learned_and_that_is_said() -> None:
    parts = small_gate.splits()
    few = replace(parts, calibrate=parts.calibrate[:300])
    data = small_gate.digits()
    builder = TableBuilder(
        data, small_gate.classifier(), small_gate.restorers(), cache=small_gate.folder() / "cells"
    )
    fitter = Fitter(
        data, few, small_gate.spec(), small_gate.classifier(), builder.restorers,
        small_gate.recipe(target_risk=0.3), builder=builder,
    )  # fmt: skip
    fitted = fitter.run().fitted
    assert "got 300" in fitted.certificate["note"]
    assert {name_of_predictor(p) for p in fitted.predictors.values()} == {"max_softmax"}


def test_groups_are_certified_along_the_whole_walk() -> None:
    result = small_gate.small().result
    groups = {group["name"]: group for group in result.fitted.certificate["groups"]}
    judged = result.certify
    assert groups.keys() >= {"clean", "family gaussian", "family impulse", "severity 4-5"}
    replay = result.fitted.gate.replay(judged.raw_reliability, judged.restored_reliability)
    clean = judged.plan.corruptions == ""
    right = judged.final_labels(replay.keep_restored) == judged.labels
    assert groups["clean"]["n_images"] == clean.sum()
    assert groups["clean"]["n_accepted"] == (replay.accepted & clean).sum()
    assert groups["clean"]["n_wrong"] == (replay.accepted & clean & ~right).sum()


def test_wide_looks_and_chosen_trust_reach_the_fit() -> None:
    recipe = small_gate.recipe(target_risk=0.3)
    predictor = recipe.predictor.model_copy(update={"wide_looks": 2, "trust": "choose"})
    fitter = small_gate.fitter(with_recipe=recipe.model_copy(update={"predictor": predictor}))
    fitter.fit_predictors()
    assert [c.trust for c in fitter.trust_judged] == [0.4, 0.6, 0.8, 1.0]
    assert fitter.predictors["raw"].trust == choose(fitter.trust_judged).trust
    wide = fitter._wide_looks()[0]
    assert len(wide) == 2 * len(fitter.splits.fit)
    assert any("+" in name for name in wide.plan.corruptions)
    assert (wide.plan.severities != np.floor(wide.plan.severities)).any()


def test_a_shift_aware_calibrator_reads_the_signals_and_survives_the_disk(tmp_path: Path) -> None:
    recipe = small_gate.recipe(target_risk=0.3)
    predictor = recipe.predictor.model_copy(update={"calibrator": "shift_aware"})
    fitter = small_gate.fitter(with_recipe=recipe.model_copy(update={"predictor": predictor}))
    fitted = fitter.run().fitted
    fitted = replace(fitted, gate=replace(fitted.gate, accept_raw_at=1.0))  # all doubted
    n_columns = {key: len(fitted.calibrators[key].ease_.weights) for key in ("raw", "restored")}
    # The restored look is told the first look's log-odds as well.
    assert n_columns == {"raw": N_SCALARS, "restored": 1 + N_SCALARS}
    identity = save_bundle(fitted, tmp_path / "bundle")
    images = small_gate.stream_images()
    before = Gatekeeper(fitted, identity).decide(images)
    after = Gatekeeper.load(tmp_path / "bundle", device="cpu").decide(images)
    assert [d.to_json() for d in after] == [d.to_json() for d in before]
    assert any(len(d.attempts) == 2 for d in after)


def test_the_certificate_tells_what_the_router_takes_for_what() -> None:
    said = small_gate.small().result.fitted.certificate["router"]
    assert said["types"] == ["clean", "dark", "impulse"]
    counts = np.array(said["confusion"])
    # Every *fit* image once clean, and once under one of three corruptions, one of them not routed.
    assert counts[0].sum() == 1000
    assert 600 < counts[1:].sum() < 730
    assert np.trace(counts) / counts.sum() > 0.8
