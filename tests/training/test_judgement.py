"""Numbers of a card by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.metrics import psnr
from gatekeeper.restorers import Identity
from gatekeeper.training.judgement import Judgement, judge_restorer
from gatekeeper.training.restorer_recipe import CorruptionDraw
from gatekeeper.training.sources import DatasetImages, FolderImages
from tests import small_gate

ROWS = np.arange(120)
DARK = CorruptionDraw(name="dark", severity=(3, 3))
NOISE = CorruptionDraw(name="gaussian", level=(0.2, 0.2))


class Black(Identity):
    """Gives up on every image."""

    def restore(self, images: Tensor, **_: object) -> Tensor:
        return torch.zeros_like(images)


@pytest.fixture(scope="module")
def images() -> DatasetImages:
    return DatasetImages(small_gate.digits(), ROWS)


def judged(restorer: object, images: object, **changes: object) -> list[Judgement]:
    options = {"classifier": None, "seed": 0, "side": None, "at_most": 1000, **changes}
    return judge_restorer(restorer, images, [DARK, NOISE], **options)


def test_what_does_nothing_changes_nothing(images) -> None:
    classifier = small_gate.classifier()
    clean, dark, noise = judged(Identity(), images, classifier=classifier)
    assert [one.condition for one in (clean, dark, noise)] == ["clean", "dark", "gaussian"]
    assert math.isinf(clean.psnr_before_db)
    assert math.isinf(clean.psnr_after_db)
    for one in (dark, noise):
        assert one.psnr_after_db == one.psnr_before_db
        assert one.right_after == one.right_before
    data = small_gate.digits()
    answers = classifier.look(data.batch(ROWS)).logits.argmax(axis=1)
    assert clean.right_before == int((answers == data.labels[ROWS]).sum())
    assert noise.n == 120


def test_psnr_after_is_that_of_all_images_together(images) -> None:
    clean, *_ = judged(Black(), images)
    pixels = small_gate.digits().batch(ROWS).numpy().reshape(1, -1)
    assert clean.psnr_after_db == pytest.approx(psnr(pixels, np.zeros_like(pixels)), abs=1e-9)
    assert clean.right_after is None


def test_images_and_strengths_do_not_follow_the_order_of_the_files(images) -> None:
    shuffled = DatasetImages(small_gate.digits(), ROWS[::-1].copy())
    kept = [judged(Identity(), one, at_most=30)[2] for one in (images, shuffled)]
    assert kept[0].n == 30
    assert kept[0].psnr_before_db == pytest.approx(kept[1].psnr_before_db, abs=1e-9)
    assert judged(Identity(), images)[2].psnr_before_db != kept[0].psnr_before_db


def test_only_the_middle_is_judged_where_crops_were_trained_on() -> None:
    picture = np.zeros((20, 20, 3), dtype=np.uint8)
    picture[6:14, 6:14] = 255
    folder = FolderImages([picture], np.array(["a"]))
    clean, *_ = judge_restorer(
        Black(), folder, [], classifier=small_gate.classifier(), seed=0, side=8, at_most=5
    )
    assert clean.psnr_after_db == pytest.approx(0.0)  # all of the middle is white
    assert clean.right_after is None  # a folder has no classes


def test_said() -> None:
    one = Judgement(
        condition="fog", n=50, psnr_before_db=math.inf, psnr_after_db=20.0, right_before=10,
        right_after=25,
    )  # fmt: skip
    assert one.said() == "fog: – → 20.00 dB, 20.0% → 50.0% right"
