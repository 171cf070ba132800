"""The experiment's rows: who is looked at, under what, and what is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.study import (
    HELD_OUT_GROUPS,
    LOOKS,
    STUDIED,
    VIEWS,
    Study,
    fill,
    in_group,
    open_study,
    without_group,
)
from gatekeeper.corruptions import GROUPS, groups_of
from gatekeeper.errors import InputError
from gatekeeper.images import Dataset, make_splits
from gatekeeper.testing import FakeClassifier


@pytest.fixture
def small(tmp_path: Path) -> Study:
    """60 random grey images and a classifier that answers by brightness."""
    rng = np.random.default_rng(0)
    data = Dataset(
        name="noise",
        images=rng.integers(256, size=(60, 12, 12), dtype=np.uint8),
        labels=np.arange(60) % 2,
        class_names=("a", "b"),
        test_index=np.zeros(0, dtype=np.int64),
        licence="none",
        source="made here",
    )
    sizes = dict.fromkeys(("train", "validation", "fit", "calibrate", "certify", "test"), 10)
    fake = FakeClassifier(
        lambda mean: [mean, 1 - mean], class_names=["a", "b"], features_of=lambda mean: [mean]
    )
    return Study(
        data=data,
        splits=make_splits(
            data.labels, data.digests, test_index=data.test_index, sizes=sizes, seed=0
        ),
        classifiers={"fake": fake},
        corruptions={"noise": ("gaussian_noise",), "digital": ("pixelate", "jpeg_compression")},
        severities=(1, 5),
        cache=tmp_path / "cells",
        quick=False,
    )


def test_six_groups_and_31_corruptions_each_in_its_own() -> None:
    assert tuple(STUDIED) == HELD_OUT_GROUPS
    assert set(HELD_OUT_GROUPS) == set(GROUPS.values())
    names = [name for members in STUDIED.values() for name in members]
    assert len(names) == len(set(names)) == 31
    for group, members in STUDIED.items():
        for name in members:
            assert groups_of(name) == {group}, name


def test_test_rows_are_every_image_under_every_condition(small: Study) -> None:
    plan = small.plan("test")
    assert len(plan) == 10 * (1 + 3 * 2)
    conditions = list(zip(plan.corruptions.tolist(), plan.severities.tolist(), strict=True))
    assert conditions[:10] == [("", 0)] * 10
    assert set(conditions) == {("", 0)} | {(n, s) for n in small.names for s in (1, 5)}
    for condition in set(conditions):
        rows = [row for row, found in enumerate(conditions) if found == condition]
        assert plan.positions[rows].tolist() == small.splits.test.tolist()
    assert len(set(plan.seeds.tolist())) == len(plan)


@pytest.mark.parametrize("part", ["fit", "calibrate"])
def test_other_parts_draw_conditions_for_their_own_images(small: Study, part: str) -> None:
    plan = small.plan(part)
    assert len(plan) == 10 * LOOKS[part]
    assert set(plan.positions.tolist()) == set(small.splits[part].tolist())
    assert np.count_nonzero(plan.corruptions == "") == 10
    parts = {name for kind in plan.corruptions.tolist() for name in kind.split("+")}
    assert parts == {"", *small.names}
    corrupted = plan.severities[plan.corruptions != ""]
    assert corrupted.min() >= 0.25
    assert corrupted.max() <= 5.5
    assert (plan.seeds == small.plan(part).seeds).all()


def test_an_unknown_part_is_refused(small: Study) -> None:
    with pytest.raises(InputError, match="fit, calibrate or test"):
        small.plan("train")


def test_compositions_are_in_the_groups_of_both_parts() -> None:
    kinds = np.array(["", "gaussian_noise", "gaussian_noise+pixelate", "snow"])
    assert in_group(kinds, "noise").tolist() == [False, True, True, False]
    assert in_group(kinds, "digital").tolist() == [False, False, True, False]


def test_holding_out_leaves_clean_and_other_rows(small: Study) -> None:
    table = small.table("fake", "fit")
    kept = without_group(table, "digital")
    assert set(table.plan.corruptions[kept].tolist()) == {"", "gaussian_noise"}
    assert kept[table.plan.corruptions == ""].all()
    assert without_group(table, None).all()


def test_two_workers_fill_what_a_table_reads(small: Study) -> None:
    for worker in range(2):
        fill(small, ["calibrate", "test"], shard=(worker, 2))
    fake = small.classifiers["fake"]
    looked = fake.n_looked
    tables = {part: small.table("fake", part) for part in ("calibrate", "test")}
    # One look beyond the cache: each builder asks the classifier once what its numbers are.
    assert fake.n_looked == looked + len(tables)
    assert len(tables["test"]) == 70
    assert tables["test"].evidence.probes.shape == (70, 2 * len(VIEWS))
    clean = tables["test"].take(np.arange(10))
    means = small.data.batch(small.splits.test).mean(dim=(1, 2, 3)).numpy()
    assert clean.evidence.logits[:, 0] == pytest.approx(means, abs=1e-6)


def test_a_full_study_needs_data() -> None:
    with pytest.raises(InputError, match="--quick"):
        open_study(None)


def test_the_quick_study_is_small_and_whole(quick_study: Study) -> None:
    assert tuple(quick_study.corruptions) == HELD_OUT_GROUPS
    assert len(quick_study.names) == 12
    n_conditions = 1 + 12 * len(quick_study.severities)
    assert len(quick_study.plan("test")) == len(quick_study.splits.test) * n_conditions < 12_000
    assert len(quick_study.classifiers) == 1
