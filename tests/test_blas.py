"""BLAS computes in one thread while decisions are made, and as before afterwards."""

from __future__ import annotations

import pytest
from threadpoolctl import ThreadpoolController, threadpool_info

from gatekeeper.blas import one_blas_thread


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
