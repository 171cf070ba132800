from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.errors import DataError, InputError, SplitOverlapError
from gatekeeper.images import SPLIT_NAMES, make_splits

NONE = np.empty(0, dtype=np.int64)
FIFTHS = {"train": 50, "validation": 10, "fit": 20, "calibrate": 10, "certify": 10}


def _digests(names) -> np.ndarray:
    return np.array([hashlib.sha256(str(name).encode()).hexdigest() for name in names])


def _labels(count: int, n_classes: int = 5) -> np.ndarray:
    return np.arange(count, dtype=np.int64) % n_classes


def _members(splits) -> dict[str, list[int]]:
    return {name: splits[name].tolist() for name in SPLIT_NAMES}


def test_counts_are_exact_and_each_class_has_its_share():
    labels = np.repeat(np.arange(4), [60, 30, 20, 10])
    splits = make_splits(
        labels, _digests(range(120)), test_index=NONE, sizes={**FIFTHS, "test": 12}, seed=0
    )
    assert {name: len(splits[name]) for name in SPLIT_NAMES} == {**FIFTHS, "test": 12}
    # 50 of 60:30:20:10 is 25, 12.5, 8.33, 4.17; the one left over goes to the largest remainder.
    assert np.bincount(labels[splits.train]).tolist() == [25, 13, 8, 4]
    assert all(np.all(np.diff(splits[name]) > 0) for name in SPLIT_NAMES)
    assert splits.train.dtype == np.int64


def test_everything_can_be_given_out():
    sizes = {"train": 3, "validation": 5, "fit": 7, "calibrate": 1, "certify": 4, "test": 3}
    splits = make_splits(_labels(23, 3), _digests(range(23)), test_index=NONE, sizes=sizes, seed=3)
    everything = np.concatenate([splits[name] for name in SPLIT_NAMES])
    assert sorted(everything.tolist()) == list(range(23))


def test_the_official_test_part_is_the_test_split():
    official = np.arange(100, 130)
    splits = make_splits(
        _labels(130), _digests(range(130)), test_index=official, sizes=FIFTHS, seed=0
    )
    assert splits.test.tolist() == official.tolist()
    smaller = make_splits(
        _labels(130),
        _digests(range(130)),
        test_index=official,
        sizes={**FIFTHS, "test": 10},
        seed=0,
    )
    assert len(smaller.test) == 10
    assert set(smaller.test) <= set(official)
    assert np.bincount(_labels(130)[smaller.test]).tolist() == [2, 2, 2, 2, 2]
    assert smaller.train.tolist() == splits.train.tolist()


def test_fractions_are_of_the_distinct_images_to_draw_from():
    sizes = {"train": 0.5, "validation": 0.1, "fit": 0.2, "calibrate": 0.1, "certify": 0.1}
    splits = make_splits(
        _labels(230), _digests(range(230)), test_index=np.arange(30), sizes=sizes, seed=0
    )
    assert [len(splits[name]) for name in SPLIT_NAMES] == [100, 20, 40, 20, 20, 30]


def test_a_duplicate_is_used_once_and_one_of_a_test_image_not_at_all():
    names = [*range(110), 0, 1, 105, 110]  # 110 and 111 repeat 0 and 1, 112 repeats a test image
    digests = _digests(names)
    splits = make_splits(
        _labels(114), digests, test_index=np.arange(105, 110), sizes={**FIFTHS, "train": 56}, seed=0
    )
    members = _members(splits)
    used = [position for part in members.values() for position in part]
    assert sorted(used) == sorted([*range(110), 113])
    assert members["test"] == list(range(105, 110))


def test_a_duplicate_within_the_test_part_is_judged_once():
    digests = _digests([*range(100), 200, 200])
    splits = make_splits(
        _labels(102), digests, test_index=np.array([101, 100]), sizes=FIFTHS, seed=0
    )
    assert splits.test.tolist() == [100]


@settings(deadline=None, max_examples=60)
@given(
    names=st.lists(st.integers(0, 60), min_size=40, max_size=90),
    n_test=st.integers(0, 10),
    seed=st.integers(0, 5),
)
def test_no_image_is_in_two_splits_whatever_the_duplicates(names, n_test, seed):
    digests = _digests(names)
    labels = np.array(names) % 4
    outside = set(names[n_test:]) - set(names[:n_test])
    sizes: dict[str, int] = dict.fromkeys(SPLIT_NAMES[:5] if n_test else SPLIT_NAMES, 2)
    arguments = (labels, digests)
    if sum(sizes.values()) > len(outside):
        with pytest.raises(DataError, match=f"at most {len(outside)} images"):
            make_splits(*arguments, test_index=np.arange(n_test), sizes=sizes, seed=seed)
        return
    splits = make_splits(*arguments, test_index=np.arange(n_test), sizes=sizes, seed=seed)
    seen = np.concatenate([digests[splits[name]] for name in SPLIT_NAMES])
    assert len(set(seen)) == len(seen)
    splits.check(digests)


def test_the_same_seed_gives_the_same_splits_and_another_seed_others():
    arguments = (_labels(200), _digests(range(200)))
    sizes = {**FIFTHS, "test": 20}
    one = make_splits(*arguments, test_index=NONE, sizes=sizes, seed=0)
    same = make_splits(*arguments, test_index=NONE, sizes=sizes, seed=0)
    other = make_splits(*arguments, test_index=NONE, sizes=sizes, seed=1)
    assert _members(one) == _members(same)
    assert all(_members(one)[name] != _members(other)[name] for name in SPLIT_NAMES)


def test_the_order_of_the_files_does_not_matter():
    labels, digests = _labels(150), _digests(range(150))
    shuffled = np.random.default_rng(0).permutation(150)
    sizes = {**FIFTHS, "test": 20}
    straight = make_splits(labels, digests, test_index=NONE, sizes=sizes, seed=0)
    mixed = make_splits(labels[shuffled], digests[shuffled], test_index=NONE, sizes=sizes, seed=0)
    assert straight.to_json(digests) == mixed.to_json(digests[shuffled])


def test_the_digest_of_a_split_is_the_sha256_of_its_sorted_lines():
    digests = _digests(range(120))
    splits = make_splits(
        _labels(120), digests, test_index=NONE, sizes={**FIFTHS, "test": 3}, seed=0
    )
    lines = "".join(f"{line}\n" for line in sorted(digests[splits.test]))
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert splits.digest_of("test", digests) == expected
    record = splits.to_json(digests)
    assert record["test"] == {"n": 3, "digest": expected}
    assert list(record) == list(SPLIT_NAMES)
    assert len({entry["digest"] for entry in record.values()}) == 6


def test_an_overlap_is_refused_even_under_two_positions():
    digests = _digests([*range(120), 0])
    splits = make_splits(
        _labels(121), digests, test_index=NONE, sizes={**FIFTHS, "test": 20}, seed=0
    )
    owner = next(name for name in SPLIT_NAMES if 0 in splits[name])
    taker = next(name for name in SPLIT_NAMES if name != owner)
    broken = replace(splits, **{taker: np.append(splits[taker], 120)})
    with pytest.raises(SplitOverlapError, match="share 1 "):
        broken.check(digests)


def test_sizes_that_ask_for_too_much_are_refused():
    with pytest.raises(DataError, match=r"at most 90 images .* got 100 \(train 50"):
        make_splits(_labels(95), _digests(range(95)), test_index=np.arange(5), sizes=FIFTHS, seed=0)
    with pytest.raises(DataError, match=r"at most 5 images .* in the official test part"):
        make_splits(
            _labels(205), _digests(range(205)), test_index=np.arange(5),
            sizes={**FIFTHS, "test": 6}, seed=0,
        )  # fmt: skip


@pytest.mark.parametrize(
    "sizes",
    [
        FIFTHS,  # test is missing and there is no official part
        {**FIFTHS, "test": 5, "training": 3},
        {**FIFTHS, "test": 0},
        {**FIFTHS, "test": 1.0},
        {**FIFTHS, "test": 0.0001},
        {**FIFTHS, "test": -3},
    ],
)
def test_sizes_that_make_no_sense_are_refused(sizes):
    with pytest.raises(InputError, match="size"):
        make_splits(_labels(200), _digests(range(200)), test_index=NONE, sizes=sizes, seed=0)


def test_arguments_that_do_not_line_up_are_refused():
    with pytest.raises(InputError, match="one digest per label"):
        make_splits(_labels(3), _digests(range(4)), test_index=NONE, sizes=FIFTHS, seed=0)
    for outside in (200, -1):
        with pytest.raises(InputError, match="within the 200 images"):
            make_splits(
                _labels(200), _digests(range(200)), test_index=np.array([outside]),
                sizes=FIFTHS, seed=0,
            )  # fmt: skip


def test_a_split_is_looked_up_by_name():
    splits = make_splits(
        _labels(200), _digests(range(200)), test_index=np.arange(9), sizes=FIFTHS, seed=0
    )
    assert splits["certify"] is splits.certify
    with pytest.raises(InputError, match="got 'digest_of'"):
        splits["digest_of"]
