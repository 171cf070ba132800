from __future__ import annotations

import os
import zipfile

import pandas as pd
import pytest

from gatekeeper.batch import close_archives, open_source
from gatekeeper.batch.references import FileReference
from gatekeeper.errors import DataError, InputError


@pytest.fixture(autouse=True)
def _closed():
    yield
    close_archives()


def places(source):
    return [item.place for item in source.items]


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_a_folder_is_searched_and_sorted_by_name(tmp_path):
    touch(tmp_path, "b/2.JPG", "b/10.jpg", "a.png", "z.webp", "c.tiff", "notes.txt", ".h.png")
    touch(tmp_path, ".cache/x.png", "b/.trash/y.png")
    source = open_source(tmp_path)
    assert places(source) == ["a.png", "b/10.jpg", "b/2.JPG", "c.tiff", "z.webp"]
    assert [item.position for item in source.items] == [0, 1, 2, 3, 4]
    assert source.items[1].reference == FileReference(str(tmp_path / "b/10.jpg"))
    assert source.left_out == 1


def test_links_to_folders_are_not_followed(tmp_path):
    touch(tmp_path / "in", "a.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    assert places(open_source(tmp_path / "in")) == ["a.png"]


def test_names_that_are_no_text_are_shown_and_found(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes(b"12")
    [item] = open_source(tmp_path).items
    assert item.place == "caf\\xe9.png"
    assert item.reference.read(10) == b"12"


def test_an_archive_is_listed_with_names_as_they_are(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as written:
        written.mkdir("folder")
        for name in ("folder/b.png", "../a.png", "/abs.png", ".h/c.png", "read.me"):
            written.writestr(name, name)
        with pytest.warns(UserWarning, match="Duplicate"):
            written.writestr("folder/b.png", "again")
    source = open_source(path)
    assert places(source) == ["../a.png", "/abs.png", "folder/b.png", "folder/b.png"]
    assert source.left_out == 1
    read = [item.reference.read(100) for item in source.items]
    assert read == [b"../a.png", b"/abs.png", b"folder/b.png", b"again"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_list_keeps_its_order_and_its_repetitions(tmp_path, kind):
    touch(tmp_path, "x.png", "sub/y.png")
    frame = pd.DataFrame({"n": [1, 2, 3], "file": ["sub/y.png", "x.png", "x.png"]})
    path = tmp_path / f"list.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    source = open_source(path, column="file")
    assert places(source) == ["sub/y.png", "x.png", "x.png"]
    assert source.items[0].reference == FileReference(str(tmp_path / "sub/y.png"))
    with pytest.raises(InputError, match=r"column 'path'.*got n, file"):
        open_source(path)


def test_absolute_paths_of_a_list_stay_as_they_are(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("path\n/data/x.png\n", encoding="utf-8")
    assert open_source(path).items[0].reference == FileReference("/data/x.png")


def test_a_list_with_a_gap_keeps_the_row(tmp_path):
    path = tmp_path / "list.parquet"
    pd.DataFrame({"path": ["x.png", None]}).to_parquet(path)
    assert places(open_source(path)) == ["x.png", ""]


def test_identity_changes_with_the_list_alone(tmp_path):
    touch(tmp_path / "one", "a.png", "b.png")
    touch(tmp_path / "two", "a.png", "b.png", "note.txt")
    identity = open_source(tmp_path / "one").identity
    assert open_source(tmp_path / "two").identity == identity
    touch(tmp_path / "two", "c.png")
    assert open_source(tmp_path / "two").identity != identity


@pytest.mark.parametrize(
    ("name", "content", "error", "match"),
    [
        ("absent", None, DataError, "found nothing"),
        ("empty.csv", b"path\n", DataError, "found none"),
        ("nothing.csv", b"", InputError, "got none"),
        ("bad.zip", b"PK", InputError, "intact zip"),
        ("bad.parquet", b"PAR1", InputError, "a Parquet file"),
        ("bad.csv", b"path\n\xff.png\n", InputError, "UTF-8"),
        ("photo.png", b"", InputError, r"a folder, \.zip"),
    ],
)
def test_what_is_no_source(tmp_path, name, content, error, match):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=match):
        open_source(path)


def test_paths_must_be_text(tmp_path):
    path = tmp_path / "list.parquet"
    pd.DataFrame({"path": [1, 2]}).to_parquet(path)
    with pytest.raises(InputError, match="text in column 'path'"):
        open_source(path)
