"""Plans, tables, and cells on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.errors import InputError
from gatekeeper.evidence import (
    CELL_ROWS,
    EvidenceTable,
    Plan,
    TableBuilder,
    degrade,
    draw_plan,
    require_one_row_per_image,
    restore_rows,
)
from gatekeeper.images import Dataset
from gatekeeper.restorers import Exposure, TripleMedian
from gatekeeper.signals import read_signals
from gatekeeper.testing import FakeClassifier, IdentityRestorer
from tests import small_gate

SEEN = ("gaussian", "impulse", "dark", "periodic")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return small_gate.digits()


def plan_of(data: Dataset, n: int = 60, **changes: object) -> Plan:
    options = {"corruptions": SEEN, "clean_share": 0.25, "seed": 3, "purpose": "p", **changes}
    return draw_plan(data, "fit", np.arange(n) * 7, **options)


def fake(model_id: str = "fake") -> FakeClassifier:
    return FakeClassifier(
        lambda mean: [mean, 0.2, 0.3], class_names="abc", features_of=lambda m: [m, m * m],
        model_id=model_id,
    )  # fmt: skip


def builder(data: Dataset, classifier: FakeClassifier, cache: Path | None = None) -> TableBuilder:
    return TableBuilder(
        data, classifier, {"median": TripleMedian(), "exposure": Exposure()}, cache=cache
    )


class TestPlan:
    def test_each_image_once_in_the_declared_shares(self, data: Dataset) -> None:
        positions = np.arange(5000)
        plan = draw_plan(
            data, "fit", positions, corruptions=SEEN, clean_share=0.5, seed=0, purpose="p"
        )
        np.testing.assert_array_equal(plan.positions, positions)
        low, high = stats.binom.ppf([0.0005, 0.9995], 5000, 0.5)
        degraded = plan.corruptions != ""
        assert low <= degraded.sum() <= high
        kinds, levels = plan.corruptions[degraded], plan.severities[degraded]
        for share, found in (
            *((1 / 4, (kinds == name).sum()) for name in SEEN),
            *((1 / 5, (levels == level).sum()) for level in range(1, 6)),
            *((1 / 20, ((kinds == name) & (levels == 5)).sum()) for name in SEEN),
        ):
            low, high = stats.binom.ppf([0.0005, 0.9995], len(kinds), share)
            assert low <= found <= high
        assert (plan.severities[~degraded] == 0).all()
        assert set(kinds) == set(SEEN)
        assert len(np.unique(plan.seeds)) == 5000

    def test_the_seed_decides_and_the_order_does_not(self, data: Dataset) -> None:
        plan, again = plan_of(data), plan_of(data)
        order = np.random.default_rng(1).permutation(60)
        shuffled = draw_plan(
            data, "fit", plan.positions[order], corruptions=SEEN, clean_share=0.25, seed=3,
            purpose="p",
        )  # fmt: skip
        for name in ("positions", "corruptions", "severities", "seeds"):
            np.testing.assert_array_equal(getattr(again, name), getattr(plan, name))
            np.testing.assert_array_equal(getattr(shuffled, name), getattr(plan, name)[order])

    @pytest.mark.parametrize("change", [{"seed": 4}, {"purpose": "q"}])
    def test_other_seeds_and_purposes_draw_anew(self, data: Dataset, change: dict) -> None:
        plan, other = plan_of(data), plan_of(data, **change)
        assert (plan.corruptions != other.corruptions).mean() > 0.5
        assert not (plan.seeds == other.seeds).any()

    def test_only_clean_and_only_degraded(self, data: Dataset) -> None:
        assert (plan_of(data, clean_share=1.0).corruptions == "").all()
        assert (plan_of(data, clean_share=1.0, corruptions=()).severities == 0).all()
        assert (plan_of(data, clean_share=0.0).corruptions != "").all()

    def test_refusals(self, data: Dataset) -> None:
        options = {"corruptions": SEEN, "clean_share": 0.5, "seed": 0, "purpose": "p"}
        with pytest.raises(InputError, match="an image occurs twice"):
            draw_plan(data, "fit", np.array([3, 4, 3]), **options)
        with pytest.raises(InputError, match="at least one corruption"):
            plan_of(data, corruptions=())


def test_degrading_is_calling_the_corruption(data: Dataset) -> None:
    plan = plan_of(data)
    images = data.batch(plan.positions)
    kept = images.clone()
    degraded = degrade(images, plan)
    assert torch.equal(images, kept)
    for i, (name, severity) in enumerate(zip(plan.corruptions, plan.severities, strict=True)):
        one = images[i : i + 1]
        if name:
            one = CORRUPTIONS[name](one, severity=int(severity), seeds=plan.seeds[i : i + 1])
        assert torch.equal(degraded[i : i + 1], one)


def test_each_row_goes_through_its_restorer() -> None:
    images = torch.rand(4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    names, seeds = np.array(["median", "copy", "exposure", "median"]), np.arange(4)
    restorers = {"median": TripleMedian(), "exposure": Exposure(), "copy": IdentityRestorer()}
    restored = restore_rows(restorers, images, names, seeds)
    for i, name in enumerate(names):
        one = restorers[name].restore(images[i : i + 1], seeds=seeds[i : i + 1])
        assert torch.equal(restored[i : i + 1], one)
    with pytest.raises(InputError, match=r"\['copy', 'exposure', 'median'\], got 'unet'"):
        restore_rows(restorers, images, np.array(["median", "unet", "copy", "copy"]), seeds)


def test_a_raw_table_is_what_one_look_sees(data: Dataset) -> None:
    plan = plan_of(data)
    table = builder(data, fake()).raw(plan)
    images = degrade(data.batch(plan.positions), plan)
    look = fake().look(images)
    np.testing.assert_array_equal(table.evidence.logits, look.logits)
    np.testing.assert_array_equal(table.evidence.features, look.features)
    np.testing.assert_allclose(table.evidence.signals, read_signals(images), atol=1e-5)
    np.testing.assert_array_equal(table.labels, data.labels[plan.positions])
    np.testing.assert_array_equal(table.digests, data.digests[plan.positions])
    np.testing.assert_array_equal(table.correct, look.logits.argmax(1) == table.labels)
    assert set(table.evidence.restorer) == {""}
    assert table.evidence.raw is None


def test_a_restored_table_points_back_at_its_first_looks(data: Dataset) -> None:
    build = builder(data, fake())
    table = build.raw(plan_of(data))
    rows = np.array([5, 17, 2])
    names = np.array(["median", "exposure", "median"])
    restored = build.restored(table, rows, names)
    plan = table.plan.take(rows)
    images = restore_rows(
        build.restorers, degrade(data.batch(plan.positions), plan), names, plan.seeds
    )
    np.testing.assert_array_equal(restored.evidence.logits, fake().look(images).logits)
    np.testing.assert_array_equal(restored.raw_rows, rows)
    np.testing.assert_array_equal(restored.digests, table.digests[rows])
    np.testing.assert_array_equal(restored.labels, table.labels[rows])
    assert restored.evidence.restorer.tolist() == names.tolist()
    assert restored.evidence.raw is not None
    np.testing.assert_array_equal(restored.evidence.raw.logits, table.evidence.logits[rows])


def test_no_rows_make_an_empty_table_with_any_classifier(data: Dataset) -> None:
    """A real classifier refuses an empty batch; a gate may have nothing to restore."""
    build = TableBuilder(data, small_gate.classifier(), small_gate.restorers())
    table = build.raw(plan_of(data, 5))
    none = build.restored(table, np.arange(0), np.array([], dtype="<U32"))
    assert len(none) == 0
    assert none.evidence.logits.shape == (0, 10)
    assert none.evidence.features is not None
    assert none.evidence.features.shape == (0, 32)
    assert none.evidence.signals.shape == (0, table.evidence.signals.shape[1])


def test_tables_one_after_another(data: Dataset) -> None:
    build = builder(data, fake())
    one, other = build.raw(plan_of(data, 10)), build.raw(plan_of(data, 6, purpose="q"))
    joined = EvidenceTable.concatenate([one, other])
    assert len(joined) == 16
    np.testing.assert_array_equal(joined.raw_rows, np.arange(16))
    for part, rows in ((one, np.arange(10)), (other, np.arange(10, 16))):
        back = joined.take(rows)
        np.testing.assert_array_equal(back.evidence.logits, part.evidence.logits)
        np.testing.assert_array_equal(back.evidence.signals, part.evidence.signals)
        np.testing.assert_array_equal(back.plan.corruptions, part.plan.corruptions)
        np.testing.assert_array_equal(back.digests, part.digests)
    elsewhere = replace(other, plan=replace(other.plan, split="certify"))
    for tables in ([], [one, elsewhere]):
        with pytest.raises(InputError, match="tables of one split"):
            EvidenceTable.concatenate(tables)
    restored = build.restored(one, np.arange(2), np.array(["median"] * 2))
    with pytest.raises(InputError, match="expected raw tables"):
        EvidenceTable.concatenate([one, restored])


class TestCells:
    def test_a_finished_cell_is_read_and_not_made_again(self, data: Dataset, tmp_path) -> None:
        plan = plan_of(data)
        first = fake()
        made = builder(data, first, tmp_path).raw(plan)
        assert first.n_looked >= 60
        second = fake()
        read = builder(data, second, tmp_path).raw(plan)
        assert second.n_looked <= 1  # one look at one image says what kind of logits these are
        np.testing.assert_array_equal(read.evidence.logits, made.evidence.logits)
        np.testing.assert_array_equal(read.evidence.features, made.evidence.features)
        np.testing.assert_array_equal(read.evidence.signals, made.evidence.signals)

    def test_another_classifier_makes_its_own(self, data: Dataset, tmp_path) -> None:
        plan = plan_of(data)
        builder(data, fake(), tmp_path).raw(plan)
        other = fake("other")
        builder(data, other, tmp_path).raw(plan)
        assert other.n_looked >= 60

    def test_another_seed_condition_or_restorer_makes_its_own(self, data, tmp_path) -> None:
        classifier = fake()
        build = builder(data, classifier, tmp_path)
        plan = plan_of(data)
        table = build.raw(plan)
        build.restored(table, np.arange(60), np.full(60, "median"))
        for make in (
            lambda: build.raw(replace(plan, seeds=plan.seeds + 1)),
            lambda: build.raw(replace(plan, corruptions=np.where(plan.severities, "dark", ""))),
            lambda: build.raw(replace(plan, severities=np.where(plan.severities, 1, 0))),
            lambda: build.raw(plan.take(np.arange(59))),
            lambda: build.restored(table, np.arange(60), np.full(60, "exposure")),
        ):
            before = classifier.n_looked
            make()
            assert classifier.n_looked >= before + 59
        before = classifier.n_looked
        build.restored(table, np.arange(60), np.full(60, "median"))
        assert classifier.n_looked == before

    def test_an_unfinished_cell_is_made_again(self, data: Dataset, tmp_path) -> None:
        plan = plan_of(data)
        builder(data, fake(), tmp_path).raw(plan)
        (cell,) = tmp_path.iterdir()
        cell.rename(cell.with_suffix(".part"))
        again = fake()
        builder(data, again, tmp_path).raw(plan)
        assert again.n_looked >= 60
        assert cell.is_file()

    def test_long_tables_have_several_cells(self, data: Dataset, tmp_path) -> None:
        plan = draw_plan(
            data, "fit", np.arange(CELL_ROWS + 3), corruptions=(), clean_share=1.0, seed=0,
            purpose="p",
        )  # fmt: skip
        table = builder(data, fake(), tmp_path).raw(plan)
        assert len(list(tmp_path.glob("*.safetensors"))) == 2
        expected = fake().look(data.batch(plan.positions[-5:])).logits
        np.testing.assert_array_equal(table.evidence.logits[-5:], expected)


def test_a_base_image_that_occurs_twice_is_refused_at_the_door() -> None:
    require_one_row_per_image(np.array(["a", "b", "c"]))
    with pytest.raises(InputError, match="3 rows of 2 images"):
        require_one_row_per_image(np.array(["a", "b", "a"]))
