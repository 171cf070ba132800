"""Forms of images and of answers that are not seen through a whole classifier."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gatekeeper.classifiers.answer_path import AnswerPath
from gatekeeper.classifiers.exchange import HttpExchange, check_send, pixels, png
from gatekeeper.classifiers.upstream import Reply, UpstreamAnswerError
from gatekeeper.errors import InputError
from tests.upstream import decoded


def test_pixels_are_rounded_not_cut() -> None:
    image = torch.tensor([0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 1.0005]).expand(3, 1, 5)[None]
    assert pixels(image)[0, 0, :, 0].tolist() == [0, 0, 1, 255, 255]
    assert pixels(image).shape == (1, 1, 5, 3)


def test_a_png_holds_the_pixels() -> None:
    image = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(decoded(png(image)), image.numpy(), atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize(
    ("protocol", "send", "sentence"),
    [("grpc", "png", "expected protocol v2 or http, got 'grpc'"),
     ("v2", "json", "send among tensor, pixels, png for protocol v2, got 'json'"),
     ("http", "tensor", "send among png, json for protocol http, got 'tensor'")],
)  # fmt: skip
def test_forms_that_a_protocol_has_not(protocol: str, send: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        check_send(protocol, send)


def rows(document: object, n: int = 1, answer: str = "p") -> np.ndarray:
    exchange = HttpExchange(
        send="png", request_field="", answer=AnswerPath(answer), class_names=("a", "b")
    )
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    values, features = exchange.rows(Reply(status=200, headers={}, body=body), n)
    assert features is None
    return values


def test_lists_and_objects_by_class() -> None:
    assert rows({"p": [1, 2.5]}).tolist() == [[1.0, 2.5]]
    assert rows({"p": {"b": 2, "a": 1, "c": 9}}).tolist() == [[1.0, 2.0]]
    assert rows({"p": [[1, 2], [3, 4]]}, 2, "p[*]").tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "document",
    [b"", b"<html>", b"[" * 100_000, {}, {"q": [1, 2]}, {"p": [1]}, {"p": [1, "2"]},
     {"p": [1, True]}, {"p": [1, None]}, {"p": {"a": 1}}, {"p": "12"}, [1, 2]],
)  # fmt: skip
def test_other_answers_are_refused(document: object) -> None:
    with pytest.raises(UpstreamAnswerError, match="2 numbers, one per class, at 'p'"):
        rows(document)


def test_a_row_too_few() -> None:
    with pytest.raises(UpstreamAnswerError, match=r"expected 2 rows at .* got 1"):
        rows({"p": [[1, 2]]}, 2, "p[*]")
