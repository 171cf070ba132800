"""The queue: quota, shares, retention, order, restarts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.errors import DataError, InputError
from gatekeeper.review import Candidate, ReviewQueue, draw_of

Make = Callable[..., Candidate]


def pictures(folder: Path) -> int:
    return len(list((folder / "review" / "images").iterdir()))


def test_an_image_is_taken_once_with_all_that_is_known(queue: ReviewQueue, make: Make) -> None:
    assert queue.take(make(3))
    assert not queue.take(make(3))  # the id is known
    assert not queue.take(make(3, decision_id="again"))  # the pixels wait already
    [item] = queue.waiting(9)
    assert (item.kind, item.answer, item.reliability, item.reason) == (
        "abstained", 0, 0.25, "GK220",
    )  # fmt: skip
    assert (item.label, item.probability, item.taken) == (None, 1.0, 1_000_000.0)
    assert item.draw == draw_of(item.digest)
    assert queue.picture(item.decision_id) == make(3).png()


def test_a_random_share_of_accepted_keeps_its_probability_and_its_repeats(
    queue: ReviewQueue, make: Make
) -> None:
    for name in ("one", "two"):
        assert queue.take(make(5, kind="accepted", probability=0.01, decision_id=name))
    assert [item.probability for item in queue.all_items()] == [0.01, 0.01]
    assert queue.counts().accepted == 2


def test_a_full_queue_is_a_sample_by_draw_whatever_the_order(
    tmp_path: Path, queue: ReviewQueue, make: Make
) -> None:
    n = 300
    for number in range(n):
        queue.take(make(number))
    share = queue.counts().share
    # 300 images through 40 places: 1/8 keeps about 37, 1/16 about 19.
    assert share in {1 / 8, 1 / 16}
    expected = {number for number in range(n) if draw_of(make(number).digest) < share}
    kept = {int(item.decision_id.split("-")[1]) for item in queue.all_items()}
    assert kept == expected
    assert len(kept) <= 40
    assert {item.probability for item in queue.all_items()} == {share}
    assert pictures(tmp_path) == len(kept)
    # Weights of the sample add up to about the number of images: 1 / share each.
    assert abs(len(kept) / share - n) < 4 * (len(kept) / share**2 * (1 - share)) ** 0.5


def test_a_label_keeps_its_share_and_is_not_dropped_for_room(
    queue: ReviewQueue, make: Make
) -> None:
    for number in range(40):
        queue.take(make(number))
    labelled = [item.decision_id for item in queue.all_items()][:10]
    for decision_id in labelled:
        queue.label(decision_id, 2, reviewer="ann")
    for number in range(40, 90):
        queue.take(make(number))
    assert queue.counts().share < 1
    kept = [item for item in queue.all_items() if item.label is not None]
    assert [(item.decision_id, item.probability) for item in kept] == [(i, 1.0) for i in labelled]
    assert kept[0].reviewer == "ann"


def test_accepted_answers_make_room_for_themselves_until_there_is_none(
    queue: ReviewQueue, make: Make
) -> None:
    for number in range(40):
        queue.take(make(number))
    for number in range(40):
        assert queue.take(make(number, kind="accepted", probability=0.01))
    counts = queue.counts()
    assert (counts.abstained, counts.accepted, counts.refused) == (0, 40, 0)
    assert not queue.take(make(99, kind="accepted", probability=0.01))
    assert not queue.take(make(98))
    counts = queue.counts()
    assert (counts.share, counts.refused) == (1.0, 2)


def test_the_share_is_whole_again_once_no_abstention_waits(queue: ReviewQueue, make: Make) -> None:
    for number in range(120):
        queue.take(make(number))
    assert queue.counts().share < 1
    for item in queue.waiting(99):
        queue.label(item.decision_id, 0)
    assert queue.counts().share == 1
    assert queue.counts().labelled == len(queue.all_items())


def test_after_its_days_an_image_is_gone(
    tmp_path: Path, queue: ReviewQueue, make: Make, clock: Any
) -> None:
    queue.take(make(1))
    queue.label("abstained-1", 1)
    clock.now += 5 * 86_400
    queue.take(make(2))
    clock.now += 5 * 86_400 + 1
    assert queue.expire() == 1
    assert [item.decision_id for item in queue.all_items()] == ["abstained-2"]
    assert pictures(tmp_path) == 1
    with pytest.raises(DataError, match="removed after 10 days"):
        queue.picture("abstained-1")


def test_the_next_come_by_draw_and_skipped_ones_last(
    queue: ReviewQueue, make: Make, clock: Any
) -> None:
    for number in range(6):
        queue.take(make(number))
    order = [item.decision_id for item in queue.waiting(9)]
    draws = [item.draw for item in queue.waiting(9)]
    assert draws == sorted(draws)
    queue.skip(order[0])
    clock.now += 1
    queue.skip(order[1])
    assert [item.decision_id for item in queue.waiting(9)] == [*order[2:], order[0], order[1]]
    assert len(queue.waiting(2)) == 2
    queue.label(order[2], 1)
    assert order[2] not in {item.decision_id for item in queue.waiting(9)}


def test_a_label_can_be_corrected_and_must_be_one(
    queue: ReviewQueue, make: Make, clock: Any
) -> None:
    queue.take(make(1))
    queue.label("abstained-1", 0)
    clock.now += 3
    changed = queue.label("abstained-1", 2, reviewer="ben")
    assert (changed.label, changed.reviewer, changed.labelled) == (2, "ben", clock.now)
    with pytest.raises(InputError, match="class index"):
        queue.label("abstained-1", -1)
    for call in (queue.skip, queue.item, queue.picture, lambda name: queue.label(name, 0)):
        with pytest.raises(DataError, match="no image waits"):
            call("nothing")


def test_an_id_is_no_path(tmp_path: Path, queue: ReviewQueue, make: Make) -> None:
    queue.take(make(1, decision_id="../../../../outside"))
    assert queue.picture("../../../../outside")
    assert not list(tmp_path.glob("outside*"))
    assert pictures(tmp_path) == 1


def test_a_restart_keeps_everything_and_nobody_else_reads(
    tmp_path: Path, queue: ReviewQueue, make: Make, clock: Any
) -> None:
    for number in range(60):
        queue.take(make(number))
    queue.label(queue.waiting(1)[0].decision_id, 1)
    before, counts = queue.all_items(), queue.counts()
    other = ReviewQueue(tmp_path / "review", max_images=40, keep_days=10, clock=clock)
    assert (other.all_items(), other.counts()) == (before, counts)
    other.close()
    assert (tmp_path / "review").stat().st_mode & 0o077 == 0


def test_what_fails_leaves_nothing_behind(
    queue: ReviewQueue, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Candidate) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(queue, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        queue.take(make(1))
    monkeypatch.undo()
    assert queue.all_items() == []
    assert queue.take(make(1))


def test_bounds_and_folders_that_cannot_be_used(tmp_path: Path) -> None:
    for options in ({"max_images": 0}, {"max_images": 1, "keep_days": 0.0}):
        with pytest.raises(InputError, match="max_images"):
            ReviewQueue(tmp_path, **options)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder for the review queue"):
        ReviewQueue(tmp_path / "file", max_images=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "review.db").write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match="folder for the review queue"):
        ReviewQueue(tmp_path / "other", max_images=1)
