from __future__ import annotations

import os
import zipfile

import pytest

from gatekeeper.batch.references import (
    FileReference,
    MemberReference,
    close_archives,
    members_of,
)
from gatekeeper.errors import ImageError


def refusal(reference, max_bytes=100):
    with pytest.raises(ImageError) as caught:
        reference.read(max_bytes)
    return caught.value.reason


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("one.png", b"x" * 10)
        written.writestr("zeros.png", bytes(50_000_000), zipfile.ZIP_DEFLATED)
        written.writestr("lzma.png", b"x" * 10, zipfile.ZIP_LZMA)
        written.writestr("../../out.png", b"y" * 100)
    yield path
    close_archives()


def test_a_file_up_to_the_limit(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)
    assert FileReference(str(path)).read(100) == b"x" * 100
    path.write_bytes(b"x" * 101)
    assert refusal(FileReference(str(path))) == "too_large"


def test_what_is_no_file_is_unreadable(tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)  # opening it would wait for a writer
    for path in (pipe, tmp_path, tmp_path / "absent.png", "nul\0byte.png", ""):
        with pytest.raises(ImageError, match="got none at") as caught:
            FileReference(str(path)).read(100)
        assert caught.value.reason == "unreadable"


def test_a_file_that_cannot_be_opened_says_why(tmp_path):
    with pytest.raises(ImageError, match="can be read, got: File name too long"):
        FileReference(str(tmp_path / ("x" * 300))).read(100)


def test_a_file_that_grows_or_comes_in_parts_is_read_to_its_end(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"x" * 10)
    pieces = iter([b"x" * 11, b"y" * 80, b""])
    asked = []
    monkeypatch.setattr(os, "read", lambda _, n: asked.append(n) or next(pieces))
    assert FileReference(str(path)).read(100) == b"x" * 11 + b"y" * 80
    # One more than its size; then up to one more than the limit.
    assert asked == [11, 90]


def test_members_by_their_place_in_the_list(archive):
    assert [member.filename for member in members_of(str(archive))][3] == "../../out.png"
    assert MemberReference(str(archive), 0).read(100) == b"x" * 10
    assert MemberReference(str(archive), 3).read(100) == b"y" * 100


def test_nothing_is_ever_unpacked_onto_the_disk(archive, tmp_path):
    before = sorted(tmp_path.parent.rglob("*"))
    MemberReference(str(archive), 3).read(100)
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_bomb_is_unpacked_to_the_limit_and_no_further(archive, monkeypatch):
    asked = []
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(
        zipfile.ZipExtFile, "read", lambda self, n=-1: asked.append(n) or read(self, n)
    )
    assert refusal(MemberReference(str(archive), 1)) == "too_large"
    assert asked == [101]


def test_a_size_that_the_archive_lies_about_is_no_way_in(archive):
    # The central directory says that the bomb unpacks to ten bytes.
    data = bytearray(archive.read_bytes())
    at = data.rfind(b"PK\x01\x02", 0, data.rfind(b"zeros.png"))
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    archive.write_bytes(data)
    assert refusal(MemberReference(str(archive), 1)) == "unreadable"


def test_other_methods_and_damage_are_unreadable(archive, tmp_path):
    assert refusal(MemberReference(str(archive), 2)) == "unreadable"
    assert refusal(MemberReference(str(archive), 99)) == "unreadable"
    assert refusal(MemberReference(str(tmp_path / "absent.zip"), 0)) == "unreadable"
    data = bytearray(archive.read_bytes())
    data[data.find(b"x" * 10)] ^= 1  # its checksum is wrong now
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(data)
    assert refusal(MemberReference(str(damaged), 0)) == "unreadable"


def test_a_member_behind_a_password_is_unreadable(archive, tmp_path):
    data = bytearray(archive.read_bytes())
    data[data.rfind(b"PK\x01\x02", 0, data.rfind(b"one.png")) + 8] |= 1
    locked = tmp_path / "locked.zip"
    locked.write_bytes(data)
    assert refusal(MemberReference(str(locked), 0)) == "unreadable"


def test_absolute_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert FileReference("a/b.png").absolute() == FileReference(f"{tmp_path}/a/b.png")
    assert MemberReference("a.zip", 3).absolute() == MemberReference(f"{tmp_path}/a.zip", 3)
