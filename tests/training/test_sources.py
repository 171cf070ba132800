"""Crops, orders and folders: each image by its own seed, each step by its number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gatekeeper.errors import DataError, InputError
from gatekeeper.images import image_digests
from gatekeeper.training.sources import DatasetImages, FolderImages, Order, read_folder
from tests import small_gate

SIZES = ((20, 31), (24, 16), (18, 18))


@pytest.fixture
def pictures() -> list[np.ndarray]:
    """Every pixel of a picture is another colour: its own row, column and number."""
    return [
        np.stack(
            [
                np.repeat(np.arange(h, dtype=np.uint8)[:, None], w, axis=1),
                np.repeat(np.arange(w, dtype=np.uint8)[None], h, axis=0),
                np.full((h, w), number, dtype=np.uint8),
            ],
            axis=2,
        )
        for number, (h, w) in enumerate(SIZES)
    ]


@pytest.fixture
def folder(tmp_path: Path, pictures) -> Path:
    (tmp_path / "deeper").mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / ("deeper" if number else ".") / f"{number}.png")
    Image.fromarray(pictures[0]).save(tmp_path / "again.png")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def levels(crop: torch.Tensor) -> np.ndarray:
    return (crop * 255).round().byte().numpy()


def test_a_folder_gives_each_distinct_image_once(folder, pictures) -> None:
    told: list[str] = []
    images = read_folder(folder, told.append)
    assert images.digests.tolist() == sorted(str(image_digests(p[None])[0]) for p in pictures)
    assert images.labels is None
    assert told == [f"3 images of {folder}, 0 MiB."]


def test_every_crop_is_a_window_of_its_image_and_all_places_occur(folder) -> None:
    images = read_folder(folder)
    row = next(r for r in range(3) if images.take(np.array([r]))._pixels[0].shape[:2] == (18, 18))
    seeds = np.arange(200)
    crops = images.crops(np.full(200, row), seeds, side=16, flips=False)
    places = set()
    for crop in crops:
        found = levels(crop)
        top, left = int(found[0, 0, 0]), int(found[1, 0, 0])
        assert np.array_equal(found[0], np.arange(top, top + 16)[:, None].repeat(16, axis=1))
        assert np.array_equal(found[1], np.arange(left, left + 16)[None].repeat(16, axis=0))
        places.add((top, left))
    assert places == {(y, x) for y in range(3) for x in range(3)}


def test_half_of_the_crops_are_mirrored_where_asked(folder) -> None:
    images = read_folder(folder)
    seeds = np.arange(300)
    crops = images.crops(np.zeros(300, dtype=int), seeds, side=16, flips=True)
    mirrored = [bool(levels(crop)[1, 0, 0] > levels(crop)[1, 0, 1]) for crop in crops]
    assert 110 < sum(mirrored) < 190  # 150 ± 4.6 standard deviations


def test_a_crop_depends_on_its_own_seed_only(folder) -> None:
    images = read_folder(folder)
    rows, seeds = np.array([0, 2, 1, 0]), np.array([9, 8, 7, 2**62])
    together = images.crops(rows, seeds, side=12, flips=True)
    for place in range(4):
        one = slice(place, place + 1)
        alone = images.crops(rows[one], seeds[one], side=12, flips=True)
        assert torch.equal(alone[0], together[place])


def test_the_middle_by_hand(folder, pictures) -> None:
    images = read_folder(folder)
    for row in range(3):
        crop = levels(images.centres(np.array([row]), side=10)[0])
        number = int(crop[2, 0, 0])
        height, width = SIZES[number]
        assert (crop[0, 0, 0], crop[1, 0, 0]) == ((height - 10) // 2, (width - 10) // 2)


def test_a_data_set_gives_its_own_images_and_labels() -> None:
    data, positions = small_gate.digits(), np.array([11, 3, 400])
    images = DatasetImages(data, positions)
    assert images.labels is not None
    assert images.labels.tolist() == data.labels[positions].tolist()
    assert images.digests.tolist() == data.digests[positions].tolist()
    rows = np.array([2, 0])
    whole = images.crops(rows, np.array([1, 2]), side=None, flips=False)
    assert torch.equal(whole, data.batch(positions[rows]))
    assert torch.equal(images.centres(rows, side=None), whole)
    assert images.take(rows).digests.tolist() == data.digests[positions[rows]].tolist()


def test_folders_that_cannot_serve_are_refused(folder, tmp_path_factory) -> None:
    images = read_folder(folder)
    with pytest.raises(DataError, match=r"at least 17 px per side, got one of 24×16"):
        images.crops(np.arange(3), np.arange(3), side=17, flips=False)
    with pytest.raises(DataError, match=r"of one size, got 18×18 and 20×31: set"):
        images.centres(np.arange(3), side=None)
    with pytest.raises(DataError, match=r"expected images .* got none"):
        read_folder(tmp_path_factory.mktemp("empty"))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match=r"broken\.png: "):
        read_folder(folder)


def test_a_pass_shows_every_image_once_and_the_next_in_another_order() -> None:
    digests = np.array([f"{k:064d}" for k in range(12)])
    order = Order(digests, 4, seed=0, purpose="test")
    passes = [np.concatenate([order.step(3 * p + k)[0] for k in range(3)]) for p in range(2)]
    assert [sorted(one.tolist()) for one in passes] == [list(range(12))] * 2
    assert passes[0].tolist() != passes[1].tolist()


def test_a_step_is_a_function_of_its_number() -> None:
    digests = np.array([f"{k:064d}" for k in range(10)])
    forwards = Order(digests, 4, seed=3, purpose="test")
    expected = [forwards.step(number) for number in range(9)]
    backwards = Order(digests, 4, seed=3, purpose="test")
    for number in reversed(range(9)):
        for one, other in zip(backwards.step(number), expected[number], strict=True):
            assert np.array_equal(one, other)


def test_a_batch_larger_than_the_set_runs_through_it_again_with_new_seeds() -> None:
    digests = np.array([f"{k:064d}" for k in range(3)])
    rows, seeds = Order(digests, 8, seed=0, purpose="test").step(0)
    assert np.bincount(rows).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])
    assert len(set(seeds.tolist())) == 8
    other = Order(digests, 8, seed=0, purpose="another").step(0)[1]
    assert not set(other.tolist()) & set(seeds.tolist())


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(InputError, match="at least one image"):
        Order(np.array([], dtype="<U64"), 4, seed=0, purpose="test")


def test_a_part_of_a_folder_keeps_images_and_identities_together(folder) -> None:
    images = read_folder(folder)
    part = images.take(np.array([2, 0]))
    assert isinstance(part, FolderImages)
    assert part.digests.tolist() == images.digests[[2, 0]].tolist()
    whole = images.centres(np.array([2]), side=16)
    assert torch.equal(part.centres(np.array([0]), side=16), whole)
