"""The benchmark of adaptation: its figures by hand, and a quick run that goes on where it was."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("pywt", reason="the photographs come with the benchmark of the signals")

from benchmarks import adaptation as module
from benchmarks.adaptation import Measured, figures_of, mean_interval, rows_of, worst
from gatekeeper.errors import InputError
from tests import small_gate

GROUPS = np.array(["a", "b", "c", "d"])


def traffic(champion: list[int], challenger: list[int]) -> dict[str, np.ndarray]:
    found = {}
    for name, right in (("champion", champion), ("challenger", challenger)):
        found |= {
            f"{name}_right": np.array(right, dtype=float),
            f"{name}_accepts": np.array([1.0, 1.0, 0.0, 0.0]),
            f"{name}_wrong": np.array([0.0, 1.0, 0.0, 0.0]),
            f"{name}_raw_right": np.array([1.0, 0.0, 1.0, 0.0]),
            f"{name}_score": np.array([0.9, 0.2, 0.8, 0.1]),
        }
    return found


def test_the_worst_seed_is_judged() -> None:
    part = Measured(
        outcomes={
            0: traffic([0, 0, 0, 0], [1, 1, 1, 1]),
            1: traffic([0, 0, 0, 0], [1, 1, 0, 0]),
        },
        groups=GROUPS,
    )
    found = worst("gain", part, "challenger_right", "champion_right", note="a test")
    assert found.value == 0.5
    assert found.note == "a test; worst seed 1 of 0: +1.0000, 1: +0.5000"
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 < found.high
    names = [figure.name for figure in figures_of({"traffic": part})]
    assert names == ["accuracy_gain", "certified_coverage_gain"]
    unchanged = figures_of({"traffic": part})[1]
    assert unchanged.value == unchanged.low == 0.0
    assert not unchanged.holds


def test_whole_scenes_are_redrawn() -> None:
    # Two scenes with one value each: every redraw has a mean of 0, 1/2 or 1.
    value, low, high = mean_interval(np.array([0.0, 0.0, 1.0, 1.0]), np.array(["x", "x", "y", "y"]))
    assert (value, low, high) == (0.5, 0.0, 1.0)


def test_rows_hold_what_was_measured() -> None:
    part = Measured(outcomes={3: traffic([1, 0, 1, 0], [1, 1, 1, 0])}, groups=GROUPS)
    champion, challenger = rows_of({"traffic": part})
    assert (champion["seed"], champion["method"], champion["n"]) == (3, "champion", 4)
    assert (champion["accuracy"], challenger["accuracy"]) == (0.5, 0.75)
    assert (champion["accuracy_raw"], champion["failure_auroc"]) == (0.5, 1.0)
    assert (champion["certified_coverage"], champion["accepted_risk"]) == (0.5, 0.5)
    camera = Measured(
        outcomes={
            0: {
                "psnr_before": np.array([30.0, 32.0]),
                "psnr_after": np.array([33.0, 33.0]),
                "agrees_before": np.array([0.5, 0.5]),
                "agrees_after": np.array([1.0, 0.5]),
            }
        },
        groups=np.array(["x", "y"]),
    )
    before, after = rows_of({"camera": camera})
    assert (before["psnr_db"], after["psnr_db"]) == (31.0, 33.0)
    assert (before["agreement"], after["agreement"]) == (0.5, 0.75)
    psnr, agreement = figures_of({"camera": camera})
    assert (psnr.value, agreement.value) == (2.0, 0.25)
    assert (psnr.judged, agreement.judged) == ("low", "value")


def test_a_camera_needs_clean_photographs() -> None:
    with pytest.raises(InputError, match="--camera with --clean"):
        module.domain_of(argparse.Namespace(quick=False, camera="x", clean=None))
    with pytest.raises(InputError, match="expected --data"):
        module.main([])


def test_a_quick_run_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path))
    study = SimpleNamespace(data=small_gate.digits(), classifiers={"tiny": small_gate.classifier()})
    monkeypatch.setattr(module, "open_study", lambda spec, quick: study)
    options = ["--quick", "--only", "traffic", "--out", str(tmp_path)]
    module.main(options)
    first = json.loads((tmp_path / "adaptation.json").read_text(encoding="utf-8"))
    assert [figure["name"] for figure in first["figures"]] == [
        "accuracy_gain",
        "certified_coverage_gain",
    ]
    assert first["command"] == "python -m benchmarks.adaptation --quick --seeds 0"
    gain = first["table"][1]["accuracy"] - first["table"][0]["accuracy"]
    assert first["figures"][0]["value"] == pytest.approx(gain)
    monkeypatch.setattr(module, "outcome_of", lambda *_: pytest.fail("measured again"))
    module.main(options)
    again = json.loads((tmp_path / "adaptation.json").read_text(encoding="utf-8"))
    assert again["figures"] == first["figures"]
    assert "wrote" in capsys.readouterr().out
