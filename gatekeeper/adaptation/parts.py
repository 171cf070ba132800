"""Which image plays which part: dealt out by digest, and no image plays two."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import combinations

import numpy as np

from gatekeeper.adaptation.captured import own_draws
from gatekeeper.errors import SplitOverlapError
from gatekeeper.types import IntArray, StrArray


def dealt(digests: StrArray, shares: Mapping[str, float], *, seed: int) -> dict[str, IntArray]:
    """Deal images out; an image's part depends on its own digest and the seed alone.

    Args:
        digests: Shape (N,).
        shares: Name of a part -> share of the images, summing to 1; the last takes what is left.
        seed: Of the draws.

    Returns:
        Name of a part -> rows, ascending.
    """
    ends = np.cumsum(list(shares.values()))
    ends[-1] = 1.0
    part = np.searchsorted(ends, own_draws(digests, seed, "parts"), side="right")
    return {name: np.flatnonzero(part == number) for number, name in enumerate(shares)}


def check_apart(parts: Mapping[str, StrArray]) -> None:
    """Refuse parts that share an image.

    Args:
        parts: What the images are for -> their digests.

    Raises:
        SplitOverlapError: two parts share an image; the message names both.
    """
    members = {name: set(digests.tolist()) for name, digests in parts.items()}
    for one, other in combinations(members, 2):
        if shared := members[one] & members[other]:
            raise SplitOverlapError(
                f"expected images that play one part each, got {len(shared)} in both {one} and "
                f"{other} (one is {min(shared)[:12]}…): take them out of one of the two"
            )


def digest_of(digests: StrArray) -> str:
    """Identity of a set of images: sha256 over its sorted digests, one per line."""
    lines = "".join(f"{line}\n" for line in sorted(digests.tolist()))
    return hashlib.sha256(lines.encode()).hexdigest()
