"""Bodies are unpacked no further than allowed."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.service.compression import unpack
from gatekeeper.service.errors import BodyTooLargeError, MalformedRequestError, MediaTypeError

PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes, "": bytes}


@given(data=st.binary(max_size=300), encoding=st.sampled_from(sorted(PACK)))
def test_what_was_packed_comes_back(data: bytes, encoding: str) -> None:
    assert unpack(PACK[encoding](data), f" {encoding.upper()} ", max_bytes=300) == data


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_the_bound_counts_unpacked_bytes(encoding: str) -> None:
    packed = PACK[encoding](b"a" * 1000)
    assert len(unpack(packed, encoding, max_bytes=1000)) == 1000
    with pytest.raises(BodyTooLargeError, match="at most 999 bytes when unpacked"):
        unpack(packed, encoding, max_bytes=999)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLargeError):
            unpack(bomb, "gzip", max_bytes=100_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_broken_bodies(encoding: str) -> None:
    packed = PACK[encoding](b"some text of some length")
    for data in (b"", b"no", packed[:-1], packed + b"x", packed + packed):
        with pytest.raises(MalformedRequestError, match=f"in {encoding}"):
            unpack(data, encoding, max_bytes=1000)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "zstd"])
def test_other_encodings(encoding: str) -> None:
    with pytest.raises(MediaTypeError):
        unpack(b"", encoding, max_bytes=10)
