"""Which images play which part: no image plays two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gatekeeper.errors import DataError, RecipeError
from gatekeeper.images import make_splits
from gatekeeper.training import restorer_data
from gatekeeper.training.methods import METHODS
from gatekeeper.training.restorer_data import Sources, set_digest, sources_of
from gatekeeper.training.restorer_recipe import RestorerRecipe
from tests import small_gate

SPLITS = {"train": 61, "validation": 20, "fit": 10, "calibrate": 10, "certify": 10, "test": 10}
BODY = {
    "id": "tiny",
    "kind": "restorer",
    "method": "autoencoder",
    "data": {"dataset": "digits", "splits": SPLITS},
    "corruptions": [{"name": "gaussian"}],
}


@pytest.fixture(autouse=True)
def _read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restorer_data, "load_dataset", lambda spec, **_: small_gate.digits())


@pytest.fixture
def takes_unlabelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the autoencoder learned from noisy images, too."""
    from dataclasses import replace

    monkeypatch.setitem(METHODS, "autoencoder", replace(METHODS["autoencoder"], unlabelled=True))


def found(changes: dict | None = None, **paths: Path) -> Sources:
    places = {"data_dir": None, "clean": None, "noisy": None, **paths}
    recipe = RestorerRecipe.model_validate({**BODY, **(changes or {})})
    return sources_of(recipe, **places, announce=lambda line: None)


def photos(folder: Path, n: int, first: int = 0) -> Path:
    folder.mkdir()
    for number in range(first, first + n):
        Image.new("RGB", (20, 16), (number, 7, 9)).save(folder / f"{number}.png")
    return folder


def test_a_data_set_gives_train_and_validation_of_its_splits() -> None:
    data = small_gate.digits()
    splits = make_splits(
        data.labels, data.digests, test_index=data.test_index, sizes=SPLITS, seed=0
    )
    sources = found()
    assert sources.clean.digests.tolist() == data.digests[splits.train].tolist()
    assert sources.validation.digests.tolist() == data.digests[splits.validation].tolist()
    assert sources.used.train_digest == splits.digest_of("train", data.digests)
    assert sources.used.validation_digest == splits.digest_of("validation", data.digests)
    assert sources.unlabelled is None
    assert sources.class_names == data.class_names


def test_a_folder_is_split_by_its_images(tmp_path: Path) -> None:
    sources = found({"training": {"validation_share": 0.3}}, clean=photos(tmp_path / "p", 10))
    train, kept = set(sources.clean.digests.tolist()), set(sources.validation.digests.tolist())
    assert (len(train), len(kept), len(train & kept)) == (7, 3, 0)
    assert sources.used.validation_digest == set_digest(sources.validation.digests)
    fewest = found(clean=photos(tmp_path / "q", 2))
    assert (fewest.used.n_train, fewest.used.n_validation) == (1, 1)
    with pytest.raises(DataError, match=r"at least 2 distinct images .* got 1"):
        found(clean=photos(tmp_path / "r", 1))


@pytest.mark.usefixtures("takes_unlabelled")
def test_half_of_train_is_given_up_for_unlabelled_images() -> None:
    whole = found({"unlabelled": [{"name": "camera"}]})
    pairs, noisy = whole.clean.digests.tolist(), whole.unlabelled.digests.tolist()
    assert (len(pairs), len(noisy)) == (30, 31)
    assert not set(pairs) & set(noisy)
    data = small_gate.digits()
    splits = make_splits(
        data.labels, data.digests, test_index=data.test_index, sizes=SPLITS, seed=0
    )
    assert {*pairs, *noisy} == set(data.digests[splits.train].tolist())
    assert whole.used.unlabelled == "the other half of train under camera"
    assert whole.used.unlabelled_digest == set_digest(whole.unlabelled.digests)


@pytest.mark.usefixtures("takes_unlabelled")
def test_a_folder_of_noisy_images_leaves_all_of_train_for_pairs(tmp_path: Path) -> None:
    sources = found(noisy=photos(tmp_path / "noisy", 4))
    assert len(sources.clean.digests) == 61
    assert sources.used.n_unlabelled == 4
    assert sources.used.options == " --noisy DIR"
    with pytest.raises(RecipeError, match="without clean versions, got none"):
        found()


def test_set_digest_by_hand() -> None:
    import hashlib

    expected = hashlib.sha256(b"a\nb\n").hexdigest()
    assert set_digest(np.array(["b", "a"])) == expected
