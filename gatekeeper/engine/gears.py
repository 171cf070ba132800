"""Gears: as load rises, fewer doubtful images are restored, by a declared table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gatekeeper.errors import InputError

_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Gear:
    """One row of the table.

    Attributes:
        name: Goes into answers and metrics.
        load_from: Load at which it engages: predicted seconds of waiting ÷ seconds allowed, from 0.
        restored_share: Share of the doubtful images that are restored, in [0, 1]; the others are
            abstained from.

    Raises:
        InputError: a number is out of range.
    """

    name: str
    load_from: float
    restored_share: float

    def __post_init__(self) -> None:
        """Refuse a row that cannot be meant."""
        if not (self.load_from >= 0 and 0 <= self.restored_share <= 1):
            raise InputError(
                f"expected load_from of at least 0 and restored_share in [0, 1], got {self}"
            )

    @property
    def is_full(self) -> bool:
        """Whether this is the policy that was certified: every doubtful image is restored."""
        return self.restored_share == 1

    def restores(self, draw: float) -> bool:
        """Whether an image is restored, by its own ``draw`` from [0, 1)."""
        return draw < self.restored_share


DEFAULT_GEARS = (
    Gear(name="full", load_from=0.0, restored_share=1.0),
    Gear(name="half", load_from=0.5, restored_share=0.5),
    Gear(name="raw_only", load_from=0.75, restored_share=0.0),
)


def parse_gears(text: str) -> tuple[Gear, ...]:
    """A table written as ``name:load_from:restored_share``, one after another, between spaces.

    Args:
        text: Such as ``"full:0:1 raw_only:0.75:0"``.

    Raises:
        InputError: it is not written like that, or :class:`GearBox` refuses the table.

    Example:
        >>> [gear.name for gear in parse_gears("full:0:1 raw_only:0.75:0")]
        ['full', 'raw_only']
    """
    gears = tuple(_row(word) for word in text.split())
    GearBox(gears)
    return gears


def _row(word: str) -> Gear:
    parts = word.split(":")
    try:
        load_from, restored_share = (float(part) for part in parts[1:_PARTS])
    except ValueError as error:
        raise _not_a_row(word) from error
    if len(parts) != _PARTS or not parts[0].isidentifier():
        raise _not_a_row(word)
    return Gear(name=parts[0], load_from=load_from, restored_share=restored_share)


def _not_a_row(word: str) -> InputError:
    return InputError(
        f"expected gears as name:load_from:restored_share, such as half:0.5:0.5, got {word!r}"
    )


class GearBox:
    """Knows the gear of the moment.

    Args:
        table: First the full gear at load 0, then rising loads and falling shares.
        hold: A gear is left for a lower one only once the load is below this part of where it
            engaged, in (0, 1]: without it the gear would flutter around the limit.

    Raises:
        InputError: the table is not that.
    """

    def __init__(self, table: Sequence[Gear] = DEFAULT_GEARS, *, hold: float = 0.7) -> None:
        rows = list(table)
        if not rows or rows[0].load_from != 0 or not rows[0].is_full:
            raise InputError("expected gears that begin with the full one at load 0")
        for lower, upper in pairwise(rows):
            if upper.load_from <= lower.load_from or upper.restored_share >= lower.restored_share:
                raise InputError(
                    f"expected gears of rising load and falling share, got {upper.name} after "
                    f"{lower.name}"
                )
        if not 0 < hold <= 1:
            raise InputError(f"expected hold in (0, 1], got {hold}")
        self._rows = rows
        self._hold = hold
        self._at = 0

    @property
    def gear(self) -> Gear:
        """The gear of the moment."""
        return self._rows[self._at]

    def shift(self, load: float) -> Gear:
        """The gear for this load, given the one before."""
        wanted = max(i for i, row in enumerate(self._rows) if load >= row.load_from)
        if wanted > self._at:
            self._at = wanted
        while self._at > wanted and load < self._hold * self.gear.load_from:
            self._at -= 1
        return self.gear
