"""Halving: the order of the pieces, what is done again, and where it ends."""

from __future__ import annotations

import pytest
import torch

from gatekeeper.errors import InputError
from gatekeeper.restorers.shared.halving import in_halves


def test_without_trouble_there_is_one_piece() -> None:
    assert in_halves(5, lambda rows: rows.stop - rows.start) == [(slice(0, 5), 5)]


def test_pieces_shrink_until_they_fit_and_keep_their_order() -> None:
    tried: list[tuple[int, int]] = []

    def work(rows: slice) -> list[int]:
        tried.append((rows.start, rows.stop))
        if rows.stop - rows.start > 2:
            raise torch.OutOfMemoryError("full")
        return list(range(rows.start, rows.stop))

    pieces = in_halves(7, work)
    assert [row for _, rows in pieces for row in rows] == list(range(7))
    assert [rows for rows, _ in pieces] == [slice(0, 1), slice(1, 3), slice(3, 5), slice(5, 7)]
    assert tried == [(0, 7), (0, 3), (0, 1), (1, 3), (3, 7), (3, 5), (5, 7)]


def test_a_row_that_does_not_fit_is_refused() -> None:
    def work(rows: slice) -> None:
        raise torch.OutOfMemoryError("full")

    with pytest.raises(InputError, match="one image to fit"):
        in_halves(3, work)


def test_other_errors_are_not_swallowed() -> None:
    def work(rows: slice) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        in_halves(3, work)
