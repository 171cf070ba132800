"""Images to the requests that an upstream classifier takes, and its answers to numbers."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gatekeeper.classifiers.answer_path import AnswerPath
from gatekeeper.classifiers.preprocessing import Preprocessing
from gatekeeper.classifiers.upstream import Call, Reply, UpstreamAnswerError
from gatekeeper.classifiers.v2 import encoded, infer_call, read_answer
from gatekeeper.errors import InputError
from gatekeeper.types import FloatArray
from gatekeeper.wire import WireTensor, numbers

ProtocolName = Literal["v2", "http"]
Send = Literal["tensor", "pixels", "png", "json"]

_SENT_BY: dict[str, tuple[str, ...]] = {
    "v2": ("tensor", "pixels", "png"),
    "http": ("png", "json"),
}
_PNG = {"Content-Type": "image/png"}
_JSON = {"Content-Type": "application/json"}


class Exchange(Protocol):
    """How one kind of upstream is asked."""

    def calls(self, images: Tensor) -> list[tuple[Call, int]]:
        """Requests for images (B, 3, H, W), and how many images each carries, in order."""
        ...

    def rows(self, reply: Reply, n: int) -> tuple[FloatArray, FloatArray | None]:
        """The numbers (n, K), and features (n, F) or None, of an answer about n images.

        Raises:
            UpstreamAnswerError: it is not what was declared.
        """
        ...


def check_send(protocol: str, send: str) -> None:
    """Refuse a form that the protocol does not have.

    Raises:
        InputError: protocol or form is unknown, or they do not go together.
    """
    if protocol not in _SENT_BY:
        raise InputError(
            f"expected protocol {' or '.join(get_args(ProtocolName))}, got {protocol!r}: correct it"
        )
    if send not in _SENT_BY[protocol]:
        raise InputError(
            f"expected send among {', '.join(_SENT_BY[protocol])} for protocol {protocol}, got "
            f"{send!r}: correct it"
        )


def png(image: Tensor) -> bytes:
    """A PNG file of an image (3, H, W) in [0, 1], rounded to 8 bits."""
    out = io.BytesIO()
    Image.fromarray(pixels(image[None])[0]).save(out, format="PNG", compress_level=1)
    return out.getvalue()


def pixels(images: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Images (B, 3, H, W) in [0, 1] as 8-bit pixels (B, H, W, 3)."""
    levels = (images.clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())


@dataclass(frozen=True, slots=True, kw_only=True)
class V2Exchange:
    """One request of the Open Inference Protocol per batch.

    Attributes:
        send: ``tensor`` (FP32, normalised, (B, 3, *size)), ``pixels`` (UINT8, (B, H, W, 3)) or
            ``png`` (BYTES, (B,)).
        preprocessing: For ``tensor``; else None.
        input_name: Of the input.
        logits_output: Of the output with one number per class.
        features_output: Of the output with features, None for none.
        binary: Whether the upstream speaks the binary tensor extension.
    """

    send: Send
    preprocessing: Preprocessing | None
    input_name: str
    logits_output: str
    features_output: str | None
    binary: bool

    def calls(self, images: Tensor) -> list[tuple[Call, int]]:
        """See :class:`Exchange`."""
        wanted = [self.logits_output]
        if self.features_output is not None:
            wanted.append(self.features_output)
        call = infer_call([self.tensor(images)], wanted, binary=self.binary)
        return [(call, len(images))]

    def tensor(self, images: Tensor) -> WireTensor:
        """Images (B, 3, H, W) as the model's input."""
        if self.send == "png":
            return encoded(self.input_name, [png(image) for image in images])
        if self.send == "pixels":
            return numbers(self.input_name, "UINT8", pixels(images))
        if self.preprocessing is None:
            raise InputError('expected mean, std and size for send = "tensor", got none')
        with torch.inference_mode():
            inputs = self.preprocessing.apply(images.cpu()).contiguous().numpy()
        return numbers(self.input_name, "FP32", inputs)

    def rows(self, reply: Reply, n: int) -> tuple[FloatArray, FloatArray | None]:
        """See :class:`Exchange`."""
        tensors = read_answer(reply)
        values = _table(tensors, self.logits_output, n)
        if self.features_output is None:
            return values, None
        return values, _table(tensors, self.features_output, n)


def _table(tensors: Mapping[str, WireTensor], name: str, n: int) -> FloatArray:
    if name not in tensors:
        raise UpstreamAnswerError(
            f"expected the output {name!r}, got {', '.join(tensors) or 'none'}: declare another"
        )
    elements = tensors[name].elements
    if isinstance(elements, tuple) or len(elements) != n:
        raise UpstreamAnswerError(
            f"expected {n} rows of numbers as {name!r}, got {tensors[name].datatype} of shape "
            f"{list(tensors[name].shape)}"
        )
    return np.asarray(elements, dtype=np.float32).reshape(n, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpExchange:
    """Plain HTTP with a JSON answer.

    Attributes:
        send: ``png`` (one file per request, as the body) or ``json`` (base64 of all files).
        request_field: For ``json``: the key of their list.
        answer: Where the numbers lie: a list of K numbers, or an object by class name, per image.
        class_names: Length K.
    """

    send: Send
    request_field: str
    answer: AnswerPath
    class_names: tuple[str, ...]

    def calls(self, images: Tensor) -> list[tuple[Call, int]]:
        """See :class:`Exchange`."""
        files = [png(image) for image in images]
        if self.send == "png":
            return [(Call(body=file, headers=_PNG), 1) for file in files]
        texts = [base64.b64encode(file).decode() for file in files]
        body = json.dumps({self.request_field: texts}).encode()
        return [(Call(body=body, headers=_JSON), len(images))]

    def rows(self, reply: Reply, n: int) -> tuple[FloatArray, FloatArray | None]:
        """See :class:`Exchange`."""
        try:
            found = self.answer.find(json.loads(reply.body))
            values = [self._row(each) for each in found]
        except (ValueError, RecursionError, LookupError) as error:
            raise self._misfit() from error
        if len(values) != n:
            raise UpstreamAnswerError(
                f"expected {n} rows at {self.answer.text!r} of the answer, got {len(values)}"
            )
        return np.array(values, dtype=np.float32), None

    def _row(self, node: object) -> Sequence[float]:
        if isinstance(node, dict):
            node = [node[name] for name in self.class_names]
        fits = isinstance(node, list) and len(node) == len(self.class_names)
        if not isinstance(node, list) or not fits or any(type(x) not in (int, float) for x in node):
            raise self._misfit()
        return node

    def _misfit(self) -> UpstreamAnswerError:
        return UpstreamAnswerError(
            f"expected {len(self.class_names)} numbers, one per class, at {self.answer.text!r} of "
            "a JSON answer, got another answer: correct the mapping"
        )
