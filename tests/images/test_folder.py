from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from gatekeeper.errors import DataError
from gatekeeper.images import decode_image, fit_to
from gatekeeper.images.folder import list_zip, load_folder


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _write(path: Path, shade: int, size=(6, 4), **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 2 * shade, 0)).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "cells"
    _write(root / "good" / "b.png", 20)
    _write(root / "good" / "a.png", 10)
    _write(root / "bad" / "deeper" / "c.PNG", 30)
    return root


def _load(path: Path, image_size=None, said=None):
    return load_folder(path, image_size=image_size, announce=[].append if said is None else said)


def test_classes_are_folders_and_files_are_sorted(folder):
    data = _load(folder)
    assert data.class_names == ("bad", "good")
    assert data.labels.tolist() == [0, 1, 1]
    assert data.images[:, 0, 0].tolist() == [[30, 60, 0], [10, 20, 0], [20, 40, 0]]
    assert data.images.shape == (3, 4, 6, 3)
    assert (data.name, data.test_index.tolist()) == ("cells", [])
    assert str(folder) in data.source


def test_train_and_test_folders_make_a_fixed_split(tmp_path):
    for part, shades in {"train": (10, 20), "test": (30, 40)}.items():
        for name, shade in zip(("cat", "dog"), shades, strict=True):
            _write(tmp_path / "pets" / part / name / "0.png", shade)
    data = _load(tmp_path / "pets")
    assert data.class_names == ("cat", "dog")
    assert data.labels.tolist() == [0, 1, 0, 1]
    assert data.test_index.tolist() == [2, 3]
    assert data.images[:, 0, 0, 0].tolist() == [10, 20, 30, 40]


def test_a_class_that_only_the_test_part_has_is_refused(tmp_path):
    for place in ("train/cat", "train/dog", "test/cow"):
        _write(tmp_path / "pets" / place / "0.png", 10)
    with pytest.raises(DataError, match="got cow in addition"):
        _load(tmp_path / "pets")


def test_differing_sizes_need_an_image_size(folder):
    photo = _write(folder / "good" / "wide.png", 40, size=(20, 10))
    with pytest.raises(DataError, match=r"4×6 and 10×20 .*wide\.png.*give an image size"):
        _load(folder)
    data = _load(folder, image_size=(5, 5))
    assert data.images.shape == (4, 5, 5, 3)
    expected = fit_to(decode_image(photo.read_bytes())[None], (5, 5))
    assert torch.equal(data.batch(np.array([3])), expected)


def test_pixels_are_decoded_once_and_again_when_a_file_changes(folder):
    said: list[str] = []
    first = _load(folder, said=said.append)
    _load(folder, said=said.append)
    assert said == ["Decoding 3 images once; they are kept in the cache."]
    _write(folder / "good" / "a.png", 99)
    changed = _load(folder, said=said.append)
    assert len(said) == 2
    assert changed.images[1, 0, 0, 0] == 99
    assert changed.digests[0] == first.digests[0]
    assert changed.digests[1] != first.digests[1]


def test_other_files_are_left_out_aloud_and_hidden_ones_silently(folder):
    (folder / "readme.txt").touch()
    (folder / "good" / "notes.csv").touch()
    _write(folder / "loose.png", 1)
    (folder / ".DS_Store").touch()
    (folder / "good" / ".hidden.png").touch()
    said: list[str] = []
    assert len(_load(folder, said=said.append)) == 3
    assert said[0].endswith("3 files that are not images in a class folder are left out.")


def test_a_file_that_cannot_be_decoded_is_named(folder):
    (folder / "good" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DataError, match=r"good/broken\.jpg: expected a complete JPEG"):
        _load(folder)


def test_a_folder_that_is_missing_or_has_one_class_is_refused(tmp_path):
    with pytest.raises(DataError, match="found none at"):
        _load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="got 0"):
        _load(tmp_path / "empty")
    _write(tmp_path / "one" / "only" / "0.png", 1)
    with pytest.raises(DataError, match="got 1"):
        _load(tmp_path / "one")


def test_a_zip_archive_is_listed_like_a_folder(folder, tmp_path):
    with ZipFile(tmp_path / "cells.zip", "w") as archive:
        for path in sorted(folder.rglob("*"), reverse=True):
            archive.write(path, path.relative_to(folder))
    said: list[str] = []
    with ZipFile(tmp_path / "cells.zip") as archive:
        items = list_zip(archive, in_test=True, announce=said.append)
        assert [item.class_name for item in items] == ["bad", "good", "good"]
        assert items[1].read() == (folder / "good" / "a.png").read_bytes()
    assert all(item.in_test for item in items)
    assert said == []


def test_an_archive_with_a_giant_is_refused(tmp_path):
    with ZipFile(tmp_path / "giant.zip", "w", compression=8) as archive:
        archive.writestr("a/0.png", b"\0" * 20_000_001)
    with (
        ZipFile(tmp_path / "giant.zip") as archive,
        pytest.raises(DataError, match=r"a/0\.png unpacks to more bytes"),
    ):
        list_zip(archive, in_test=False, announce=[].append)
