"""Captured images from three places; thinning and weighing by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gatekeeper.adaptation.captured import (
    UNLABELLED,
    Captured,
    own_draws,
    read_captured,
    repeated_rows,
    traffic_dataset,
    uniform_rows,
)
from gatekeeper.errors import DataError
from gatekeeper.images import image_digests
from gatekeeper.review import Candidate, ReviewQueue, export_parquet

SIZE = (4, 5)
NAMES = ("shirt", "bag", "boot")


def candidate(number: int, kind: str = "abstained", probability: float = 1.0) -> Candidate:
    image = torch.full((3, *SIZE), number / 255)
    return Candidate(
        decision_id=f"{kind}-{number}",
        image=image,
        kind=kind,
        probability=probability,
        answer=0,
        reliability=0.5,
        reason="GK220",
        bundle="b" * 64,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two abstentions, one with a label; two accepted draws, one with a label."""
    place = tmp_path / "review"
    queue = ReviewQueue(place, max_images=10)
    for number, kind, probability in ((1, "abstained", 1.0), (2, "abstained", 1.0),
                                      (3, "accepted", 0.02), (4, "accepted", 0.5)):  # fmt: skip
        assert queue.take(candidate(number, kind, probability))
    queue.label("abstained-1", 2)
    queue.label("accepted-3", 1)
    queue.close()
    return place


def by_level(found: Captured) -> dict[int, tuple[str, int, float]]:
    return {
        int(image[0, 0, 0]): (str(kind), int(label), float(probability))
        for image, kind, label, probability in zip(
            found.images, found.kinds, found.labels, found.probabilities, strict=True
        )
    }


def test_a_queue_is_read_with_all_that_it_knows(folder: Path) -> None:
    found = read_captured(folder, image_size=SIZE, class_names=NAMES)
    assert by_level(found) == {
        1: ("abstained", 2, 1.0),
        2: ("abstained", UNLABELLED, 1.0),
        3: ("accepted", 1, 0.02),
        4: ("accepted", UNLABELLED, 0.5),
    }
    assert found.complete
    assert found.digests.tolist() == image_digests(found.images).tolist()
    assert sorted(found.digests) == found.digests.tolist()
    assert found.draws_of("b" * 64).sum() == 2
    assert found.draws_of("c" * 64).sum() == 0


def test_reading_removes_nothing(folder: Path) -> None:
    read_captured(folder, image_size=SIZE, class_names=NAMES)
    queue = ReviewQueue(folder, max_images=10)
    assert len(queue.all_items()) == 4
    queue.close()


def test_an_export_holds_labelled_images_only(folder: Path, tmp_path: Path) -> None:
    queue = ReviewQueue(folder, max_images=10)
    path = tmp_path / "labels.parquet"
    path.write_bytes(export_parquet(queue, NAMES))
    queue.close()
    found = read_captured(path, image_size=SIZE, class_names=NAMES)
    assert by_level(found) == {1: ("abstained", 2, 1.0), 3: ("accepted", 1, 0.02)}
    assert not found.complete


def test_a_folder_has_neither_kinds_nor_labels(tmp_path: Path) -> None:
    for number in (7, 8, 7):
        pixels = np.full((*SIZE, 3), number, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}-{len(list(tmp_path.iterdir()))}.png")
    found = read_captured(tmp_path, image_size=SIZE, class_names=NAMES)
    assert by_level(found) == {7: ("", UNLABELLED, 1.0), 8: ("", UNLABELLED, 1.0)}


def test_other_sizes_and_labels_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="4×4 px, as the gate sees them, got 4×5"):
        read_captured(folder, image_size=(4, 4), class_names=NAMES)
    with pytest.raises(DataError, match=r"labels in 0…1, got 2"):
        read_captured(folder, image_size=SIZE, class_names=NAMES[:2])
    with pytest.raises(DataError, match="a review queue"):
        read_captured(tmp_path / "none", image_size=SIZE, class_names=NAMES)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(DataError, match="expected a Parquet export"):
        read_captured(broken, image_size=SIZE, class_names=NAMES)


def test_an_empty_queue_is_refused(tmp_path: Path) -> None:
    ReviewQueue(tmp_path / "review", max_images=1).close()
    with pytest.raises(DataError, match="expected captured images"):
        read_captured(tmp_path / "review", image_size=SIZE, class_names=NAMES)


def test_thinning_keeps_the_rarest_and_as_many_others_as_were_drawn_alike() -> None:
    digests = np.array([f"{number:064x}" for number in range(4000)])
    probabilities = np.where(np.arange(4000) < 1000, 0.25, 1.0)
    kept = uniform_rows(digests, probabilities, seed=0)
    assert (kept < 1000).sum() == 1000
    # 3,000 rows at 1/4: mean 750, four standard deviations are 95.
    assert abs((kept >= 1000).sum() - 750) < 95
    assert uniform_rows(digests[::-1], probabilities[::-1], seed=0).tolist() == sorted(
        (3999 - kept).tolist()
    )
    assert uniform_rows(digests[:0], probabilities[:0], seed=0).tolist() == []


def test_rows_are_repeated_as_often_as_their_weights_say() -> None:
    digests = np.array([f"{number:064x}" for number in range(2000)])
    rows = repeated_rows(digests, np.full(2000, 0.4), seed=0)
    times = np.bincount(rows)
    assert set(times.tolist()) == {2, 3}
    # 1 ÷ 0.4 = 2.5 on average; four standard deviations of the mean are 0.045.
    assert abs(times.mean() - 2.5) < 0.045
    assert own_draws(digests, 0, "a")[5] == own_draws(digests[5:6], 0, "a")[0]


def test_a_grey_sample_joins_captured_colour(folder: Path) -> None:
    from gatekeeper.images import Dataset

    found = read_captured(folder, image_size=SIZE, class_names=NAMES)
    grey = np.full((2, *SIZE), 9, dtype=np.uint8)
    sample = Dataset(
        name="grey",
        images=grey,
        labels=np.array([0, 2]),
        class_names=NAMES,
        test_index=np.arange(0),
        licence="none",
        source="a test",
    )
    data = traffic_dataset(found, sample, NAMES)
    assert data.images.shape == (6, *SIZE, 3)
    assert data.labels[4:].tolist() == [0, 2]
    assert data.digests[4] == image_digests(grey)[0]
    assert len(traffic_dataset(found, None, NAMES)) == 4
