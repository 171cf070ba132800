"""The second opinion of a judged gate: none where none is asked for, trained once, then kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import guarantee_second
from benchmarks.guarantee_second import second_opinion_from
from gatekeeper.progress import Silent
from gatekeeper.recipe import ClassifierTraining, Recipe, SecondOpinionRecipe
from tests import small_gate

OPTIONS = SecondOpinionRecipe(
    widths=(16, 16, 16, 16),
    depth=1,
    largest_side_px=12,
    looks_per_image=2,
    training=ClassifierTraining(epochs=1, min_steps=1, batch_size=32),
)


def asking(options: SecondOpinionRecipe | None) -> Recipe:
    recipe = small_gate.recipe()
    predictor = recipe.predictor.model_copy(update={"second_opinion": options})
    return recipe.model_copy(update={"predictor": predictor})


def made(folder: Path, options: SecondOpinionRecipe | None, basis: dict[str, str]) -> str | None:
    found = second_opinion_from(
        folder, asking(options), small_gate.digits(), small_gate.splits(), basis, Silent()
    )
    return None if found is None else found.classifier.digest


def test_none_is_trained_where_none_is_asked_for(tmp_path: Path) -> None:
    assert made(tmp_path, None, {}) is None
    assert list(tmp_path.iterdir()) == []


def test_it_is_trained_once_and_again_for_another_basis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []
    train = guarantee_second.train_second_opinion

    def remember(*args: object, **rest: object) -> object:
        seen.append(tuple(rest["corruptions"]))
        return train(*args, **rest)

    monkeypatch.setattr(guarantee_second, "train_second_opinion", remember)
    first = made(tmp_path, OPTIONS, {"a": "1"})
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(files) == 2
    assert made(tmp_path, OPTIONS, {"a": "1"}) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    made(tmp_path, OPTIONS, {"a": "2"})
    assert len(list(tmp_path.iterdir())) == 4
    assert set(seen) == {tuple(small_gate.recipe().conditions.seen)}
