from __future__ import annotations

import numpy as np
import pytest

from gatekeeper.errors import DataError
from gatekeeper.images.cache import cached_pixels

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _never():
    raise AssertionError("decoded again")


def test_pixels_are_decoded_once(home):
    first = cached_pixels("key", 3, (4, 5), lambda: iter(IMAGES))
    again = cached_pixels("key", 3, (4, 5), _never)
    assert np.array_equal(first, IMAGES)
    assert np.array_equal(again, IMAGES)
    assert not again.flags.writeable
    assert [path.name for path in (home / "cache" / "pixels").iterdir()] == ["key.npy"]


@pytest.mark.parametrize("damage", [b"", b"not an array", b"\x93NUMPY\x01\x00"])
def test_a_damaged_file_is_made_again(home, damage):
    cached_pixels("key", 3, (4, 5), lambda: iter(IMAGES))
    (home / "cache" / "pixels" / "key.npy").write_bytes(damage)
    assert np.array_equal(cached_pixels("key", 3, (4, 5), lambda: iter(IMAGES)), IMAGES)


def test_an_array_of_objects_is_never_unpickled(home):
    path = home / "cache" / "pixels" / "key.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    assert np.array_equal(cached_pixels("key", 3, (4, 5), lambda: iter(IMAGES)), IMAGES)


def test_a_failure_while_decoding_leaves_nothing_behind(home):
    def fails():
        yield IMAGES[0]
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        cached_pixels("key", 3, (4, 5), fails)
    assert list((home / "cache" / "pixels").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_said(home):
    home.mkdir()
    (home / "cache").write_text("a file is in the way")
    with pytest.raises(DataError, match="GATEKEEPER_HOME"):
        cached_pixels("key", 3, (4, 5), lambda: iter(IMAGES))
