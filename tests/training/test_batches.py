"""What a step is shown."""

from __future__ import annotations

import numpy as np
import torch

from gatekeeper.images import tensor_digests
from gatekeeper.training.batches import Batches
from gatekeeper.training.degradation import Degradation
from gatekeeper.training.restorer_recipe import CorruptionDraw, RestorerSchedule
from gatekeeper.training.sources import DatasetImages
from tests import small_gate

NOISE = Degradation([CorruptionDraw(name="gaussian", level=(0.2, 0.2))])
DARK = Degradation([CorruptionDraw(name="dark", severity=(4, 4))])
SCHEDULE = RestorerSchedule(batch_size=5, crop_px=20)


def digits(start: int, stop: int) -> DatasetImages:
    return DatasetImages(small_gate.digits(), np.arange(start, stop))


def test_images_labels_and_seeds_line_up() -> None:
    images = digits(0, 30)
    batches = Batches(images, NOISE, RestorerSchedule(batch_size=6), seed=0)
    label_of = dict(zip(images.digests.tolist(), images.labels.tolist(), strict=True))
    for number in range(6):
        batch = batches.step(number)
        assert batch.unlabelled is None
        assert [label_of[d] for d in tensor_digests(batch.clean)] == batch.labels.tolist()
        assert torch.equal(batch.degraded, NOISE(batch.clean, batch.seeds))


def test_unlabelled_images_are_made_noisy_by_their_own_corruption() -> None:
    clean, other = digits(0, 30), digits(30, 40)
    made = Batches(
        clean, NOISE, SCHEDULE, seed=0, unlabelled=other, unlabelled_degradation=DARK
    ).step(0)
    as_they_are = Batches(clean, NOISE, SCHEDULE, seed=0, unlabelled=other).step(0)
    assert made.unlabelled.shape == as_they_are.unlabelled.shape == (5, 3, 20, 20)
    assert made.unlabelled.mean() < 0.7 * as_they_are.unlabelled.mean()
    assert torch.equal(made.clean, as_they_are.clean)


def test_a_step_is_a_function_of_its_number_and_the_seed() -> None:
    first = Batches(digits(0, 30), NOISE, SCHEDULE, seed=0)
    again = Batches(digits(0, 30), NOISE, SCHEDULE, seed=0)
    for number in (6, 2, 6):
        assert torch.equal(first.step(number).degraded, again.step(number).degraded)
    other = Batches(digits(0, 30), NOISE, SCHEDULE, seed=1).step(2)
    assert not torch.equal(other.clean, first.step(2).clean)
