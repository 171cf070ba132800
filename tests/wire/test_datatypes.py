"""Every datatype and shape check."""

from __future__ import annotations

import pytest

from gatekeeper.wire import NUMERIC, WireError
from gatekeeper.wire.datatypes import check_datatype, check_shape


def test_sizes_of_the_elements() -> None:
    assert {name: kind.itemsize for name, kind in NUMERIC.items()} == {
        "BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2,
        "INT32": 4, "INT64": 8, "FP16": 2, "FP32": 4, "FP64": 8,
    }  # fmt: skip


@pytest.mark.parametrize("value", ["float32", "fp32", "BF16", "", None, 3, ["FP32"]])
def test_unknown_datatypes(value: object) -> None:
    with pytest.raises(WireError, match=r"expected a datatype of BOOL, .*, BYTES for 'x'"):
        check_datatype(value, "x")


def test_shapes_that_can_be() -> None:
    assert check_shape([1], "x") == (1,)
    assert check_shape([2**31 - 1], "x") == (2**31 - 1,)
    assert check_shape([1] * 8, "x") == (1,) * 8


@pytest.mark.parametrize(
    "value",
    [None, 3, "3", [], [1] * 9, [0], [-1], [1, -1], [1.0], [True], ["1"], [None], [[1]],
     [2**31], [2**16, 2**15], [2**32, 2**32], [2**63, 2]],
)  # fmt: skip
def test_shapes_that_cannot_be(value: object) -> None:
    with pytest.raises(WireError, match=r"expected a shape of .* for 'x', got"):
        check_shape(value, "x")
