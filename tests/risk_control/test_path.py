"""The path: a locked copy that never rises."""

from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import InputError
from gatekeeper.risk_control import ThresholdPath


def test_path_is_a_locked_copy():
    raw = np.array([0.9, 0.5])
    path = ThresholdPath(raw=raw, restored=np.array([0.95, 0.95]))
    raw[0] = 0.1
    assert path.raw.tolist() == [0.9, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        path.raw[0] = 0.1
    assert len(path) == 2


def test_path_can_start_later():
    path = ThresholdPath(raw=[0.9, 0.8, 0.7], restored=[2.0, 0.9, 0.9]).starting_at(1)
    assert (path.raw.tolist(), path.restored.tolist()) == ([0.8, 0.7], [0.9, 0.9])
    for outside in (-1, 2):
        with pytest.raises(InputError, match="step"):
            path.starting_at(outside)


@pytest.mark.parametrize(
    ("raw", "restored", "message"),
    [
        ([0.5, 0.6], [0.9, 0.9], "raw thresholds .* 0.5 to 0.6 at step 1"),
        ([0.9, 0.9], [0.5, 0.6], "restored thresholds"),
        ([0.9], [0.9, 0.8], "as many raw as restored"),
        ([], [], "M at least 1"),
        ([0.9, -0.1], [0.9, 0.9], "at least 0"),
        ([0.9, np.nan], [0.9, 0.9], "at least 0"),
    ],
)
def test_paths_that_are_none_are_refused(raw, restored, message):
    with pytest.raises(InputError, match=message):
        ThresholdPath(raw=np.array(raw), restored=np.array(restored))
