"""The Open Inference Protocol (V2), as pure functions: bytes and dicts in, typed values out."""

from __future__ import annotations

from gatekeeper.wire.datatypes import BYTES, NUMERIC
from gatekeeper.wire.images import INPUT, EncodedImages, PixelImages, decode_base64, images_of
from gatekeeper.wire.json_text import MAX_DEPTH, parse_object
from gatekeeper.wire.metadata import (
    EXTENSIONS,
    VARIABLE,
    TensorSpec,
    model_metadata,
    server_metadata,
)
from gatekeeper.wire.problems import WireError
from gatekeeper.wire.requests import HEADER_LENGTH, InferRequest, RequestedOutput, parse_infer
from gatekeeper.wire.responses import Answer, classify, encode_answer, error_body
from gatekeeper.wire.tensors import WireTensor, join_bytes, numbers, split_bytes, texts

__all__ = [
    "BYTES",
    "EXTENSIONS",
    "HEADER_LENGTH",
    "INPUT",
    "MAX_DEPTH",
    "NUMERIC",
    "VARIABLE",
    "Answer",
    "EncodedImages",
    "InferRequest",
    "PixelImages",
    "RequestedOutput",
    "TensorSpec",
    "WireError",
    "WireTensor",
    "classify",
    "decode_base64",
    "encode_answer",
    "error_body",
    "images_of",
    "join_bytes",
    "model_metadata",
    "numbers",
    "parse_infer",
    "parse_object",
    "server_metadata",
    "split_bytes",
    "texts",
]
