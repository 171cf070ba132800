"""First come, first served, by bucket; the late and the gone are not computed."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from gatekeeper.engine import DeadlineError
from gatekeeper.engine.waiting import Item, WaitingRoom


def item(name: str, bucket: str = "a", deadline: float = 100.0) -> Item[str, str]:
    return Item(name, bucket, 10, deadline, Future())


def names(items: list[Item[str, str]]) -> str:
    return "".join(each.payload for each in items)


@pytest.fixture
def room() -> WaitingRoom[str, str]:
    return WaitingRoom(max_items=4, max_bytes=50)


def test_buckets_take_turns(room: WaitingRoom[str, str]) -> None:
    for name, bucket in (("1", "a"), ("2", "b"), ("3", "a"), ("4", "a")):
        room.put(item(name, bucket))
    assert (len(room), room.nbytes) == (4, 40)
    assert [names(room.take(0.0, 2)) for _ in range(4)] == ["13", "2", "4", ""]
    assert (len(room), room.nbytes) == (0, 0)


def test_bounds_in_items_and_bytes(room: WaitingRoom[str, str]) -> None:
    room.put(item("1"))
    assert room.has_room(3, 40)
    assert not room.has_room(4, 0)
    assert not room.has_room(1, 41)


def test_the_gone_and_the_late_make_room(room: WaitingRoom[str, str]) -> None:
    gone, late, last = item("1"), item("2", deadline=5.0), item("3", deadline=5.1)
    for each in (gone, late, last):
        room.put(each)
    gone.future.cancel()
    room.prune(5.0)
    assert len(room) == 1
    with pytest.raises(DeadlineError, match="expected to decide within the deadline"):
        late.future.result(0)
    assert not last.future.done()
    assert names(room.take(5.0, 9)) == "3"


def test_they_do_not_count_for_a_batch(room: WaitingRoom[str, str]) -> None:
    gone, late = item("1"), item("2", deadline=1.0)
    for each in (gone, late, item("3"), item("4", "b")):
        room.put(each)
    gone.future.cancel()
    assert names(room.take(1.0, 1)) == "3"
    assert isinstance(late.future.exception(0), DeadlineError)


def test_a_bucket_of_the_late_is_passed_over(room: WaitingRoom[str, str]) -> None:
    room.put(item("1", deadline=1.0))
    room.put(item("2", "b"))
    assert names(room.take(1.0, 1)) == "2"
    assert room.take(1.0, 1) == []


def test_an_answer_is_given_once() -> None:
    one = item("1")
    one.answer("yes")
    one.answer(ValueError("no"))
    assert one.future.result(0) == "yes"
    gone = item("2")
    gone.future.cancel()
    gone.answer("yes")
    assert gone.future.cancelled()


def test_clearing_hands_over_everyone(room: WaitingRoom[str, str]) -> None:
    room.put(item("1"))
    room.put(item("2", "b"))
    assert names(list(room.clear())) == "12"
    assert (len(room), room.nbytes) == (0, 0)
