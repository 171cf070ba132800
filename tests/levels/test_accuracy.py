from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gatekeeper.errors import DataError, InputError
from gatekeeper.levels.accuracy import AccuracyOracle, FixedSet, counts_at, fixed_set
from gatekeeper.levels.distortion import distort
from gatekeeper.levels.space import parse_space
from tests import small_gate

SPACE = parse_space("rotation=-60:60,noise_sigma=0:0.4")


def a_set(n: int = 300) -> FixedSet:
    return fixed_set(small_gate.digits(), small_gate.splits().test[:n], seed=0)


def test_the_mildest_level_is_clean_accuracy():
    images = a_set()
    oracle = AccuracyOracle(small_gate.classifier(), images, SPACE)
    answers = small_gate.classifier().look(images.images).logits.argmax(axis=1)
    clean = float((answers == images.labels).mean())
    assert oracle.accuracy(SPACE.mildest) == clean
    assert clean > 0.8


def test_accuracy_is_a_direct_evaluation_and_counted_once():
    images = a_set()
    oracle = AccuracyOracle(small_gate.classifier(), images, SPACE)
    point = np.array([0.8, 0.5])
    first = oracle.n_correct(point)
    distorted = distort(images.images, {"rotation": 36.0, "noise_sigma": 0.2}, images.seeds)
    answers = small_gate.classifier().look(distorted).logits.argmax(axis=1)
    assert first == int((answers == images.labels).sum())
    assert first < oracle.n_correct(SPACE.mildest)
    assert counts_at(oracle, [point, point]).tolist() == [first, first]
    assert oracle.n_evaluated == 2


def test_an_images_noise_derives_from_the_image():
    data, rows = small_gate.digits(), small_gate.splits().test[:6]
    one, other = fixed_set(data, rows, seed=0), fixed_set(data, rows[::-1], seed=0)
    assert one.seeds.tolist() == other.seeds[::-1].tolist()
    assert one.seeds.tolist() != fixed_set(data, rows, seed=1).seeds.tolist()
    assert one.digest != fixed_set(data, rows, seed=1).digest
    assert one.digest == fixed_set(data, rows, seed=0).digest


def test_a_drawn_set_depends_on_the_images_not_on_their_order():
    data, rows = small_gate.digits(), small_gate.splits().test
    one = fixed_set(data, rows, seed=0, n_images=100)
    assert one.digest == fixed_set(data, rows[::-1].copy(), seed=0, n_images=100).digest
    assert one.digest != fixed_set(data, rows, seed=1, n_images=100).digest
    # 500 of each class lie one after the other in these data: the first hundred would be zeros.
    assert len(set(one.labels.tolist())) == 10
    with pytest.raises(InputError, match="1 to 600 images"):
        fixed_set(data, rows, seed=0, n_images=601)


def test_finished_levels_are_kept(tmp_path):
    path = tmp_path / "kept" / "levels.jsonl"
    images = a_set(50)
    first = AccuracyOracle(small_gate.classifier(), images, SPACE, kept=path)
    points = [np.array([0.1, 0.2]), np.array([0.9, 0.3])]
    counts = counts_at(first, points)
    again = AccuracyOracle(small_gate.classifier(), images, SPACE, kept=path)
    assert counts_at(again, points).tolist() == counts.tolist()
    assert again.n_evaluated == 0
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2


def test_a_level_that_was_cut_short_is_evaluated_again(tmp_path):
    path = tmp_path / "levels.jsonl"
    images = a_set(50)
    points = [np.array([0.1, 0.2]), np.array([0.9, 0.3])]
    counts = counts_at(AccuracyOracle(small_gate.classifier(), images, SPACE, kept=path), points)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:-20], encoding="utf-8")
    again = AccuracyOracle(small_gate.classifier(), images, SPACE, kept=path)
    assert counts_at(again, points).tolist() == counts.tolist()
    assert again.n_evaluated == 1
    assert path.read_text(encoding="utf-8") == text
    path.write_text(text.splitlines()[0][:-3], encoding="utf-8")
    empty = AccuracyOracle(small_gate.classifier(), images, SPACE, kept=path)
    empty.n_correct(points[0])
    assert path.read_text(encoding="utf-8") == text.splitlines()[0] + "\n"


def test_levels_of_others_are_refused(tmp_path):
    path = tmp_path / "levels.jsonl"
    AccuracyOracle(small_gate.classifier(), a_set(20), SPACE, kept=path).n_correct(SPACE.mildest)
    with pytest.raises(DataError, match="those of others"):
        AccuracyOracle(small_gate.classifier(), a_set(21), SPACE, kept=path)
    other = parse_space("rotation=0:1,scale=1:2")
    with pytest.raises(DataError, match="those of others"):
        AccuracyOracle(small_gate.classifier(), a_set(20), other, kept=path)
    path.write_text(json.dumps({"of": 1}) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1"):
        AccuracyOracle(small_gate.classifier(), a_set(20), SPACE, kept=path)


def test_a_wider_range_of_the_same_coordinates_may_read_them(tmp_path):
    path = tmp_path / "levels.jsonl"
    AccuracyOracle(small_gate.classifier(), a_set(20), SPACE, kept=path).n_correct(SPACE.mildest)
    wider = parse_space("rotation=-90:90,noise_sigma=0:0.4")
    oracle = AccuracyOracle(small_gate.classifier(), a_set(20), wider, kept=path)
    oracle.n_correct(wider.mildest)
    assert oracle.n_evaluated == 0


def test_rows_that_do_not_line_up_are_refused():
    with pytest.raises(InputError, match="one label and one seed"):
        FixedSet(torch.zeros(2, 3, 8, 8), np.zeros(2, int), np.zeros(1, int), "")
    with pytest.raises(InputError, match="at least one"):
        FixedSet(torch.zeros(0, 3, 8, 8), np.zeros(0, int), np.zeros(0, int), "")
