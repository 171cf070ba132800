"""Costs of recipes: numbers of weights by hand, the latents' steps apart, a line for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import restoration_recipes
from benchmarks.restoration_recipes import Cost, costs, main, said
from gatekeeper.errors import InputError
from gatekeeper.training.recipe import load_training_recipe

UNET = """
id = "tiny-unet"
kind = "restorer"
method = "unet"
corruptions = [{name = "gaussian"}]
network = {widths = [2, 4]}
training = {steps = 500, batch_size = 6, crop_px = 8}
"""
LATENT = """
id = "tiny-latent"
kind = "restorer"
method = "resshift"
corruptions = [{name = "gaussian"}]
objective = {autoencoder_steps = 40}
training = {steps = 20, batch_size = 2, crop_px = 16}
[network]
autoencoder = {width = 8, multipliers = [1, 2], codes = 16}
network = {width = 8, groups = 4, swin_width = 16, head_width = 8}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_unet_by_hand(tmp_path: Path) -> None:
    (found,) = costs(load_training_recipe(written(tmp_path, UNET)), n_steps=1, batch=2)
    # 3 -> 2 -> 2; 2 -> 4 -> 4; lift 4 -> 2; 4 -> 2 -> 2; head 2 -> 3; kernels of 9, biases.
    by_hand = (54 + 2) + (36 + 2) + (72 + 4) + (144 + 4) + (72 + 2) + (72 + 2) + (36 + 2) + (54 + 3)
    assert found.parameters == by_hand
    assert found.weights_mb == pytest.approx(4 * by_hand / 1e6)
    assert (found.part, found.steps, found.batch_size, found.wanted) == ("restorer", 500, 2, 6)
    assert found.seconds > 0


def test_the_autoencoders_steps_are_told_apart(tmp_path: Path) -> None:
    found = list(costs(load_training_recipe(written(tmp_path, LATENT)), n_steps=1))
    assert [(one.part, one.steps) for one in found] == [("autoencoder", 40), ("restorer", 20)]
    assert found[0].parameters == found[1].parameters


def test_minutes_are_of_the_whole_training_at_its_own_batch() -> None:
    cost = Cost(
        part="restorer", parameters=1_500_000, weights_mb=6.0, seconds=0.25, peak_mib=None,
        steps=600, batch_size=8, wanted=32,
    )  # fmt: skip
    assert cost.minutes == pytest.approx(10.0)
    line = "x restorer 1.50 M 6.0 MB 250 ms per step of 8; 600 steps of 32: 10 min of one core"
    assert " ".join(said("x", cost).split()) == line


def test_a_line_per_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(written(tmp_path, UNET)), "--steps", "1", "--batch", "2"])
    assert capsys.readouterr().out.startswith("tiny-unet")


def test_all_recipes_of_restorers_are_told_by_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(restoration_recipes, "costs", lambda *_, **__: iter([]))
    read: list[str] = []
    load = load_training_recipe
    monkeypatch.setattr(
        restoration_recipes,
        "load_training_recipe",
        lambda path: read.append(path.stem) or load(path),
    )
    main([])
    assert {"autoencoder-cifar10", "noise-da-cifar10", "resshift-256px-latent"} <= set(read)
    assert capsys.readouterr().out == ""


def test_a_classifiers_recipe_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, 'id = "c"\narchitecture = "resnet18"\ndata = {dataset = "digits"}\n')
    with pytest.raises(InputError, match="expected recipes of restorers"):
        main([str(path)])
