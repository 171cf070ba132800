"""The small study on digits, made once for all benchmarks that read it."""

from __future__ import annotations

import pytest

from benchmarks.study import Study, open_study


@pytest.fixture(scope="session")
def quick_study() -> Study:
    """What ``--quick`` opens: one small classifier, two corruptions per group."""
    return open_study(None, quick=True)
