from __future__ import annotations

import logging

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info

from gatekeeper.batch.deciding import finish, look_at
from gatekeeper.decision import Action, Reason
from gatekeeper.engine import StageError


def grey(*levels):
    return np.stack([np.full((3, 4, 4), level, dtype=np.uint8) for level in levels])


def decide(stages, *levels, batch=64, restore_batch=64):
    looked = look_at(stages, grey(*levels), batch=batch)
    return finish(stages, looked, batch=restore_batch)


def test_answers_in_order_and_batches_by_place(stages):
    done = decide(stages, 200, 50, 60, 190, 70, batch=2, restore_batch=2)
    reasons = [each.result.outcome.reason for each in done]
    raw, restored = Reason.ACCEPTED_RAW, Reason.ACCEPTED_AFTER_RESTORATION
    assert reasons == [raw, restored, restored, raw, restored]
    assert stages.batches == [
        ("first", 2), ("first", 2), ("first", 1), ("second", 2), ("second", 1),
    ]  # fmt: skip
    assert [each.restore_ms is None for each in done] == [True, False, False, True, False]
    assert all(each.decide_ms > 0 for each in done)


def test_everything_that_a_restorer_fits_is_restored(stages):
    # Its draw of 0.9999 would be withheld by every gear but the full one.
    [done] = decide(stages, 50)
    assert done.result.gear == "full"
    assert done.result.degraded == ()
    assert done.result.outcome.certified


def test_one_image_that_fails_the_batch_fails_alone(stages, caplog):
    with caplog.at_level(logging.WARNING, "gatekeeper.batch"):
        done = decide(stages, 200, 255, 50, 190)
    assert isinstance(done[1].result, StageError)
    assert [each.result.outcome.action for each in (done[0], *done[2:])] == [Action.ACCEPT] * 3
    assert "stage decide failed" in caplog.text


def test_a_restoration_that_fails_is_a_flagged_abstention(stages, caplog):
    with caplog.at_level(logging.CRITICAL, "gatekeeper.batch"):
        done = decide(stages, 0, 50)
    assert done[0].result.outcome.reason is Reason.RESTORATION_FAILED
    assert done[0].result.degraded == ("restore_failed",)
    assert not done[0].result.outcome.certified
    assert done[1].result.outcome.reason is Reason.ACCEPTED_AFTER_RESTORATION


def test_memory_that_does_not_suffice_makes_batches_smaller(stages):
    first = stages.first

    def short_of_memory(images):
        if len(images) > 2:
            raise MemoryError
        return first(images)

    stages.first = short_of_memory
    assert len(decide(stages, *[200] * 8, batch=4)) == 8
    assert stages.batches == [("first", 2)] * 4


@pytest.mark.parametrize("restore_batch", [1, 64])
def test_no_images_no_answers(stages, restore_batch):
    empty = np.empty((0, 3, 4, 4), dtype=np.uint8)
    assert finish(stages, look_at(stages, empty, batch=8), batch=restore_batch) == []
    assert stages.batches == []


def test_a_stage_computes_with_one_thread(stages):
    seen = []
    first = stages.first

    def noted(images):
        threads = {e["num_threads"] for e in threadpool_info() if e["user_api"] == "blas"}
        seen.append(threads)
        return first(images)

    stages.first = noted
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        look_at(stages, np.full((3, 3, 4, 4), 200, dtype=np.uint8), batch=2)
    assert seen == [{1}, {1}]
