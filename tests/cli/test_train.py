"""``gatekeeper train``: which kinds it trains, and that a record lies beside its recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gatekeeper.cli import main
from gatekeeper.training import restorer_of_record

RESTORER = """
id = "tiny"
kind = "restorer"
method = "unet"
[network]
widths = [4, 4]
[[corruptions]]
name = "gaussian"
[training]
steps = 2
batch_size = 2
crop_px = 16
"""
CLASSIFIER = """
id = "tiny"
architecture = "gatekeeper_small_resnet"
[data]
dataset = "digits"
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 256, (20, 24 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def train(tmp_path: Path, text: str, *options: str) -> int:
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    places = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    return main(["train", str(tmp_path / "mine.toml"), *places, *options])


def test_a_restorer_of_ones_own_photographs(tmp_path: Path, photos: Path, capsys) -> None:
    assert train(tmp_path, RESTORER, "--clean", str(photos)) == 0
    assert (tmp_path / "out" / "recipe.toml").read_text(encoding="utf-8") == RESTORER
    assert restorer_of_record(tmp_path / "out", device="cpu").name == "unet"
    said = capsys.readouterr().err
    assert "gaussian: " in said
    assert f"Wrote {tmp_path}/out/" in said


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (CLASSIFIER, ["--clean", "x"], "are for restorers: this recipe is of a classifier"),
        (RESTORER, [], "or a folder with --clean, got neither"),
        (RESTORER, ["--clean", "x", "--noisy", "y"], "unet learns from no unlabelled images"),
        (RESTORER, ["--clean", "nowhere"], "expected images"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    tmp_path: Path, capsys, text: str, options: list[str], message: str
) -> None:
    assert train(tmp_path, text, *options) != 0
    assert message in capsys.readouterr().err
