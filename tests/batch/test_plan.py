from __future__ import annotations

import pytest

from gatekeeper.batch import BatchOptions, Item, Plan, Shard, Source, parse_shard
from gatekeeper.batch.references import FileReference
from gatekeeper.errors import InputError


def source(n):
    items = tuple(Item(i, f"{i}.png", FileReference(f"{i}.png")) for i in range(n))
    return Source(items, 0, "id")


@pytest.mark.parametrize(("n", "count"), [(10, 3), (2, 5), (7, 1), (100, 7)])
def test_shards_are_all_of_it_once_and_in_order(n, count):
    parts = [list(Shard(index, count).of(n)) for index in range(1, count + 1)]
    assert [position for part in parts for position in part] == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_chunks_of_a_shard():
    plan = Plan(source(10), Shard(2, 2), BatchOptions(chunk=2))
    assert (plan.n_images, plan.n_chunks) == (5, 3)
    positions = [[item.position for item in plan.chunk(index)] for index in range(3)]
    assert positions == [[5, 6], [7, 8], [9]]


def test_a_shard_of_nothing_has_no_chunks():
    assert Plan(source(1), Shard(1, 2), BatchOptions()).n_chunks == 0


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "-1/2", "1/2/3", "1/0"])
def test_what_is_no_shard(text):
    with pytest.raises(InputError):
        parse_shard(text)


@pytest.mark.parametrize("name", ["chunk", "batch", "restore_batch", "decode_threads", "ahead"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(InputError, match=name):
        BatchOptions(**{name: 0})
