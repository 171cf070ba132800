from __future__ import annotations

import io
import pickle
import struct
import warnings
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from gatekeeper.errors import DataError
from gatekeeper.images.cifar10 import load_cifar10, read_batch

NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path / "home"))


def _rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def _like_the_original(rows: np.ndarray, labels: list[int], column_major: bool = False) -> bytes:
    """A batch as Python 2's cPickle wrote the published files: byte strings, lists in pieces."""

    def short(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text + b"q\x01"

    def piece(values: list[int]) -> bytes:
        return b"(" + b"".join(b"K" + bytes([value]) for value in values) + b"e"

    pieces = b"".join(piece(labels[start : start + 4]) for start in range(0, len(labels), 4))
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87R"
        + b"(K\x01"
        + b"M" + struct.pack("<H", len(rows)) + b"M" + struct.pack("<H", 3072) + b"\x86"
        + b"cnumpy\ndtype\nq\x04U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ"
        + b"\xff\xff\xff\xffK\x00tb" + (b"\x88" if column_major else b"\x89")
        + b"T" + struct.pack("<i", rows.size) + rows.tobytes() + b"tb"
    )  # fmt: skip
    names = b"]q\x05(" + b"".join(short(f"{i}.png".encode()) for i in range(len(rows))) + b"e"
    return (
        b"\x80\x02}q\x00("
        + short(b"batch_label") + short(b"training batch 1 of 5")
        + short(b"labels") + b"]q\x06" + pieces
        + short(b"data") + array
        + short(b"filenames") + names
        + b"u."
    )  # fmt: skip


def test_a_batch_like_the_original_is_read(tmp_path):
    rows, labels = _rows(7), [6, 9, 9, 4, 1, 0, 2]
    path = tmp_path / "data_batch_1"
    path.write_bytes(_like_the_original(rows, labels))
    images, read = read_batch(path)
    assert read.tolist() == labels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy has moved the function that the files name
        loaded = pickle.loads(path.read_bytes(), encoding="bytes")  # noqa: S301 - made above
    assert loaded[b"labels"] == labels
    assert np.array_equal(loaded[b"data"], rows)
    # Stored plane by plane: pixel (row 2, column 3) of the green plane is at 1024 + 2·32 + 3.
    assert images.shape == (7, 32, 32, 3)
    assert images[4, 2, 3].tolist() == rows[4, [67, 1024 + 67, 2048 + 67]].tolist()


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_nothing_in_a_batch_is_run(tmp_path):
    witness = tmp_path / "witness"
    trap = pickle.dumps(_Trap(witness), protocol=2).removeprefix(b"\x80\x02").removesuffix(b".")
    batch = _like_the_original(_rows(3), [1, 2, 3])
    (tmp_path / "batch").write_bytes(batch[:2] + trap + b"0" + batch[2:])
    assert read_batch(tmp_path / "batch")[1].tolist() == [1, 2, 3]
    assert not witness.exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pickle.loads((tmp_path / "batch").read_bytes(), encoding="bytes")  # noqa: S301 - trips it
    assert witness.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a batch",
        b"\x80\x02}q\x00.",
        pickle.dumps({b"data": _rows(3), b"labels": [1, 2, 3]}),  # by Python 3
        _like_the_original(_rows(3), [1, 2]),
        _like_the_original(_rows(3), [1, 2, 10]),
        _like_the_original(_rows(3)[:, :100], [1, 2, 3]),
        _like_the_original(_rows(3), [1, 2, 3]).replace(b"labels", b"fables"),
        _like_the_original(_rows(3), [1, 2, 3]).replace(b"data", b"date"),
        _like_the_original(_rows(3), [1, 2, 3])[:-5000],
        _like_the_original(_rows(3), [1, 2, 3], column_major=True),
    ],
)
def test_a_file_that_is_built_in_another_way_is_refused(tmp_path, content):
    path = tmp_path / "data_batch_1"
    path.write_bytes(content)
    with pytest.raises(DataError, match="expected a batch of CIFAR-10"):
        read_batch(path)


@pytest.mark.parametrize("inside", [True, False])
def test_torchvisions_layout_has_the_official_test_part_last(tmp_path, inside):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(_like_the_original(_rows(2, seed=number), [number, 9]))
    data = load_cifar10(folder if inside else tmp_path, announce=[].append)
    assert (len(data), data.image_size, data.name) == (12, (32, 32), "cifar10")
    assert data.test_index.tolist() == [10, 11]
    assert data.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
    assert data.class_names[0] == "airplane"
    assert data.class_names[9] == "truck"


def test_a_missing_batch_is_named(tmp_path):
    for name in NAMES[:-1]:
        (tmp_path / name).write_bytes(_like_the_original(_rows(2), [1, 2]))
    with pytest.raises(DataError, match=r"test_batch: .*No such file"):
        load_cifar10(tmp_path, announce=[].append)


def _png(shade: int, side: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def test_two_archives_are_train_and_test(tmp_path):
    for name, shades in {"train": (10, 20, 30), "test-dev": (40, 50)}.items():
        with ZipFile(tmp_path / f"cifar10-{name}.zip", "w") as archive:
            for number, shade in enumerate(shades):
                archive.writestr(f"{('truck', 'bird', 'truck')[number]}/{number}.png", _png(shade))
    said: list[str] = []
    data = load_cifar10(tmp_path, announce=said.append)
    assert data.class_names == ("bird", "truck")
    assert data.labels.tolist() == [0, 1, 1, 0, 1]
    assert data.images[:, 0, 0, 0].tolist() == [20, 10, 30, 50, 40]
    assert data.test_index.tolist() == [3, 4]
    again = load_cifar10(tmp_path, announce=said.append)
    assert np.array_equal(again.images, data.images)
    assert len(said) == 1


@pytest.mark.parametrize("damaged", ["cifar10-train.zip", "cifar10-test-dev.zip"])
def test_a_damaged_archive_is_refused(tmp_path, damaged):
    for name in ("cifar10-train.zip", "cifar10-test-dev.zip"):
        with ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("bird/0.png", _png(1))
            archive.writestr("cat/0.png", _png(2))
    content = (tmp_path / damaged).read_bytes()
    (tmp_path / damaged).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"{damaged} cannot be read"):
        load_cifar10(tmp_path, announce=[].append)


def test_a_member_with_a_wrong_checksum_is_named(tmp_path):
    for name in ("cifar10-train.zip", "cifar10-test-dev.zip"):
        with ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("bird/0.png", _png(1))
            archive.writestr("cat/0.png", _png(2))
    content = bytearray((tmp_path / "cifar10-train.zip").read_bytes())
    content[content.index(b"IDAT") + 6] ^= 255
    (tmp_path / "cifar10-train.zip").write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"cifar10-train\.zip: bird/0\.png cannot be read"):
        load_cifar10(tmp_path, announce=[].append)


def test_train_and_test_folders_are_brought_to_one_size(tmp_path):
    for place, side in {"train/bird": 32, "train/cat": 64, "test/cat": 32}.items():
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "0.png").write_bytes(_png(7, side))
    data = load_cifar10(tmp_path, announce=[].append)
    assert data.images.shape == (3, 32, 32, 3)
    assert (data.name, data.test_index.tolist()) == ("cifar10", [2])


def test_a_folder_with_none_of_the_layouts_is_refused(tmp_path):
    with pytest.raises(DataError, match="found none of them"):
        load_cifar10(tmp_path, announce=[].append)
