"""Soak and long fuzzing: the arithmetic, what is kept, and a short soak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("skimage", reason="the photographs are scikit-image's")

from benchmarks import serving_long
from benchmarks.serving_running import Scale
from gatekeeper.errors import InputError


def test_growth_by_hand() -> None:
    # Fifths of ten samples: warm-up, then 100 and 102, …, then 110 and 130.
    memory = [10, 20, 100, 102, 500, 500, 500, 500, 110, 130]
    assert serving_long.growth_mb(memory) == 120 - 101
    with pytest.raises(InputError, match="at least 10 samples, got 9"):
        serving_long.growth_mb(memory[1:])


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Instead of an hour of soak and ten minutes of fuzzing."""
    asked: list[tuple[Any, ...]] = []

    def soak(_: Scale, seconds: float) -> dict[str, Any]:
        asked.append(("soak", seconds))
        return {"cell": "soak", "growth_mb": 51.0, "seconds": seconds, "statuses": {"200": 9}}

    def fuzz(seconds: int, folder: Path) -> dict[str, Any]:
        asked.append(("fuzz", seconds, folder))
        return {"cell": "fuzz", "crashes": 0, "runs": {}, "seconds": seconds}

    monkeypatch.setattr(serving_long, "soak", soak)
    monkeypatch.setattr(serving_long.cells, "fuzz", fuzz)
    return asked


def test_rows_are_kept_for_as_long_as_the_code_stays(
    tmp_path: Path, measured: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert serving_long.measured("soak", tmp_path) is None
    row = serving_long.measure("soak", 7, tmp_path)
    assert measured == [("soak", 7)]
    assert serving_long.measured("soak", tmp_path) == row
    assert serving_long.measured("fuzz", tmp_path) is None
    monkeypatch.setattr(serving_long, "_code", lambda: "another")
    assert serving_long.measured("soak", tmp_path) is None


def test_the_exit_code_says_whether_the_target_is_met(
    tmp_path: Path, measured: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serving_long.importlib.util, "find_spec", lambda _: object())
    assert serving_long.main(["soak"]) == 1
    assert serving_long.main(["fuzz", "--seconds", "5"]) == 0
    assert measured == [("soak", 3600), ("fuzz", 5, Path("runs") / "fuzz")]
    monkeypatch.setattr(serving_long.importlib.util, "find_spec", lambda _: None)
    assert serving_long.main(["fuzz"]) == 0
    assert len(measured) == 2


def test_a_short_soak() -> None:
    row = serving_long.soak(Scale(side=32, n_images=8, threads=1), 2)
    assert set(row["statuses"]) == {"200", "422"}
    assert len(row["memory_mb"]) >= 10
    assert all(100 < each < 3000 for each in row["memory_mb"])
    assert row["growth_mb"] == pytest.approx(serving_long.growth_mb(row["memory_mb"]), abs=0.2)
