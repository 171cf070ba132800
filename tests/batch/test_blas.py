from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info

from gatekeeper.batch.blas import one_blas_thread
from gatekeeper.batch.deciding import look_at


def blas_threads():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    """However many this machine or its settings would give."""
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        yield


def test_one_thread_while_it_lasts_and_then_as_before():
    assert blas_threads() == {2}
    with one_blas_thread():
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_a_stage_computes_with_one_thread(stages):
    seen = []
    first = stages.first

    def noted(images):
        seen.append(blas_threads())
        return first(images)

    stages.first = noted
    look_at(stages, np.full((3, 3, 4, 4), 200, dtype=np.uint8), batch=2)
    assert seen == [{1}, {1}]
