"""The benchmark of the signals, at its smallest."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("pywt", reason="the peer estimates sigma with PyWavelets")

from benchmarks import signals, signals_cost
from gatekeeper.errors import DataError, InputError


def a_photo(folder: Path, name: str) -> Path:
    levels = np.linspace(60, 190, 96 * 80).reshape(96, 80, 1).repeat(3, axis=2)
    Image.fromarray(levels.astype(np.uint8)).save(folder / name)
    return folder / name


def test_photographs_come_from_a_folder_an_archive_or_scikit_image(tmp_path: Path) -> None:
    first, second = a_photo(tmp_path, "b.png"), a_photo(tmp_path, "a.png")
    (tmp_path / "notes.txt").write_text("no photograph", encoding="utf-8")
    found = signals.load_photos(f"folder:{tmp_path}")
    assert [photo.name for photo in found] == ["a.png", "b.png"]
    assert found[0].pixels.shape == (1, 3, 96, 80)
    with ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(first, "x/b.png")
        archive.write(second, "x/a.png")
    packed = signals.load_photos(f"zip:{tmp_path / 'all.zip'}")
    assert [photo.name for photo in packed] == ["x/a.png", "x/b.png"]
    assert torch.equal(packed[0].pixels, found[0].pixels)
    assert len(signals.load_photos(None)) == 12


def test_what_holds_no_photographs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder:PATH or zip:PATH"):
        signals.load_photos("cifar10:here")
    with pytest.raises(DataError, match="found none"):
        signals.load_photos(f"folder:{tmp_path}")
    with pytest.raises(DataError, match="found none"):
        signals.load_photos(f"zip:{tmp_path / 'missing.zip'}")


def test_noise_is_what_was_asked_for_and_the_same_every_time(tmp_path: Path) -> None:
    a_photo(tmp_path, "a.png")
    (photo,) = signals.load_photos(f"folder:{tmp_path}")
    image = signals.noisy(photo, 20, seed=3)
    assert torch.equal(image, signals.noisy(photo, 20, seed=3))
    assert not torch.equal(image, signals.noisy(photo, 20, seed=4))
    assert float((image - photo.pixels).std() * 255) == pytest.approx(20, rel=0.03)
    for estimate in signals.METHODS.values():
        assert estimate(image) == pytest.approx(20, rel=0.15)


def test_figures_by_hand() -> None:
    # Two sigmas, five photographs: medians 0.3 and 0.2.
    error = np.array([[0.1, 0.3, 0.3, 0.3, 0.9], [0.2, 0.2, 0.2, 0.1, 0.4]])
    figure = signals.worst_median("x", error, 0.05, "")
    assert figure.value == pytest.approx(0.3)
    assert figure.low <= 0.3 <= figure.high <= 0.9
    small, large = signals.sigma_figures(error, (5, 10))[::-1]
    assert (small.value, large.value) == (pytest.approx(0.3), pytest.approx(0.2))
    row = signals.sigma_table({"m": error}, (5, 10))[1]
    assert row["sigma"] == 10
    assert row["mean_error"] == pytest.approx(0.22)


def test_a_quick_run_writes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    a_photo(photos, "a.png")
    monkeypatch.chdir(tmp_path)
    signals.main(["--quick", "--no-timing", "--data", f"folder:{photos}"])
    body = json.loads((tmp_path / "runs/benchmarks/signals.json").read_text(encoding="utf-8"))
    assert [figure["name"] for figure in body["figures"]] == ["sigma_error_10_50", "sigma_error_5"]
    assert body["command"] == (
        "python -m benchmarks.signals --data folder --quick --no-timing --seed 0"
    )
    assert len(body["table"]) == 2 * len(signals.QUICK_SIGMAS)
    assert "sigma_error_5" in capsys.readouterr().out


def test_costs_are_judged_by_the_upper_end(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {32: [0.5, 0.6, 0.7], 256: [0.1], 1: [3.0], signals_cost.BATCH: [2.0, 2.0, 2.0]}
    monkeypatch.setattr(signals_cost, "_times", lambda work, repeats, n: np.array(times[n]))
    monkeypatch.setattr(signals_cost, "_resnet50", lambda: None)
    monkeypatch.setattr(signals_cost, "_gate", lambda n_classes: None)
    monkeypatch.setattr(signals_cost, "_second_opinion", lambda: None)
    figures, rows = signals_cost.cost_figures(quick=True)
    assert [figure.name for figure in figures] == ["signals_ms", "gate_cost_share"]
    assert figures[0].value == pytest.approx(0.6)
    assert figures[0].judged == "high"
    # Signals, predictor and second opinion 2 ms each, over a network of 2 ms.
    assert figures[1].value == pytest.approx(3.0)
    assert not figures[1].holds
    methods = {"signals", "resnet50", "predictor and calibrator", "second opinion"}
    assert {row["method"] for row in rows} == methods


def test_the_second_opinion_looks_at_a_batch() -> None:
    found = signals_cost._second_opinion()()
    assert isinstance(found, torch.Tensor)
    assert found.shape == (signals_cost.BATCH, 1000)
    assert torch.isfinite(found).all()


def test_the_gate_gives_reliabilities() -> None:
    found = signals_cost._gate(10)()
    assert found.shape == (signals_cost.BATCH,)
    assert ((found >= 0) & (found <= 1)).all()
