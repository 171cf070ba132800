"""Which stage computes next."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """The two stages of a decision."""

    DECIDE = "decide"
    RESTORE = "restore"


def next_stage(*, first: int, second: int, firsts_in_a_row: int, patience: int = 4) -> Stage | None:
    """First looks go before restorations, which are slow; but they cannot starve them.

    Args:
        first: Images that wait for their first look.
        second: Images that wait for restoration.
        firsts_in_a_row: Batches of first looks since the last restoration.
        patience: After so many of them a restoration has its turn.

    Returns:
        The stage, or None where nothing waits.
    """
    if first and (not second or firsts_in_a_row < patience):
        return Stage.DECIDE
    return Stage.RESTORE if second else None
