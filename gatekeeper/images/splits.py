"""Six disjoint splits of base images: who may learn from what.

train          weights of classifier and restorers
validation     early stopping and model selection of those
fit            reliability predictor and router
calibrate      calibrators, switch margin, the threshold path
certify        the stopping point of the frozen path, and nothing else
test           judging
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import combinations
from typing import TypedDict

import numpy as np

from gatekeeper.errors import DataError, InputError, SplitOverlapError
from gatekeeper.images.digests import StrArray, seeds_for
from gatekeeper.types import IntArray

SPLIT_NAMES = ("train", "validation", "fit", "calibrate", "certify", "test")


class SplitRecord(TypedDict):
    """One split as it is listed in outputs."""

    n: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splits:
    """Positions of the images of each split in the data set, ascending, int64, no overlap."""

    train: IntArray
    validation: IntArray
    fit: IntArray
    calibrate: IntArray
    certify: IntArray
    test: IntArray

    def __getitem__(self, name: str) -> IntArray:
        """The positions of the split of that name.

        Raises:
            InputError: there is no such split.
        """
        if name not in SPLIT_NAMES:
            raise InputError(f"a split is one of {', '.join(SPLIT_NAMES)}, got {name!r}")
        positions: IntArray = getattr(self, name)
        return positions

    def check(self, digests: StrArray) -> None:
        """Refuse splits that share a base image, be it under two positions.

        Args:
            digests: Image digests of the whole data set, shape (N,).

        Raises:
            SplitOverlapError: an image is in two splits; the message names both.
        """
        members = {name: set(digests[positions].tolist()) for name, positions in self._items()}
        for one, other in combinations(SPLIT_NAMES, 2):
            shared = members[one] & members[other]
            if shared:
                raise SplitOverlapError(
                    f"splits must not share a base image, but {one} and {other} share "
                    f"{len(shared)} (one is {min(shared)[:12]}…): make the splits again"
                )

    def digest_of(self, name: str, digests: StrArray) -> str:
        """Identity of a split: sha256 over its sorted image digests, one per line.

        Args:
            name: One of :data:`SPLIT_NAMES`.
            digests: Image digests of the whole data set, shape (N,).
        """
        lines = sorted(digests[self[name]].tolist())
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()

    def to_json(self, digests: StrArray) -> dict[str, SplitRecord]:
        """Size and identity of every split, ready for JSON."""
        return {
            name: {"n": len(positions), "digest": self.digest_of(name, digests)}
            for name, positions in self._items()
        }

    def _items(self) -> Iterator[tuple[str, IntArray]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))


def make_splits(
    labels: IntArray,
    digests: StrArray,
    *,
    test_index: IntArray,
    sizes: Mapping[str, int | float],
    seed: int,
) -> Splits:
    """Draw the six splits, stratified by class, from the images themselves.

    An image that occurs several times (equal digest) is used once, at its first position; one
    that also occurs in the official test part is used there alone. Which split an image falls
    into depends on the seed and on the images of its class, never on the order of the files.

    Args:
        labels: Class of each image, shape (N,).
        digests: Image digests, shape (N,).
        test_index: Positions of the official test part; empty where there is none, and then
            *test* is drawn like the others.
        sizes: Images per split: a count (int) or a fraction (float in (0, 1)) of the distinct
            images that the split is drawn from: those outside the official test part, and for
            *test* those inside it. Where there is an official test part, *test* may be left out
            and is then all of it.
        seed: Seed of the draw.

    Raises:
        DataError: the sizes ask for more images than there are.
        InputError: labels and digests do not line up, or a size is missing, unknown or below 1.
    """
    _check_arguments(labels, digests, test_index, sizes)
    official = _distinct(np.unique(test_index), digests)
    outside = np.setdiff1d(np.arange(len(labels)), test_index)
    pool = _distinct(outside[~np.isin(digests[outside], digests[official])], digests)
    order = seeds_for(seed, digests, "splits")
    drawn: dict[str, IntArray] = {}
    names = list(SPLIT_NAMES)
    if len(official):
        names.remove("test")
        wanted = {
            "test": _count(sizes["test"], len(official)) if "test" in sizes else len(official)
        }
        drawn |= _draw(official, labels, order, wanted, "in the official test part")
    counts = {name: _count(sizes[name], len(pool)) for name in names}
    drawn |= _draw(pool, labels, order, counts, "to draw from")
    splits = Splits(**drawn)
    splits.check(digests)
    return splits


def _check_arguments(
    labels: IntArray, digests: StrArray, test_index: IntArray, sizes: Mapping[str, int | float]
) -> None:
    if len(labels) != len(digests):
        raise InputError(
            f"expected one digest per label, got {len(labels)} labels and {len(digests)} digests"
        )
    if len(test_index) and not 0 <= int(np.min(test_index)) <= int(np.max(test_index)) < len(
        labels
    ):
        raise InputError(f"the test part must lie within the {len(labels)} images")
    needed = set(SPLIT_NAMES) - ({"test"} if len(test_index) else set())
    if not needed <= set(sizes) <= set(SPLIT_NAMES):
        raise InputError(
            f"sizes must name {', '.join(n for n in SPLIT_NAMES if n in needed)}, "
            f"got {', '.join(sizes)}"
        )


def _distinct(positions: IntArray, digests: StrArray) -> IntArray:
    """The first position of each distinct image, ascending."""
    _, first = np.unique(digests[positions], return_index=True)
    return np.asarray(positions[np.sort(first)], dtype=np.int64)


def _count(size: int | float, available: int) -> int:
    count = round(size * available) if isinstance(size, float) else int(size)
    if count < 1 or (isinstance(size, float) and size >= 1):
        raise InputError(
            "a split's size is a count of at least 1 or a fraction in (0, 1) that amounts to at "
            f"least one image, got {size!r} of {available}"
        )
    return count


def _draw(
    pool: IntArray, labels: IntArray, order: IntArray, counts: Mapping[str, int], where: str
) -> dict[str, IntArray]:
    """Deal the pool out: in each class by ascending ``order``, to each split its share."""
    if sum(counts.values()) > len(pool):
        asked = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(
            f"expected at most {len(pool)} images in the splits, which is what there is {where} "
            f"(distinct images), got {sum(counts.values())} ({asked}): make them smaller"
        )
    shuffled = pool[np.argsort(order[pool], kind="stable")]
    decks = [shuffled[labels[shuffled] == label] for label in np.unique(labels[pool])]
    drawn = {}
    for name, count in counts.items():
        shares = _shares(count, [len(deck) for deck in decks])
        hands = [deck[:share] for deck, share in zip(decks, shares, strict=True)]
        decks = [deck[share:] for deck, share in zip(decks, shares, strict=True)]
        drawn[name] = np.sort(np.concatenate(hands))
    return drawn


def _shares(count: int, left: list[int]) -> list[int]:
    """Split ``count`` in proportion to ``left`` by largest remainder; no share exceeds its part."""
    total = sum(left)
    shares = [count * have // total for have in left]
    by_remainder = sorted(range(len(left)), key=lambda k: (-(count * left[k] % total), k))
    for k in by_remainder[: count - sum(shares)]:
        shares[k] += 1
    return shares
