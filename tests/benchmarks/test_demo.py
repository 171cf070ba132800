"""Benchmark ``demo``: how seeds are pooled, and the quick run from end to end."""

from __future__ import annotations

import json

import pytest

from benchmarks import demo, validation
from benchmarks.demo import TARGETS, fingerprint, pooled, table
from gatekeeper.errors import InputError


def seed(number: int, name: str, value: float, ends: tuple[float | None, float | None]) -> dict:
    low, high = ends
    measured = {"value": value, "low": low, "high": high, "note": f"note {number}"}
    return {
        "seed": number,
        "certified": True,
        "stages": {"data": 1.0},
        "figures": {name: measured},
        "rows": [{"seed": number, "traffic": "clean", "n": 5}],
    }


def test_value_and_interval_are_means_over_the_seeds() -> None:
    seeds = [seed(0, "ece_clean", 0.01, (0.0, 0.018)), seed(1, "ece_clean", 0.02, (0.01, 0.03))]
    figure = pooled("ece_clean", seeds)
    assert (figure.value, figure.low, figure.high) == pytest.approx((0.015, 0.005, 0.024))
    assert not figure.holds
    assert figure.note.endswith("seed 0: note 0; seed 1: note 1")


def test_where_a_seed_has_no_interval_the_seeds_themselves_are_the_spread() -> None:
    seeds = [seed(0, "seconds", 200.0, (None, None)), seed(1, "seconds", 241.0, (None, None))]
    figure = pooled("seconds", seeds)
    assert (figure.value, figure.low, figure.high) == (220.5, 200.0, 241.0)
    assert not figure.holds


def test_flips_are_judged_by_the_worst_seed() -> None:
    seeds = [seed(0, "clean_flips", 0, (0.0, 3.0)), seed(1, "clean_flips", 3, (1.0, 8.0))]
    figure = pooled("clean_flips", seeds)
    assert figure.value == 3
    assert not figure.holds


def test_a_ratio_without_an_upper_end_keeps_none() -> None:
    seeds = [seed(0, "help_harm_noise", 40.0, (9.0, None)), seed(1, "help_harm_noise", 30, (9, 70))]
    figure = pooled("help_harm_noise", seeds)
    assert (figure.value, figure.low, figure.high) == (35.0, 9.0, None)
    assert "∞" in validation.figure_table({"figures": [figure.to_json()]})


def test_table_lists_every_seed_then_its_traffic() -> None:
    rows = table([seed(4, "seconds", 9.0, (None, None))])
    assert rows[0]["seconds"] == 9.0
    assert rows[0]["traffic"] == "whole run"
    assert rows[1] == {"seed": 4, "traffic": "clean", "n": 5}


def test_another_seed_or_recipe_is_another_run() -> None:
    kept = fingerprint("digits", 0, quick=True)
    assert kept == fingerprint("digits", 0, quick=True)
    others = [fingerprint("digits", 1, quick=True), fingerprint("digits", 0, quick=False)]
    assert kept not in others


@pytest.mark.parametrize("text", ["a", "0,0", ""])
def test_seeds_must_be_different_numbers(text: str) -> None:
    with pytest.raises(InputError, match="seeds"):
        demo._seeds(text)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the quick run writes; a second run takes the finished seed from the cache."""
    folder = tmp_path_factory.mktemp("results")
    demo.main(["--quick", "--out", str(folder)])
    first = (folder / "demo.json").read_text(encoding="utf-8")
    demo.main(["--quick", "--out", str(folder)])
    body = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    assert body["seconds"] < json.loads(first)["seconds"] / 2
    assert body["figures"] == json.loads(first)["figures"]
    return body


def test_quick_run_measures_every_figure(results: dict) -> None:
    figures = {figure["name"]: figure for figure in results["figures"]}
    assert list(figures) == list(TARGETS)
    assert results["data"]["n"] == results["table"][1]["n"]
    for name in ("failure_auroc_declared", "failure_auroc_open", "ece_clean", "ece_seen"):
        assert figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"], name


def test_quick_run_agrees_with_its_own_rows(results: dict) -> None:
    rows = {row["traffic"]: row for row in results["table"]}
    figures = {figure["name"]: figure for figure in results["figures"]}
    declared = rows["declared"]
    assert figures["failure_auroc_declared"]["value"] == pytest.approx(
        declared["failure_auroc_gatekeeper"]
    )
    assert figures["coverage_at_risk_open"]["value"] == rows["open"]["coverage_at_risk_policy"]
    families = [row for name, row in rows.items() if name.startswith("family ")]
    assert len(families) == 8
    lowest = min(families, key=lambda row: row["vs_msp_low"])
    assert figures["worst_family_vs_msp"]["low"] == pytest.approx(lowest["vs_msp_low"])
    assert figures["clean_vs_msp"]["value"] == pytest.approx(
        rows["clean"]["failure_auroc_gatekeeper"] - rows["clean"]["failure_auroc_msp"]
    )
    assert figures["clean_flips"]["value"] == rows["clean"]["harm"]


def test_quick_run_fills_the_documents(results: dict) -> None:
    page = validation.validation_page([results])
    assert all(f"| `{name}` |" in page for name in TARGETS)
    readme = (validation.ROOT / "README.md").read_text(encoding="utf-8")
    filled = validation.with_figures(readme, results)
    assert "| speckle (held out) |" in filled
    assert validation.with_figures(filled, results) == filled


def test_documents_are_up_to_date() -> None:
    for path, text in validation.documents().items():
        assert path.read_text(encoding="utf-8") == text, "run python -m benchmarks.validation"


def test_markers_must_be_there() -> None:
    with pytest.raises(InputError, match="markers"):
        validation.between("no markers", "figures", "x")
