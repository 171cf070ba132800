"""Restoration benchmark: figures by hand, and a quick run that writes them all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import restoration
from benchmarks.restoration import (
    Cell,
    efficiency,
    gap_closed,
    gate_figures,
    rows_of,
    sigma_figures,
    without_meaning,
)
from benchmarks.restoration_gates import HELD_OUT, RESTORER_OF, SEEN, gate_recipe, halves
from benchmarks.restoration_runs import CEILING, CONDITIONS, RESTORED, SIGMAS, Size
from gatekeeper.errors import InputError
from gatekeeper.metrics import exact_upper_bound
from tests import small_gate

NAMES = [
    "gap_closed_sigma_01", "gap_closed_sigma_02", "gap_closed_sigma_03", "accuracy_vs_classical",
    "accuracy_vs_psnr_denoiser", "clean_flips_test_dev", "clean_harm_upper_bound",
    "help_harm_noise", "help_harm_noise_s1", "harm_excess_elsewhere", "arbitration_efficiency",
    "certified_coverage_gain",
]  # fmt: skip


def right(shares: dict[str, float], n: int = 1000) -> dict[str, np.ndarray]:
    """The first images are those that are answered rightly."""
    return {name: np.arange(n) < round(share * n) for name, share in shares.items()}


ACCURACIES = {
    "noisy": 0.4, RESTORED: 0.76, "PSNR U-Net": 0.7, "autoencoder": 0.65, "non-local means": 0.6,
    CEILING: 0.8,
}  # fmt: skip


def cell(**gate: list[float]) -> Cell:
    found = {
        "clean_test": [1, 4500], "clean_all": [3, 16000], "noise": [310, 10, 12, 2],
        "elsewhere": [0.001], "arbitration": [0.86, 0.8, 0.9], "coverage": [0.1, 0.09, 0.11],
    }  # fmt: skip
    return Cell(
        classifier="a",
        seed=0,
        right={sigma: right(ACCURACIES) for sigma in SIGMAS},
        gate={name: np.array(value, dtype=float) for name, value in {**found, **gate}.items()},
    )


def test_gap_closed_by_hand() -> None:
    value, low, high = gap_closed(right(ACCURACIES))
    assert value == pytest.approx((0.76 - 0.4) / (0.8 - 0.4))
    assert low < value < high
    # Of the 400 images between noisy and ceiling 360 are restored: a binomial share.
    deviation = np.sqrt(0.9 * 0.1 / 400)
    assert (low, high) == pytest.approx((0.9 - 1.96 * deviation, 0.9 + 1.96 * deviation), abs=0.01)


def test_no_gap_is_refused() -> None:
    with pytest.raises(InputError, match="a ceiling above the accuracy on noisy images"):
        gap_closed(right({**ACCURACIES, CEILING: 0.4}))


def test_what_divides_by_nothing_is_told_and_left_out() -> None:
    good = cell()
    level = {**good.right, 0.2: right({**ACCURACIES, CEILING: 0.4})}
    flat = replace(good, right=level, gate={**good.gate, "arbitration": np.array([0.8, 0.8, 0.8])})
    assert without_meaning([good]) == {}
    undefined = without_meaning([good, flat])
    assert set(undefined) == {"gap_closed_sigma_02", "arbitration_efficiency"}
    assert undefined["gap_closed_sigma_02"].startswith("a, seed 0: expected a ceiling above")
    names = [f.name for f in sigma_figures([good, flat], Size(), undefined)]
    names += [f.name for f in gate_figures([good, flat], undefined)]
    assert names == [name for name in NAMES if name not in undefined]


def test_figures_of_noise_by_hand() -> None:
    found = {figure.name: figure for figure in sigma_figures([cell(), cell()], Size())}
    assert list(found) == NAMES[:5]
    assert found["gap_closed_sigma_02"].value == pytest.approx(0.9)
    assert found["gap_closed_sigma_02"].holds
    assert not found["gap_closed_sigma_01"].holds  # 0.9, and its lower end is below
    assert found["accuracy_vs_classical"].value == pytest.approx(0.16)
    assert found["accuracy_vs_psnr_denoiser"].value == pytest.approx(0.06)


def test_figures_of_the_gate_by_hand() -> None:
    other = cell(clean_test=[3, 4400], clean_all=[2, 15000], noise=[90, 0, 8, 0], elsewhere=[0.003])
    found = {figure.name: figure for figure in gate_figures([cell(), other])}
    assert list(found) == NAMES[5:]
    assert (found["clean_flips_test_dev"].value, found["clean_flips_test_dev"].holds) == (3, False)
    assert f"{exact_upper_bound(3, 4400):.5f}" in found["clean_flips_test_dev"].note
    expected = max(exact_upper_bound(3, 16000), exact_upper_bound(2, 15000))
    assert found["clean_harm_upper_bound"].value == expected
    assert found["help_harm_noise"].value == pytest.approx(400 / 10)
    assert found["help_harm_noise_s1"].value == pytest.approx(20 / 2)
    assert (found["harm_excess_elsewhere"].value, found["harm_excess_elsewhere"].holds) == (
        0.003, False,
    )  # fmt: skip
    assert found["arbitration_efficiency"].value == pytest.approx(0.6)
    assert found["certified_coverage_gain"].low == pytest.approx(0.09)
    assert found["certified_coverage_gain"].holds


def test_no_harm_is_counted_as_one() -> None:
    found = {figure.name: figure for figure in gate_figures([cell(noise=[40, 0, 0, 0])])}
    assert found["help_harm_noise"].value == 40
    assert found["help_harm_noise_s1"].value == 0
    assert "40 : 0" in found["help_harm_noise"].note


def test_paths_that_do_not_complement_one_another_are_refused() -> None:
    assert efficiency(np.array([0.7, 0.8, 0.9])) == pytest.approx(-1.0)
    with pytest.raises(InputError, match="nothing to arbitrate"):
        efficiency(np.array([0.8, 0.8, 0.8]))


def test_the_table_names_every_condition() -> None:
    rows = rows_of(cell())
    assert len(rows) == len(SIGMAS) * (len(CONDITIONS) + 1) + 1
    assert rows[0] == {
        "classifier": "a", "seed": 0, "sigma": 0.1, "method": "noisy", "accuracy": 0.4,
    }  # fmt: skip
    assert rows[-1]["noise"] == [310, 10, 12, 2]


def test_halves_share_no_image() -> None:
    (first, second), (third, fourth) = halves(small_gate.splits())
    for part in ("fit", "calibrate"):
        one, other = getattr(first, part), getattr(second, part)
        assert not set(one.tolist()) & set(other.tolist())
        whole = getattr(small_gate.splits(), part)
        assert sorted([*one, *other]) == sorted(whole)
        np.testing.assert_array_equal(getattr(third, part), other)
        np.testing.assert_array_equal(getattr(fourth, part), one)


def test_the_gate_learns_from_what_is_seen() -> None:
    recipe = gate_recipe(1, quick=False)
    assert set(RESTORER_OF) == set(SEEN) == set(recipe.conditions.seen)
    assert recipe.conditions.held_out == HELD_OUT
    assert (recipe.restorers.max_attempts, recipe.seed) == (2, 1)


def test_a_quick_run_writes_every_figure_elsewhere_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = replace(restoration.QUICK, sigma_images=20, unet_steps=2, autoencoder_steps=2)
    monkeypatch.setattr(restoration, "QUICK", tiny)
    # A few steps restore nothing: what is written is the form, not a result.
    monkeypatch.setattr(restoration, "gap_closed", lambda right: (0.5, 0.4, 0.6))
    monkeypatch.setattr(restoration, "efficiency", lambda arbitration: 0.1)
    restoration.main(["--quick", "--work", str(tmp_path / "kept")])
    written = tmp_path / "runs" / "benchmarks" / "restoration.json"
    body = json.loads(written.read_text(encoding="utf-8"))
    assert body["command"] == "python -m benchmarks.restoration --quick --seeds 0"
    assert [figure["name"] for figure in body["figures"]] == NAMES
    kept = sorted(path.name for path in (tmp_path / "kept").rglob("*.safetensors"))
    assert (
        sum(name.startswith(("unet-", "autoencoder-", "ceiling-", "gate-")) for name in kept) == 5
    )
    with pytest.raises(SystemExit):
        restoration.main([])
