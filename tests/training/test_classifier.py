"""Training of classifiers: what is read, what comes out, and that a cut-short one goes on."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from gatekeeper.errors import InputError
from gatekeeper.images import Dataset
from gatekeeper.recipe import ClassifierTraining
from gatekeeper.training import (
    channel_statistics,
    classifier_steps,
    flipped_and_cropped,
    train_classifier,
)
from tests import small_gate

SHORT = ClassifierTraining(epochs=3, batch_size=750, min_steps=1)
NARROW = {"widths": [4, 4, 4, 4]}


class Recording(Dataset):
    """Remembers which positions were read."""

    def batch(self, indices):
        self.__dict__.setdefault("read", set()).update(np.arange(len(self))[indices].tolist())
        return super().batch(indices)


@pytest.fixture
def data() -> Recording:
    known = small_gate.digits()
    return Recording(**{f.name: getattr(known, f.name) for f in fields(Dataset)})


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    from gatekeeper.classifiers import load_safetensors

    return load_safetensors(path)


def test_the_classifier_sees_train_only(data, tmp_path: Path) -> None:
    parts = small_gate.splits()
    spec = train_classifier(
        data, parts, ClassifierTraining(epochs=1, batch_size=750, min_steps=1),
        weights=tmp_path / "w.safetensors",
        seed=0, kwargs=NARROW,
    )  # fmt: skip
    assert data.read == set(parts.train.tolist())
    built = spec.build(device="cpu")
    assert built.class_names == data.class_names
    assert built.look(data.batch(parts.test[:2])).logits.shape == (2, 10)


def test_validation_is_watched_after_every_epoch(data, tmp_path: Path) -> None:
    parts, told = small_gate.splits(), []
    spec = train_classifier(
        data, parts, SHORT, weights=tmp_path / "w.safetensors", seed=0, kwargs=NARROW,
        on_epoch=lambda epoch, accuracy: told.append((epoch, accuracy)),
    )  # fmt: skip
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    assert data.read == {*parts.train.tolist(), *parts.validation.tolist()}
    look = spec.build(device="cpu").look(data.batch(parts.validation))
    right = np.mean(look.logits.argmax(axis=1) == data.labels[parts.validation])
    assert told[-1][1] == pytest.approx(right)


def test_a_training_that_was_cut_short_ends_with_the_same_weights(data, tmp_path: Path) -> None:
    class CutShort(Exception):  # noqa: N818  # not an error
        pass

    def stop_in_the_last_epoch(step: int, _loss: float) -> None:
        if step == classifier_steps(SHORT, len(small_gate.splits().train)):
            raise CutShort

    kept = tmp_path / "checkpoint.safetensors"
    common = {"seed": 5, "kwargs": NARROW}
    cut = {**common, "weights": tmp_path / "cut.safetensors", "checkpoint": kept}
    with pytest.raises(CutShort):
        train_classifier(data, small_gate.splits(), SHORT, on_step=stop_in_the_last_epoch, **cut)
    steps = []
    train_classifier(
        data, small_gate.splits(), SHORT, on_step=lambda step, loss: steps.append(step), **cut
    )
    assert steps[0] == 4  # two batches an epoch; two epochs were kept
    whole = tmp_path / "whole.safetensors"
    train_classifier(data, small_gate.splits(), SHORT, weights=whole, **common)
    resumed, straight = weights_of(cut["weights"]), weights_of(whole)
    assert resumed.keys() == straight.keys()
    for name, tensor in straight.items():
        torch.testing.assert_close(resumed[name], tensor, msg=name)


def test_a_checkpoint_of_another_training_is_refused(data, tmp_path: Path) -> None:
    kept, weights = tmp_path / "checkpoint.safetensors", tmp_path / "w.safetensors"
    once = ClassifierTraining(epochs=1, batch_size=1500, min_steps=1)
    common = {"weights": weights, "checkpoint": kept, "kwargs": NARROW}
    train_classifier(data, small_gate.splits(), once, seed=0, **common)
    with pytest.raises(InputError, match="of this very training"):
        train_classifier(data, small_gate.splits(), once, seed=1, **common)


def test_channel_statistics_by_hand(data) -> None:
    rows = small_gate.splits().train
    found = channel_statistics(data, rows)
    pixels = data.images[rows] / 255
    np.testing.assert_allclose(found.mean, [pixels.mean()] * 3, rtol=1e-5)
    np.testing.assert_allclose(found.std, [pixels.std()] * 3, rtol=1e-5)


def test_every_flip_and_crop_is_a_window_of_the_padded_image() -> None:
    image = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image, (1,) * 4)
    windows = [padded[0, :, y : y + 6, x : x + 6] for y in range(3) for x in range(3)]
    flipped = [
        torch.nn.functional.pad(image.flip(3), (1,) * 4)[0, :, y : y + 6, x : x + 6]
        for y in range(3) for x in range(3)
    ]  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        found = flipped_and_cropped(image.expand(300, -1, -1, -1), 1)
    seen = set()
    for one in found:
        matches = [i for i, window in enumerate([*windows, *flipped]) if torch.equal(one, window)]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == 18


def test_small_crops_are_every_window_of_the_image_itself_and_its_mirror() -> None:
    image = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    windows = [image[0, :, y : y + 4, x : x + 4] for y in range(2) for x in range(2)]
    windows += [window.flip(2) for window in windows]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        found = flipped_and_cropped(image.expand(200, -1, -1, -1), 0, side=4)
    matches = [[i for i, w in enumerate(windows) if torch.equal(one, w)] for one in found]
    assert all(len(match) == 1 for match in matches)
    assert {match[0] for match in matches} == set(range(8))


def test_crops_larger_than_the_image_are_refused() -> None:
    with pytest.raises(InputError, match=r"got 7×7 of 5×5 with 0 px around"):
        flipped_and_cropped(torch.rand(1, 3, 5, 5), 0, side=7)
