"""Which conditions are evaluated (clean, every corruption at every severity), on which images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gatekeeper.corruptions import CORRUPTIONS, SEVERITIES, corruption
from gatekeeper.errors import DataError, InputError, SplitOverlapError
from gatekeeper.evidence import Plan
from gatekeeper.images import Dataset, Splits, make_splits, seeds_for
from gatekeeper.types import IntArray

PUBLISHED = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur"),
    *("snow", "frost", "fog", "brightness", "contrast", "saturate", "spatter"),
    *("elastic_transform", "pixelate", "jpeg_compression"),
)
"""The 19 corruptions of ImageNet-C, the four extra ones included."""

_MIX_SHARE = re.compile(r"^(\d+(?:\.\d+)?)% of the images clean$")
_MIX_NAMES = re.compile(r"^the others under one of (.+), as often as each other$")


@dataclass(frozen=True)
class Grid:
    """Clean first, then every corruption at every severity, corruption by corruption.

    Attributes:
        corruptions: Names, each once.
        severities: 1…5, rising.

    Raises:
        InputError: a corruption is unknown or occurs twice, there is none, or a severity is not a
            whole number in 1…5 or out of order.
    """

    corruptions: tuple[str, ...]
    severities: tuple[int, ...] = tuple(SEVERITIES)

    def __post_init__(self) -> None:
        """Refuse a grid with holes or doubles."""
        for name in self.corruptions:
            corruption(name)
        if len(set(self.corruptions)) != len(self.corruptions) or not self.corruptions:
            raise InputError(
                f"expected at least one corruption, each once, got {', '.join(self.corruptions)}"
            )
        if not self.severities or list(self.severities) != sorted(
            set(self.severities) & set(SEVERITIES)
        ):
            raise InputError(f"expected severities among 1…5, rising, got {self.severities}")

    @cached_property
    def conditions(self) -> tuple[tuple[str, int], ...]:
        """(name, severity) of every condition; the first is clean: ("", 0). Length C."""
        return (
            ("", 0),
            *((name, severity) for name in self.corruptions for severity in self.severities),
        )

    def __len__(self) -> int:
        """Number of conditions C."""
        return 1 + len(self.corruptions) * len(self.severities)

    def of(self, names: Sequence[str]) -> IntArray:
        """Positions of the conditions of some corruptions."""
        return np.array([c for c, (name, _) in enumerate(self.conditions) if name in names], int)

    def plan(self, data: Dataset, positions: IntArray, condition: int, *, seed: int) -> Plan:
        """Every image once under one condition; the seeds derive from image and condition.

        Args:
            data: The data set.
            positions: The images, shape (N,).
            condition: Position in :attr:`conditions`.
            seed: The run's seed.
        """
        name, severity = self.conditions[condition]
        return Plan(
            split="test",
            positions=np.asarray(positions),
            corruptions=np.full(len(positions), name, dtype="<U64"),
            severities=np.full(len(positions), severity),
            seeds=seeds_for(seed, data.digests[positions], f"evaluate/{name}/{severity}"),
        )


@dataclass(frozen=True, slots=True)
class Mix:
    """The declared traffic of a certificate.

    Attributes:
        corruptions: Drawn evenly, severities evenly.
        clean_share: Share of clean images, in [0, 1].
    """

    corruptions: tuple[str, ...]
    clean_share: float

    @property
    def families(self) -> frozenset[str]:
        """All families that something was fitted and certified on."""
        return frozenset(f for name in self.corruptions for f in CORRUPTIONS[name].families)


def declared_mix(certificate: Mapping[str, Any]) -> Mix | None:
    """The mix that a certificate speaks of; None where it names none.

    Args:
        certificate: Of a bundle. It states ``seen`` and ``clean_share``; one of before 2026-11-25
            says it in its ``conditions``, the sentences that fitting writes.
    """
    if "seen" in certificate and "clean_share" in certificate:
        return Mix(tuple(certificate["seen"]), float(certificate["clean_share"]))
    share = names = None
    for sentence in certificate.get("conditions") or ():
        if found := _MIX_SHARE.match(sentence):
            share = float(found[1]) / 100.0
        elif found := _MIX_NAMES.match(sentence):
            names = tuple(found[1].split(", "))
    if share is None or names is None or not set(names) <= set(CORRUPTIONS):
        return None
    return Mix(names, share)


def held_out_of(grid: Grid, mix: Mix) -> tuple[str, ...]:
    """Corruptions of the grid with a family that nothing was fitted on."""
    return tuple(
        name for name in grid.corruptions if not set(corruption(name).families) <= mix.families
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedImages:
    """Which images of a data set are judged, and why those.

    Attributes:
        positions: In the data set, shape (N,), distinct images only.
        which: The reason, as a sentence.
    """

    positions: IntArray
    which: str


def images_to_judge(
    data: Dataset,
    certificates: Sequence[tuple[int, Mapping[str, Any]]] = (),
    *,
    limit: int | None = None,
) -> JudgedImages:
    """The test images of a data set; never one that a gate was fitted on, where that can be told.

    A gate's certificate lists its splits. Where the same splits can be drawn from these data again,
    their *test* is what is left to judge on; otherwise it is the official test part, and where
    there is none all images.

    Args:
        data: The data set.
        certificates: Seed and certificate of each gate that will be judged.
        limit: Judge this many at most, drawn by their digests; None takes all.

    Raises:
        DataError: the limit leaves no image.
        SplitOverlapError: two gates kept different images for their tests.
    """
    found: dict[str, IntArray] = {}
    for seed, certificate in certificates:
        positions = _own_test_split(data, seed, certificate)
        if positions is not None:
            found[certificate["splits"]["test"]["digest"]] = positions
    if len(found) > 1:
        raise SplitOverlapError(
            "expected gates that kept the same test images of these data, got "
            f"{len(found)} different sets: evaluate each by itself"
        )
    if found:
        positions, which = next(iter(found.values())), "the images that fitting kept for its test"
    elif len(data.test_index):
        positions, which = data.test_index, "the official test part"
    else:
        positions = np.arange(len(data))
        which = "all images; whether the classifier was trained on some of them is not known"
    digests = data.digests[positions]
    # By digest, so that the choice does not depend on the order of files.
    _, first = np.unique(digests, return_index=True)
    if limit is not None and limit < len(first):
        if limit < 1:
            raise DataError(f"expected a limit of at least one image, got {limit}")
        first, which = first[:limit], f"{which}; {limit:,} of them, drawn by their digests"
    return JudgedImages(positions=np.sort(positions[first]), which=which)


def _own_test_split(data: Dataset, seed: int, certificate: Mapping[str, Any]) -> IntArray | None:
    """*test* of the gate's own splits, where these are its data."""
    try:
        return own_splits(data, seed, certificate).test
    except DataError:
        return None


def own_splits(data: Dataset, seed: int, certificate: Mapping[str, Any]) -> Splits:
    """The splits that a certificate was made on, drawn again.

    Args:
        data: The data set.
        seed: Of the run that made it.
        certificate: Lists sizes and digests of its splits.

    Raises:
        DataError: these are not its data.
    """
    splits = certificate.get("splits") or {}
    sizes: dict[str, int | float] = {name: int(part["n"]) for name, part in splits.items()}
    other = DataError(
        f"expected the images of {certificate.get('dataset', 'its data')} that were certified on, "
        f"got others from {data.name}: name the data as they were then"
    )
    try:
        drawn = make_splits(
            data.labels, data.digests, test_index=data.test_index, sizes=sizes, seed=seed
        )
    except (DataError, InputError) as error:
        raise other from error
    if any(drawn.digest_of(name, data.digests) != splits[name]["digest"] for name in splits):
        raise other
    return drawn
