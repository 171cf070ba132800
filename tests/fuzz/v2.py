"""What the reader of inference requests must keep to: a request, or a sentence for the client."""

from __future__ import annotations

from gatekeeper.service.compression import unpack
from gatekeeper.service.errors import RequestError
from gatekeeper.wire import (
    EncodedImages,
    WireError,
    encode_answer,
    images_of,
    numbers,
    parse_infer,
    texts,
)
from tests.service.bad_requests import INFER, LENGTH, bad_requests

MOST_BYTES = 200_000
MOST_IMAGES = 8
_ENCODINGS = ("", "gzip", "deflate")
_LONGEST_SEED = 4000


def check(data: bytes) -> None:
    """Read a request and answer it.

    The first byte chooses encoding and number of header lengths, the next two are the length.

    Raises:
        AssertionError: the promise is broken.
        Exception: anything but a refusal is a bug.
    """
    head, length, body = data[:1] or b"\0", int.from_bytes(data[1:3], "little"), data[3:]
    encoding = _ENCODINGS[head[0] % len(_ENCODINGS)]
    lengths = [str(length)] * (head[0] // len(_ENCODINGS) % 3)
    try:
        unpacked = unpack(body, encoding, max_bytes=MOST_BYTES)
        request = parse_infer(unpacked, header_lengths=lengths)
        images = images_of(request.inputs, most=MOST_IMAGES)
        answer = encode_answer(
            request,
            [texts("action", ["accept"]), numbers("probabilities", "FP32", [[0.25, 0.75]])],
            model="m",
            version="1",
            parameters={},
            labels=("a", "b"),
        )
    except (WireError, RequestError) as error:
        if not str(error).startswith("expected"):
            raise AssertionError(f"a refusal without its sentence: {error}") from error
        return
    assert 1 <= len(images) <= MOST_IMAGES
    assert isinstance(images, EncodedImages) or images.pixels.ndim == 4
    assert answer.body


def seeds() -> list[bytes]:
    """Where a fuzzer begins: small requests of every kind."""
    found = []
    for case in bad_requests():
        headers = dict(case.headers)
        length = headers.get(LENGTH, "")
        if case.path != INFER or len(case.body) > _LONGEST_SEED or len(length) > 4:
            continue
        encoding = headers.get("Content-Encoding", "")
        which = _ENCODINGS.index(encoding) if encoding in _ENCODINGS else 0
        told = int(length) if length.isdigit() else 0
        head = which + len(_ENCODINGS) * (LENGTH in headers)
        found.append(bytes([head]) + told.to_bytes(2, "little") + case.body)
    return found


def mend(data: bytes) -> bytes:
    """As it is."""
    return data
