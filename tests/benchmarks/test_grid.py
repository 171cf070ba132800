"""Which rows are judged, and which are fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.grid import Grid, fit_rows, thinned
from gatekeeper.evidence import Plan


def plan_of(kinds: list[str], severities: list[int], positions: list[int]) -> Plan:
    return Plan(
        split="test",
        positions=np.array(positions),
        corruptions=np.array(kinds),
        severities=np.array(severities),
        seeds=np.arange(len(kinds)) + 100,
    )


@pytest.fixture
def grid() -> Grid:
    """Images 7 and 3: clean, shot noise at 1 and 5, pixelate at 1."""
    kinds = ["", "", "shot_noise", "shot_noise", "shot_noise", "shot_noise", "pixelate", "pixelate"]
    return Grid.of(plan_of(kinds, [0, 0, 1, 1, 5, 5, 1, 1], [7, 3] * 4))


def test_pools(grid: Grid) -> None:
    assert grid.n_images == 2
    assert grid.images.tolist() == [1, 0] * 4
    assert np.flatnonzero(grid.clean).tolist() == [0, 1]
    assert np.flatnonzero(grid.held_out("noise")).tolist() == [2, 3, 4, 5]
    assert np.flatnonzero(grid.seen("noise")).tolist() == [0, 1, 6, 7]
    assert grid.judged("noise").tolist() == [0, 1, 2, 3, 4, 5]
    assert grid.judged("digital").tolist() == [0, 1, 6, 7]


def test_families_have_all_their_rows(grid: Grid) -> None:
    rows = {family: np.flatnonzero(mask).tolist() for family, mask in grid.families().items()}
    assert rows == {"pixelate": [6, 7], "shot": [2, 3, 4, 5]}


def test_cells_hold_each_image_once(grid: Grid) -> None:
    cells = [(name, severity, rows.tolist()) for name, severity, rows in grid.cells("noise")]
    assert cells == [("shot_noise", 1, [2, 3]), ("shot_noise", 5, [4, 5])]
    assert grid.cells("blur") == []


def test_all_clean_and_two_thirds_of_the_other_looks_are_fitted_on() -> None:
    plan = plan_of(["", "snow", "fog"] * 1000, [0, 1, 1] * 1000, [0] * 3000)
    allowed = plan.corruptions != "fog"
    rows = fit_rows(plan, allowed, seed=0)
    kinds = plan.corruptions[rows]
    assert np.count_nonzero(kinds == "") == 1000
    assert np.count_nonzero(kinds == "snow") == pytest.approx(667, abs=60)
    assert "fog" not in kinds
    assert (rows == fit_rows(plan, allowed, seed=0)).all()
    assert set(rows.tolist()) != set(fit_rows(plan, allowed, seed=1).tolist())


def test_thinning_keeps_order_and_number() -> None:
    rows = np.arange(0, 200, 2)
    assert thinned(rows, None, 0) is rows
    assert thinned(rows, 100, 0) is rows
    kept = thinned(rows, 30, 0)
    assert len(kept) == len(set(kept.tolist())) == 30
    assert (np.diff(kept) > 0).all()
    assert set(kept.tolist()) <= set(rows.tolist())
