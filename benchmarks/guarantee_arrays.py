"""Recorded attempts as plain arrays, which is what is kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gatekeeper.evidence import Plan
from gatekeeper.judging import Judged
from gatekeeper.types import IntArray, StrArray

AnyArray: TypeAlias = npt.NDArray[Any]

_STRINGS = ("plan/split", "plan/corruptions", "digests", "restorers")


def coded(names: StrArray) -> IntArray:
    """Strings as their code points, shape (N, longest)."""
    width = max(names.dtype.itemsize // 4, 1)
    return np.ascontiguousarray(names).astype(f"<U{width}").view(np.uint32).reshape(-1, width)


def decoded(codes: AnyArray) -> StrArray:
    """The strings that :func:`coded` made an array of, shape (N,)."""
    plain = np.ascontiguousarray(codes, dtype=np.uint32)
    return plain.view(f"<U{codes.shape[1]}").reshape(-1)


def packed(judged: Judged, prefix: str) -> dict[str, AnyArray]:
    """Attempts as plain arrays under names that begin with the prefix."""
    arrays = {f"plan/{f.name}": getattr(judged.plan, f.name) for f in fields(Plan)}
    arrays |= {f.name: getattr(judged, f.name) for f in fields(Judged)}
    del arrays["plan"]
    arrays["plan/split"] = np.array([judged.plan.split])
    return {
        f"{prefix}/{name}": coded(array) if array.dtype.kind == "U" else array
        for name, array in arrays.items()
    }


def unpacked(arrays: Mapping[str, AnyArray], prefix: str) -> Judged:
    """The attempts that :func:`packed` made arrays of."""
    found: dict[str, Any] = {
        name.removeprefix(f"{prefix}/"): array
        for name, array in arrays.items()
        if name.startswith(f"{prefix}/")
    }
    found |= {name: decoded(found[name]) for name in _STRINGS}
    plan = {f.name: found.pop(f"plan/{f.name}") for f in fields(Plan)}
    plan["split"] = str(plan["split"][0])
    return Judged(plan=Plan(**plan), **found)
