from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.errors import DataError
from gatekeeper.images import Dataset, fit_to, image_digests, tensor_digests


def _dataset(images: np.ndarray, labels=(0, 1, 1)) -> Dataset:
    return Dataset(
        name="small",
        images=images,
        labels=np.array(labels, dtype=np.int64),
        class_names=("one", "two"),
        test_index=np.array([2]),
        licence="MIT",
        source="Made here.",
    )


def _grey(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, 6, 8), dtype=np.uint8)


def test_a_batch_of_grey_images_has_three_equal_channels():
    images = _grey()
    batch = _dataset(images).batch(np.array([2, 0]))
    assert batch.shape == (2, 3, 6, 8)
    assert batch.dtype == torch.float32
    for channel in range(3):
        assert np.allclose(batch[:, channel].numpy() * 255, images[[2, 0]], atol=1e-4)


def test_a_batch_of_colour_images_keeps_its_channels():
    images = np.random.default_rng(1).integers(0, 256, (3, 6, 8, 3), dtype=np.uint8)
    batch = _dataset(images).batch(np.array([False, True, True]))
    assert np.allclose(batch.numpy() * 255, images[1:].transpose(0, 3, 1, 2), atol=1e-4)
    assert batch.is_contiguous()


def test_changing_a_batch_does_not_change_the_data():
    data = _dataset(_grey())
    data.batch(slice(0, 3)).zero_()
    assert np.array_equal(data.images, _grey())


def test_digests_are_those_of_the_images_and_of_the_batches():
    data = _dataset(_grey())
    assert data.digests.tolist() == image_digests(data.images).tolist()
    assert tensor_digests(data.batch(slice(None))).tolist() == data.digests.tolist()
    assert data.digests is data.digests


@pytest.mark.parametrize("colour", [False, True])
def test_resizing_goes_through_the_same_door(colour):
    images = np.repeat(_grey()[..., None], 3, axis=3) if colour else _grey()
    data = _dataset(images)
    smaller = data.resized((4, 4))
    assert smaller.image_size == (4, 4)
    assert smaller.images.ndim == images.ndim
    assert torch.equal(smaller.batch(slice(None)), fit_to(data.batch(slice(None)), (4, 4)))
    assert smaller.labels is data.labels
    assert data.resized((6, 8)) is data


def test_size_and_length():
    data = _dataset(_grey())
    assert (len(data), data.image_size) == (3, (6, 8))


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (_grey().astype(np.float32), (0, 1, 1)),
        (_grey()[..., None], (0, 1, 1)),
        (_grey(), (0, 1)),
        (_grey()[:0], ()),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(images, labels):
    with pytest.raises(DataError, match="expected one uint8 image"):
        _dataset(images, labels)


@pytest.mark.parametrize("labels", [(0, 1, 2), (-1, 0, 1)])
def test_labels_beyond_the_classes_are_refused(labels):
    with pytest.raises(DataError, match="expected labels in 0…1"):
        _dataset(_grey(), labels)
