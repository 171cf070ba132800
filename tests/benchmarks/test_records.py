"""What ships: every number of a card comes from the run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from benchmarks.records import card, failures, model_toml, ratio, share, write_record
from gatekeeper.errors import DataError


def block(**changes: float) -> dict:
    return {
        "n": 100,
        "accuracy_no_gate": 0.4,
        "accuracy_final": 0.75,
        "n_accepted": 50,
        "n_wrong_accepted": 1,
        "selective_risk": 0.02,
        "help": 36,
        "harm": 1,
        **changes,
    }


SUMMARY = {
    "dataset": "digits",
    "data_licence": "CC BY",
    "date": "2026-11-23T10:00:00+00:00",
    "seeds": {"run": 3},
    "versions": {"vision-gatekeeper": "0.1.0", "torch": "2.9"},
    "splits": {name: {"n": 1234, "digest": "ab" * 32} for name in ("train", "test")},
    "target_risk": 0.05,
    "clean_flips": 2,
    "clean_correct": 400,
    "families": {
        "gaussian": block(),
        "dark": block(help=1, harm=4),
        "speckle": block(n_wrong_accepted=10, selective_risk=0.2),
    },
}
GATE = {
    "image_size": [28, 32],
    "restorer_of": {"gaussian": "autoencoder", "dark": "exposure"},
    "restorers": {"autoencoder": {"digest": "cd" * 32, "config": {"encoder": [16, 32]}}},
}


def test_shares_carry_their_exact_interval() -> None:
    assert share(0, 10) == "0.0% (0.0%–30.8%)"  # 1 - 0.025 ** 0.1
    assert share(0, 0) == "–"
    assert ratio(10, 0) == "10 : 0 (help 100.0% (69.2%–100.0%))"
    assert ratio(0, 0) == "0 : 0"


def test_failures_are_the_families_above_target_or_harmed() -> None:
    said = failures(SUMMARY)
    assert len(said) == 3
    assert said[0].startswith("`dark`: harmed more than helped, 1 : 4")
    assert said[1].startswith("`speckle`: 20.0% (10.0%–33.7%) of the accepted")
    assert said[2].startswith("Clean images: 2 of 400")


def test_card_lists_only_what_the_router_sends_to_this_restorer() -> None:
    text = card(SUMMARY, GATE, "skip-autoencoder-digits")
    assert "| `gaussian` | 40.0% (30.3%–50.3%) | 75.0% (65.3%–83.1%) | 36 : 1 (help" in text
    assert "| `dark` |" not in text
    assert "28×32 px" in text
    assert "licence: CC BY" in text
    assert "1,234 images" in text


def test_model_toml_says_which_weights_and_network() -> None:
    record = tomllib.loads(model_toml(SUMMARY, GATE, "skip-autoencoder-digits"))
    assert record["digest"] == "cd" * 32
    assert record["config"] == {"encoder": [16, 32]}
    assert record["seed"] == 3


def test_an_unfinished_run_leaves_what_ships_alone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="finished run"):
        write_record(tmp_path / "nowhere", tmp_path)
    assert list(tmp_path.iterdir()) == []
