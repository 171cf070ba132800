"""The benchmark of level inputs: its arithmetic by hand, and all its parts at their smallest."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import level_inputs
from benchmarks.level_inputs import Scores, figures, space_without


def scores(*, better: bool) -> Scores:
    """Two images, each clean and degraded; with levels every answer is in its place."""
    correct = np.array([True, False, True, False])
    tied = np.zeros((2, 4))
    perfect = np.tile(correct.astype(float), (2, 1))
    return Scores(
        plain=tied if better else perfect,
        levels=perfect if better else tied,
        correct=correct,
        images=np.array([0, 1, 1, 0]),
    )


def test_a_gain_is_the_difference_of_two_aurocs() -> None:
    assert scores(better=True).gains(np.arange(4)).tolist() == [0.5, 0.5]
    assert scores(better=False).mean_gain(np.array([1, 1])) == -0.5
    # Image 0 alone still has a right and a wrong answer; each redraw counts both of its rows.
    assert scores(better=True).mean_gain(np.array([2, 0])) == 0.5


def test_figures_judge_the_lower_end() -> None:
    found = {"seen": [scores(better=True)], "clean": [scores(better=False)]}
    found["left_out"] = [scores(better=True), scores(better=False)]
    seen, left_out, clean = figures(found, 2, 20, 2)
    assert [f.name for f in (seen, left_out, clean)] == [
        "level_inputs.auroc_gain_seen",
        "level_inputs.auroc_gain_left_out",
        "level_inputs.auroc_gain_clean",
    ]
    assert (seen.value, seen.low, seen.holds) == (0.5, 0.5, True)
    assert (left_out.value, left_out.holds) == (0.0, True)
    assert (clean.value, clean.target, clean.holds) == (-0.5, -0.005, False)


@pytest.mark.parametrize(
    ("left_out", "names"),
    [
        ("", ["noise_sigma", "blur_sigma", "brightness"]),
        ("gaussian", ["blur_sigma", "brightness"]),
        ("gaussian_blur", ["noise_sigma", "brightness"]),
        ("dark", ["noise_sigma", "blur_sigma"]),
        ("impulse", ["noise_sigma", "blur_sigma", "brightness"]),
    ],
)
def test_a_map_never_shows_the_family_that_is_left_out(left_out: str, names: list[str]) -> None:
    assert [part.partition("=")[0] for part in space_without(left_out).split(",")] == names


def test_the_quick_run_has_the_form_of_every_benchmark(tmp_path, capsys) -> None:
    level_inputs.main(["--quick", "--out", str(tmp_path)])
    body = json.loads((tmp_path / "level_inputs.json").read_text(encoding="utf-8"))
    assert body["command"] == "python -m benchmarks.level_inputs --quick --seeds 0"
    assert body["data"]["split"] == "calibrate"
    assert body["data"]["n"] == 300
    assert len(body["figures"]) == 3
    studies = [row for row in body["table"] if "study" in row]
    assert len(studies) == 4
    assert all(0 <= row["share_reliable"] <= 1 for row in studies)
    settings = {row["setting"] for row in body["table"] if "setting" in row}
    assert {"every family seen", "dark left out"} <= settings
    for row in body["table"]:
        if "gain" in row:
            gain = row["failure_auroc_with"] - row["failure_auroc_without"]
            assert row["gain"] == pytest.approx(gain)
    assert "auroc_gain_seen" in capsys.readouterr().out
