"""Requests that a hostile or broken client sends, and the status that each must get.

Used by the tests and by the benchmark of the service. The service takes bodies of
:data:`MAX_BODY` bytes.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.service.bad_images import photo, saved

MAX_BODY = 4_000_000
INFER = "/v2/models/gatekeeper/infer"
LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class BadRequest:
    """One request.

    Attributes:
        name: In words.
        path: Posted to.
        body: Its body.
        status: Expected.
        words: Part of the error's sentence.
        headers: Name and value, some perhaps twice.
    """

    name: str
    path: str
    body: bytes
    status: int
    words: str
    headers: tuple[tuple[str, str], ...] = field(default=())


def bad_requests() -> tuple[BadRequest, ...]:
    """Every case."""
    groups = (_json, _tensors, _shapes, _binary, _lengths, _images, _outputs, _pixels, _packed)
    protocol = [each for group in groups for each in group()]
    return (*protocol, *_native(), *_batches())


Cases = Iterator[BadRequest]


def infer(name: str, node: Any, words: str, status: int = 400, tail: bytes = b"") -> BadRequest:
    """A request of the Open Inference Protocol, with binary data where there is a tail."""
    text = node if isinstance(node, bytes) else json.dumps(node).encode()
    headers = ((LENGTH, str(len(text))),) if tail else ()
    return BadRequest(name, INFER, text + tail, status, words, headers)


def files(*images: bytes, **more: Any) -> dict[str, Any]:
    """A request for these files, in JSON."""
    data = [base64.b64encode(each).decode() for each in images]
    image = {"name": "image", "shape": [len(images)], "datatype": "BYTES", "data": data}
    return {"inputs": [{**image, "parameters": {"content_type": "base64"}}], **more}


def a_file() -> bytes:
    """A file that is all right."""
    return saved(photo(), "PNG")


def tensor(**changes: Any) -> dict[str, Any]:
    """A request for 2×2 pixels, one key of whose input is changed; None leaves it out."""
    image = {"name": "image", "shape": [1, 2, 2, 3], "datatype": "UINT8", "data": [0] * 12}
    image.update(changes)
    return {"inputs": [{key: value for key, value in image.items() if value is not None}]}


def _json() -> Cases:
    yield infer("no body", b"", "got an empty body")
    yield infer("no JSON", b"image", "expected JSON in UTF-8")
    yield infer("half of it", b'{"inputs": [', "expected JSON in UTF-8")
    yield infer("two documents", b"{} {}", "expected JSON in UTF-8")
    yield infer("a byte order mark", b"\xef\xbb\xbf{}", "expected JSON in UTF-8")
    yield infer("Latin-1", b'{"id": "\xe9"}', "expected JSON in UTF-8")
    yield infer("UTF-16", '{"id": "a"}'.encode("utf-16"), "expected JSON in UTF-8")
    yield infer("a list", [], "expected a JSON object, got a list")
    yield infer("null", None, "expected a JSON object")
    deep = b'{"inputs": ' + b"[" * 100 + b"]" * 100 + b"}"
    yield infer("101 deep", deep, "nested at most 100 deep")
    yield infer("250,000 deep", b"[" * 250_000, "nested at most 100 deep")
    yield infer("objects 101 deep", b'{"a":' * 101 + b"1" + b"}" * 101, "nested at most 100 deep")
    yield infer("too many lists", b'{"a": [' + b"[]," * 999_999 + b"[]]}", "lists and objects")
    for word in (b"NaN", b"Infinity", b"-Infinity"):
        yield infer(
            f"the word {word.decode()}", b'{"id": ' + word + b"}", "expected finite numbers"
        )
    yield infer("a key twice", b'{"inputs": [], "inputs": []}', "each key once")
    yield infer("5,000 digits", b'{"id": ' + b"9" * 5000 + b"}", "expected JSON in UTF-8")
    yield infer("an id of a megabyte", files(a_file(), id="i" * 1_000_000), "at most 1024 char")
    yield infer("an id that is a number", files(a_file(), id=7), "expected a string as id")
    yield infer("parameters as a list", files(a_file(), parameters=[]), "object of plain values")
    yield infer("nested parameters", files(a_file(), parameters={"a": {}}), "object of plain")
    for timeout in (-1, 0.5, True, "1", 2**63):
        node = files(a_file(), parameters={"timeout": timeout})
        yield infer(f"a timeout of {timeout!r}", node, "parameter timeout")


def _tensors() -> Cases:
    yield infer("no inputs", {}, "expected at least one input")
    yield infer("inputs as an object", {"inputs": {}}, "expected a list of objects as inputs")
    yield infer("an input without a name", tensor(name=None), "expected a name in each")
    yield infer("an input of another name", tensor(name="x"), "expected one input named 'image'")
    image = tensor()["inputs"][0]
    yield infer("an input twice", {"inputs": [image, image]}, "each name once among inputs")
    others = [{**image, "name": f"i{k}"} for k in range(65)]
    yield infer("65 inputs", {"inputs": others}, "at most 64 inputs")
    yield infer("two inputs", {"inputs": [image, others[0]]}, "expected one input named 'image'")
    for datatype in ("FP128", "BF16", "uint8", "", 8, None, ["UINT8"]):
        yield infer(f"datatype {datatype!r}", tensor(datatype=datatype), "expected a datatype of")
    for datatype in ("BOOL", "INT8", "UINT16", "INT64", "FP64"):
        data = [True] * 12 if datatype == "BOOL" else [0] * 12
        node = tensor(datatype=datatype, data=data)
        yield infer(f"pixels as {datatype}", node, "as BYTES, UINT8 or FP32")
    yield infer("FP16 in JSON", tensor(datatype="FP16"), "expected FP16 data of 'image' as binary")
    for value in (-1, 256, 10**30, 0.5, True, "0", None, [0], {}):
        node = tensor(data=[value] + [0] * 11)
        words = "range of UINT8" if type(value) is int else "got "
        yield infer(f"the byte {value!r}", node, words)
    for text in (b"1e400", b"-1e400", b"1e39"):
        node = json.dumps(tensor(datatype="FP32")).encode().replace(b"[0, ", b"[" + text + b", ")
        yield infer(f"FP32 {text.decode()}", node, "range of FP32")
    yield infer("data as text", tensor(data="0" * 12), "expected a list as data")


def _shapes() -> Cases:
    for shape in (None, [], "4", 12, [1] * 9, [-1], [0], [12.0], [True], ["12"], [None]):
        yield infer(f"shape {shape!r}", tensor(shape=shape), "expected a shape of")
    yield infer("2⁶² elements", tensor(shape=[2**31, 2**31]), "elements for 'image'")
    yield infer("more than 2⁶³ elements", tensor(shape=[2**62, 4]), "elements for 'image'")
    yield infer("a size of 2⁶⁴", tensor(shape=[2**64]), "elements for 'image'")
    yield infer("a number too few", tensor(data=[0] * 11), "expected 12 elements")
    yield infer("a number too many", tensor(data=[0] * 13), "expected 12 elements")
    yield infer("nested otherwise", tensor(data=[[0] * 6, [0] * 6]), "expected 12 elements")
    for shape in ([1, 3, 2, 2], [12], [2, 2, 3], [1, 1, 2, 2, 3], [1, 2, 3, 2]):
        yield infer(f"pixels {shape}", tensor(shape=shape), "pixels of shape [N, H, W, 3]")


def _binary() -> Cases:
    image = {"name": "image", "shape": [1], "datatype": "BYTES"}

    def node(**parameters: Any) -> dict[str, Any]:
        return {"inputs": [{**image, "parameters": parameters}]}

    element = len(a_file()).to_bytes(4, "little") + a_file()
    size = len(element)
    for wrong in (-1, 0.5, True, "7", 2**63):
        bad = node(binary_data_size=wrong)
        yield infer(f"binary_data_size {wrong!r}", bad, "parameter binary_data_size", tail=element)
    yield infer("a size too large", node(binary_data_size=size + 1), "binary data", tail=element)
    yield infer("no size", node(), "either data or binary_data_size", tail=element)
    yield infer("bytes behind", node(binary_data_size=size), "must add up", tail=element + b"x")
    short = node(binary_data_size=size - 1)
    yield infer("an element that ends early", short, "got the end of the data", tail=element[:-1])
    past = (2**32 - 1).to_bytes(4, "little") + b"x"
    yield infer("a prefix past the end", node(binary_data_size=5), "got the end", tail=past)
    yield infer("half a prefix", node(binary_data_size=2), "got the end of", tail=b"\x05\0")
    twice = node(binary_data_size=2 * size)
    yield infer("an element too many", twice, "expected 1 BYTES elements", tail=element * 2)
    nothing = node(binary_data_size=4)
    yield infer("an element of no bytes", nothing, "got no bytes", tail=bytes(4))
    both = tensor(parameters={"binary_data_size": 12})
    yield infer("data twice", both, "got both or none", tail=bytes(12))
    flags = {"inputs": [{"name": "image", "shape": [12], "datatype": "BOOL",
                         "parameters": {"binary_data_size": 12}}]}  # fmt: skip
    yield infer("a BOOL of 2", flags, "expected bytes of 0 and 1", tail=b"\2" * 12)


def _lengths() -> Cases:
    body = json.dumps(files(a_file())).encode()
    for value in (str(len(body) + 1), str(2**31), str(2**63), "9" * 400):
        yield BadRequest(f"header length {value:.20}", INFER, body, 400, LENGTH, ((LENGTH, value),))
    for value in ("-1", "x", "0x10", "1.0", "1e3", "1_0", "+5", "5 5"):
        yield BadRequest(f"header length {value}", INFER, body, 400, LENGTH, ((LENGTH, value),))
    twice = ((LENGTH, str(len(body))), (LENGTH, str(len(body))))
    yield BadRequest("the header length twice", INFER, body, 400, "once, got it 2 times", twice)
    yield BadRequest("half of the JSON", INFER, body, 400, "cannot be read", ((LENGTH, "9"),))
    yield BadRequest("a raw request of nothing", INFER, b"", 400, "empty body", ((LENGTH, "0"),))
    yield BadRequest("raw noise", INFER, b"noise", 400, "one of JPEG", ((LENGTH, "0"),))


def _images() -> Cases:
    def texts(*data: Any, **more: Any) -> dict[str, Any]:
        image = {"name": "image", "shape": [len(data)], "datatype": "BYTES", "data": list(data)}
        return {"inputs": [{**image, **more}]}

    base64_ = {"content_type": "base64"}
    yield infer("no base64", texts("a b", parameters=base64_), "expected base64")
    yield infer("not ASCII", texts("\u00e9", parameters=base64_), "expected base64")
    yield infer("half a surrogate", texts("\ud800", parameters=base64_), "half a surrogate")
    yield infer("undeclared text", texts("aGk="), "got no content_type")
    other = texts("aGk=", parameters={"content_type": "hex"})
    yield infer("another content type", other, "expected content_type 'base64' or none")
    yield infer("numbers as files", texts(1, parameters=base64_), "expected strings as BYTES")
    yield infer("files of rank 3", texts("aGk=", shape=[1, 1, 1], parameters=base64_), "[N] or [N,")
    yield infer("65 files", files(*[b"x"] * 65), "at most 64 images")
    yield infer("only bad files", files(b"no", b"nor this"), "expected one of JPEG, PNG, WEBP")


def _outputs() -> Cases:
    def asked(*outputs: Any) -> dict[str, Any]:
        return files(a_file(), outputs=list(outputs))

    label = {"name": "label", "parameters": {"classification": 1}}
    yield infer("an unknown output", asked({"name": "logits"}), "expected outputs among action")
    yield infer("an output twice", asked(*[{"name": "label"}] * 2), "each name once among outputs")
    yield infer("outputs as text", files(a_file(), outputs="label"), "list of objects as outputs")
    yield infer("labels as classes", asked(label), "expected classification of an output")
    for wrong in (-1, 0.5, True, "3", 2**63):
        node = asked({"name": "label", "parameters": {"classification": wrong}})
        yield infer(f"classification {wrong!r}", node, "parameter classification")
    node = asked({"name": "label", "parameters": {"binary_data": 1}})
    yield infer("binary_data as a number", node, "parameter binary_data")


def _pixels() -> Cases:
    for value in (math.nan, math.inf, -math.inf, -0.01, 1.01, 255.0):
        pixels = np.full((1, 2, 2, 3), 0.5, dtype="<f4")
        pixels[0, 1, 1, 2] = value
        yield _floats(f"a pixel of {value}", pixels, "expected pixels in [0, 1]")
    nothing = np.full((2, 2, 2, 3), math.nan, dtype="<f4")
    yield _floats("nothing but NaN", nothing, "expected pixels in [0, 1]")
    for height, width in ((1, 101), (101, 1)):
        node = tensor(shape=[1, height, width, 3], data=[0] * 303)
        yield infer(f"pixels of {height}×{width}", node, "sides of a ratio of at most 100")
    node = tensor(shape=[1, 1, 16_385, 3], data=[0] * 49_155)
    yield infer("pixels of 1×16,385", node, "sides of 16384")


def _floats(name: str, pixels: np.ndarray, words: str) -> BadRequest:
    image = {"name": "image", "shape": list(pixels.shape), "datatype": "FP32"}
    node = {"inputs": [{**image, "parameters": {"binary_data_size": pixels.nbytes}}]}
    return infer(name, node, words, tail=pixels.tobytes())


def _packed() -> Cases:
    body = json.dumps(files(a_file())).encode()
    packed = gzip.compress(body)

    def sent(name: str, data: bytes, encoding: str, status: int, words: str) -> BadRequest:
        return BadRequest(name, INFER, data, status, words, (("Content-Encoding", encoding),))

    bomb = gzip.compress(bytes(1000 * MAX_BODY // 300), 9)
    yield sent("a gzip bomb", bomb, "gzip", 413, "when unpacked")
    yield sent("a deflate bomb", zlib.compress(bytes(10 * MAX_BODY), 9), "deflate", 413, "unpacked")
    yield sent("a bomb in a bomb", gzip.compress(bomb), "gzip", 400, "cannot be read as such")
    yield sent("no gzip", body, "gzip", 400, "cannot be unpacked")
    yield sent("no deflate", body, "deflate", 400, "cannot be unpacked")
    yield sent("half of it", packed[: len(packed) // 2], "gzip", 400, "expected a whole body")
    yield sent("bytes behind it", packed + b"x", "gzip", 400, "nothing after it")
    yield sent("two members", packed * 2, "gzip", 400, "nothing after it")
    wrong = packed[:-8] + bytes(4) + packed[-4:]
    yield sent("a wrong checksum", wrong, "gzip", 400, "cannot be unpacked")
    yield sent("an empty body", gzip.compress(b""), "gzip", 400, "empty body")
    for encoding in ("br", "zstd", "gzip, gzip", "gzip;q=1", "x"):
        yield sent(f"encoding {encoding}", packed, encoding, 415, "Content-Encoding, gzip or")
    yield BadRequest("a body too large", INFER, b" " * (MAX_BODY + 1), 413, "a body of at most")


def _native() -> Cases:
    path, good = "/v1/decide", a_file()

    def sent(name: str, body: bytes, status: int, words: str, **headers: str) -> BadRequest:
        named = tuple((key.replace("_", "-"), value) for key, value in headers.items())
        return BadRequest(name, path, body, status, words, named)

    png = {"Content_Type": "image/png"}
    yield sent("no bytes", b"", 400, "got an empty body", **png)
    yield sent("no type", good, 415, "got none")
    for kind in ("text/html", "image/svg+xml", "multipart/form-data; boundary=x", "image/*", ""):
        yield sent(f"type {kind!r}", good, 415, "expected a Content-Type", Content_Type=kind)
    for encoding in ("gzip", "br", "identity, gzip"):
        packed = {"Content_Type": "image/png", "Content_Encoding": encoding}
        yield sent(f"encoding {encoding}", gzip.compress(good), 415, "no Content-Enc", **packed)
    yield sent("too large", good + bytes(MAX_BODY), 413, "a body of at most", **png)
    yield sent("a length that is none", good, 400, "Content-Length", Content_Length="ten", **png)
    yield sent("a negative length", good, 400, "Content-Length", Content_Length="-1", **png)
    yield sent("a length too large", good, 413, "a body of", Content_Length="9" * 12, **png)


def _batches() -> Cases:
    def sent(name: str, body: Any, words: str) -> BadRequest:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = (("Content-Type", "application/json"),)
        return BadRequest(name, "/v1/decide/batch", text, 400, words, kind)

    yield sent("no batch", b"", "expected JSON")
    yield sent("a batch as a list", [], "expected a JSON object")
    yield sent("a deep batch", b"[" * 250_000, "nested at most 100 deep")
    yield sent("a key twice in a batch", b'{"images": [], "images": []}', "each key once")
    yield sent("NaN in a batch", b'{"images": NaN}', "expected finite numbers")
    yield sent("a batch of nothing", {"images": []}, 'expected {"images"')
    yield sent("a batch with more", {"images": ["aGk="], "url": "http://a"}, 'expected {"images"')
    yield sent("a batch of addresses", {"images": ["http://127.0.0.1/x.png"]}, "as base64")
    yield sent("a batch of 65", {"images": ["aGk="] * 65}, "at most 64 images")
