"""Which images are looked at, under which condition, and what they then look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gatekeeper.corruptions import SEVERITIES, corruption
from gatekeeper.errors import InputError
from gatekeeper.images import Dataset, seeds_for
from gatekeeper.types import BoolArray, FloatArray, IntArray, StrArray

_UNIT = 2.0**-62
_SEVERITY_RANGE = (0.5, 5.5)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Which images are looked at, and under which condition; all arrays have shape (N,).

    Attributes:
        split: Name of the split that the images come from.
        positions: Positions in the data set.
        corruptions: Name of the corruption, "" for clean.
        severities: 1…5, whole numbers or between them (see ``draw_wide_plan``); 0 where clean.
        seeds: Seed of each row's corruption and restoration.
    """

    split: str
    positions: IntArray
    corruptions: StrArray
    severities: IntArray | FloatArray
    seeds: IntArray

    def __len__(self) -> int:
        """Number of rows N."""
        return len(self.positions)

    def take(self, rows: IntArray | BoolArray) -> Plan:
        """The plan of some rows, in that order."""
        return replace(
            self,
            positions=self.positions[rows],
            corruptions=self.corruptions[rows],
            severities=self.severities[rows],
            seeds=self.seeds[rows],
        )


def draw_plan(
    data: Dataset,
    split: str,
    positions: IntArray,
    *,
    corruptions: Sequence[str],
    clean_share: float,
    seed: int,
    purpose: str,
) -> Plan:
    """A stream: each image once, under one condition drawn from a mix.

    Args:
        data: The data set.
        split: Name of the split.
        positions: The base images, each once.
        corruptions: Corruptions of the mix, each as often as the others, severities evenly.
        clean_share: Share of clean images, in [0, 1].
        seed: The run's seed.
        purpose: Different purposes draw independently.

    Raises:
        InputError: an image occurs twice, or there is no corruption to draw.
    """
    if len(np.unique(positions)) != len(positions):
        raise InputError("a stream holds each base image at most once; an image occurs twice")
    if not corruptions and clean_share < 1:
        raise InputError("expected at least one corruption, or a clean share of 1")
    digests = data.digests[positions]
    clean = _uniform(seed, digests, f"{purpose}/clean") < clean_share
    names = np.array([*corruptions, ""])
    kind = (_uniform(seed, digests, f"{purpose}/corruption") * len(corruptions)).astype(int)
    level = 1 + (_uniform(seed, digests, f"{purpose}/severity") * len(SEVERITIES)).astype(int)
    return Plan(
        split=split,
        positions=np.asarray(positions),
        corruptions=np.where(clean, "", names[kind]),
        severities=np.where(clean, 0, level),
        seeds=seeds_for(seed, digests, f"{purpose}/noise"),
    )


def draw_wide_plan(
    data: Dataset,
    split: str,
    positions: IntArray,
    *,
    corruptions: Sequence[str],
    looks_per_image: int,
    composed_share: float,
    seed: int,
    purpose: str,
) -> Plan:
    """Looks for fitting: every image clean once, then under conditions drawn at random.

    Severities are drawn evenly from 0.5…5.5 and not from the five of the tables, and some
    conditions are compositions of two corruptions, so that what is learned from them is a matter of
    degree and not of a list. Rows share images: for fitting, never for certifying.

    Args:
        data: The data set.
        split: Name of the split.
        positions: The base images, each once.
        corruptions: What conditions are drawn from, evenly.
        looks_per_image: Rows per image, at least 1; the first is clean.
        composed_share: Share of the other rows that are compositions, in [0, 1].
        seed: The run's seed.
        purpose: Different purposes draw independently.

    Raises:
        InputError: there is no corruption to draw and more than one look is asked for.
    """
    if not corruptions and looks_per_image > 1:
        raise InputError("expected at least one corruption, or one look per image")
    digests, names = data.digests[positions], np.array([*corruptions, ""])
    kinds, severities, seeds = [np.full(len(digests), "")], [np.zeros(len(digests))], []
    seeds.append(seeds_for(seed, digests, f"{purpose}/0/noise"))
    for look in range(1, looks_per_image):
        draw = [_uniform(seed, digests, f"{purpose}/{look}/{n}") for n in range(4)]
        first = names[(draw[0] * len(corruptions)).astype(int)]
        second = names[(draw[1] * len(corruptions)).astype(int)]
        composed = (draw[2] < composed_share) & (first != second)
        joined = np.char.add(np.char.add(first, "+"), second)
        kinds.append(np.where(composed, joined, first))
        # Two at once are each milder: a composition is not meant to be beyond recognition.
        strength = _SEVERITY_RANGE[0] + draw[3] * (_SEVERITY_RANGE[1] - _SEVERITY_RANGE[0])
        severities.append(np.where(composed, np.maximum(strength / 2, 0.5), strength))
        seeds.append(seeds_for(seed, digests, f"{purpose}/{look}/noise"))
    return Plan(
        split=split,
        positions=np.tile(positions, looks_per_image),
        corruptions=np.concatenate(kinds),
        severities=np.concatenate(severities),
        seeds=np.concatenate(seeds),
    )


def _uniform(seed: int, digests: StrArray, purpose: str) -> FloatArray:
    return (seeds_for(seed, digests, purpose) >> 1) * _UNIT


def degrade(images: Tensor, plan: Plan) -> Tensor:
    """Put each image (B, 3, H, W) under its row's condition; the input is left untouched."""
    degraded = images.clone()
    whole = plan.severities == np.floor(plan.severities)
    for name in sorted(set(plan.corruptions.tolist()) - {""}):
        named = plan.corruptions == name
        for severity in sorted(set(plan.severities[named & whole].tolist())):
            rows = np.flatnonzero(named & (plan.severities == severity))
            degraded[rows] = corruption(name)(
                images[rows], severity=int(severity), seeds=plan.seeds[rows]
            )
        rows = np.flatnonzero(named & ~whole)
        if len(rows):
            level = torch.from_numpy(plan.severities[rows].astype(np.float32))
            degraded[rows] = corruption(name).at_severity(
                images[rows], severity=level, seeds=plan.seeds[rows]
            )
    return degraded
