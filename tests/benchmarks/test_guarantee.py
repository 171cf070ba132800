"""Benchmark ``guarantee``: figures from measured gates by hand, and the quick run end to end."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import guarantee
from benchmarks.guarantee import (
    TARGETS,
    count_ends,
    flag_figures,
    gain_figure,
    monitor_figures,
    peer_figures,
    violation_figures,
)
from benchmarks.guarantee_draws import Outcomes
from benchmarks.guarantee_measures import MAPIE, MSP, OURS, SGR, mapie_is_there
from gatekeeper.errors import GatekeeperError


def outcomes(*coverage: float) -> Outcomes:
    found = np.array(coverage)
    return Outcomes(certified=found > 0, coverage=found, risk=np.zeros(len(found)))


def gate(name: str, **own: object) -> SimpleNamespace:
    return SimpleNamespace(fit=SimpleNamespace(name=name), **own)


def test_a_count_has_an_exact_interval() -> None:
    ends = count_ends(0, 10)
    assert (ends.value, ends.low, ends.high) == pytest.approx((0, 0, 3.085), abs=1e-3)


def test_the_worst_gate_is_judged_at_each_level() -> None:
    ours = outcomes(*[0.5] * 1_000)
    found = [
        gate("a", violations={0.9: 100, 0.95: 68, 0.99: 3}, ours=ours),
        gate("b", violations={0.9: 120, 0.95: 10, 0.99: 18}, ours=ours),
    ]
    figures = violation_figures(found)
    assert [figure.value for figure in figures] == [120, 68, 18]
    assert [figure.holds for figure in figures] == [True, False, True]
    assert figures[1].low < 68 < figures[1].high
    assert "a: 68, b: 10" in figures[1].note


def test_peers_are_compared_draw_by_draw_and_mapie_at_its_best() -> None:
    found = [
        gate(
            "a",
            ours=outcomes(0.5, 0.6, 0.7),
            peers={
                SGR: outcomes(0.4, 0.6, 0.6),
                MAPIE[0]: outcomes(0.3, 0.3, 0.3),
                MAPIE[1]: outcomes(0.5, 0.5, 0.5),
                MAPIE[2]: outcomes(0.5, 0.59),
            },
        )
    ]
    versus_sgr, versus_mapie = peer_figures(found)
    assert versus_sgr.value == pytest.approx(0.2 / 3)
    assert versus_sgr.holds
    # Differences 0.3, 0.1 and, over its two draws, 0.005: the last is the closest.
    assert versus_mapie.value == pytest.approx(0.005)
    assert (versus_mapie.low, versus_mapie.high) == pytest.approx((0.0, 0.01))
    assert all(name in versus_mapie.note for name in MAPIE)
    assert "2 draws" in versus_mapie.note


def test_without_mapie_there_is_no_figure_of_it() -> None:
    found = [gate("a", ours=outcomes(0.5), peers={SGR: outcomes(0.5)})]
    assert [figure.name for figure in peer_figures(found)] == ["coverage_vs_sgr"]


def test_gain_is_a_mean_over_gates_and_images() -> None:
    found = [
        gate("a", ours=outcomes(0.5, 0.7), gain=np.array([0.0, 0.4] * 50)),
        gate("b", ours=outcomes(0.5, 0.5), gain=np.array([0.2, 0.6] * 50)),
    ]
    figure = gain_figure(found)
    assert figure.value == pytest.approx(0.3)
    # Per image 0.1 or 0.5: a standard error of 0.2 / 10.
    assert figure.low == pytest.approx(0.3 - 1.96 * 0.02, abs=0.004)
    assert figure.high == pytest.approx(0.3 + 1.96 * 0.02, abs=0.004)
    assert figure.note.endswith("a: 0.6000 − 0.4000, b: 0.5000 − 0.1000")
    assert figure.holds


def test_flags_are_counted_over_gates_and_families() -> None:
    def fit(seed: int, declared: list[float], held_out: list[list[float]]) -> SimpleNamespace:
        return SimpleNamespace(
            name=f"g seed {seed}",
            recipe=SimpleNamespace(name="g", seed=seed),
            flag_level=0.01,
            declared_p=np.array(declared),
            held_out=("fog", "shift", "shift"),
            severities=np.array([3, 3, 4]),
            held_out_p=np.array(held_out),
        )

    sure, unsure = [0.0, 0.0], [0.5, 0.01]
    fits = [
        fit(0, [0.005, 0.5, 0.5, 0.5], [sure, unsure, unsure]),
        fit(1, [0.5, 0.5, 0.5, 0.5], [sure, sure, unsure]),
    ]
    (false, power), rows = flag_figures(fits)
    assert false.value == 1 / 8
    assert false.low < 1 / 8 < false.high
    # Families fog 1 and shift 0, then fog 1 and shift 1/2; at the level is not below it.
    assert power.value == pytest.approx((0.5 + 0.75) / 2)
    assert "least: shift 0.25, fog 1.00" in power.note
    shares = {
        (row["seed"], row["corruption"], row["severity"]): row["flagged_share"]
        for row in rows
        if row["table"] == "flagged windows of a held-out family"
    }
    assert shares[1, "shift", 3] == 1.0
    assert shares[1, "shift", 4] == 0.0
    assert len(shares) == 6


def test_monitor_is_judged_by_its_worst_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = {
        (0, 0.05): [0, 0, 900], (0, 0.1): [90, 100, 300],
        (1, 0.05): [5, 0, 7], (1, 0.1): [50, 60, 70],
    }  # fmt: skip
    monkeypatch.setattr(
        guarantee, "withdrawals", lambda risk, *, seed, **_: np.array(stopped[seed, risk])
    )
    (false, labels), rows = monitor_figures([0, 1], 3, 0.05, 0.95)
    assert false.value == 2
    assert labels.value == 100
    assert [row["withdrawn"] for row in rows] == [1, 3, 2, 3]
    # More than half of the runs have no label of withdrawal: there is no median.
    assert rows[0]["median_labels_to_withdraw"] is None
    assert rows[1]["median_labels_to_withdraw"] == 100


def test_a_full_run_needs_mapie(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(guarantee, "mapie_is_there", lambda: False)
    with pytest.raises(GatekeeperError, match="pip install mapie"):
        guarantee.main(["--data", "cifar10:nowhere"])
    guarantee._look_for_mapie(quick=True)
    assert "coverage_vs_mapie" in capsys.readouterr().err


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the quick run writes."""
    folder = tmp_path_factory.mktemp("results")
    guarantee.main(["--quick", "--out", str(folder)])
    body: dict = json.loads((folder / "guarantee.json").read_text(encoding="utf-8"))
    return body


def test_quick_run_measures_every_figure(results: dict) -> None:
    figures = {figure["name"]: figure for figure in results["figures"]}
    expected = [n for n in TARGETS if n != "coverage_vs_mapie" or mapie_is_there()]
    assert list(figures) == expected
    for name, figure in figures.items():
        assert figure["low"] <= figure["value"] <= figure["high"], name
    assert results["data"]["n"] == 1_000
    assert results["command"].startswith("python -m benchmarks.guarantee --quick")


def test_quick_run_agrees_with_its_table(results: dict) -> None:
    figures = {figure["name"]: figure["value"] for figure in results["figures"]}
    (means,) = (
        row
        for row in results["table"]
        if row["table"] == "mean over gates"
        and (row["target_risk"], row["confidence_level"]) == (0.05, 0.95)
    )
    assert means[OURS] > 0
    assert figures["coverage_gain_vs_msp_certified"] == pytest.approx(
        means[OURS] - means[MSP], abs=2e-5
    )
    for level in (0.9, 0.95, 0.99):
        (row,) = (
            row
            for row in results["table"]
            if row["table"] == "certified on redraws"
            and (row["method"], row["target_risk"], row["confidence_level"]) == (OURS, 0.05, level)
        )
        assert figures[f"violations_level_0{level * 100:.0f}"] == row["violations"]
        assert row["certified_share"] > 0
