"""Stored states of predictors: shapes whose letters must agree."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.reliability.inputs import state_arrays

SHAPES = {"matrix": "(K, F)", "row": "(F,)", "number": "()"}


def state(**changes):
    return {"matrix": np.ones((2, 3)), "row": np.ones(3), "number": np.array(1.0), **changes}


def test_arrays_are_copied_in_double_precision():
    stored = state(row=np.ones(3, dtype=np.float32))
    found = state_arrays(stored, shapes=SHAPES)
    assert {name: array.shape for name, array in found.items()} == {
        "matrix": (2, 3),
        "row": (3,),
        "number": (),
    }
    assert found["row"].dtype == np.float64
    found["matrix"][:] = 0.0
    assert stored["matrix"].min() == 1.0


@pytest.mark.parametrize(
    "changes",
    [{"row": np.ones(2)}, {"row": np.ones((3, 1))}, {"number": np.ones(1)}, {"number": np.inf}],
)
def test_shapes_that_do_not_agree_are_refused(changes):
    (name,) = changes
    with pytest.raises(InputError, match=f"state {name} must be finite numbers of shape"):
        state_arrays(state(**changes), shapes=SHAPES)


def test_missing_and_unknown_names_are_refused():
    with pytest.raises(InputError, match="expected a state with matrix, row, number, got nothing"):
        state_arrays({}, shapes=SHAPES)
    with pytest.raises(InputError, match="got extra, matrix, number, row"):
        state_arrays(state(extra=np.ones(1)), shapes=SHAPES)
