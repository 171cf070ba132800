"""The small study on digits, made once for all benchmarks that read it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.study import Study, open_study


@pytest.fixture(scope="session")
def quick_study() -> Study:
    """What ``--quick`` opens, with fewer images and without the middle severity, to save time."""
    study = open_study(None, quick=True)
    splits = replace(
        study.splits,
        fit=study.splits.fit[::2],
        calibrate=study.splits.calibrate[::2],
        test=study.splits.test[::2],
    )
    return replace(study, splits=splits, severities=(1, 5))
