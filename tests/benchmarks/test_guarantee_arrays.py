"""Attempts survive the way to the disk and back."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from benchmarks.guarantee_arrays import coded, decoded, packed, unpacked
from benchmarks.kept import Store
from gatekeeper.evidence import Plan
from gatekeeper.judging import Judged
from tests.small_gate import small


@pytest.mark.parametrize(
    "names", [["", "fog", "é–界"], [""], ["same", "same"]], ids=["mixed", "empty", "equal"]
)
def test_strings_survive(names: list[str]) -> None:
    codes = coded(np.array(names))
    assert codes.dtype == np.uint32
    assert codes.shape == (len(names), max(1, max(map(len, names))))
    assert decoded(codes).tolist() == names


def test_a_wide_array_of_short_strings_survives() -> None:
    names = np.array(["", "median"], dtype="<U32")
    assert decoded(coded(names[::-1])).tolist() == ["median", ""]


def test_attempts_survive_the_disk(tmp_path: Path) -> None:
    judged = small().result.certify
    store = Store(tmp_path)
    arrays = store.arrays("x", {}, lambda: packed(judged, "certify") | packed(judged, "other"))
    found = unpacked(arrays, "certify")
    assert found.plan.split == judged.plan.split
    for owner, own, before in ((Judged, found, judged), (Plan, found.plan, judged.plan)):
        for name in {f.name for f in fields(owner)} - {"plan", "split"}:
            now, then = getattr(own, name), getattr(before, name)
            assert np.array_equal(now, then, equal_nan=then.dtype.kind == "f"), name
            assert now.dtype.kind == then.dtype.kind, name
