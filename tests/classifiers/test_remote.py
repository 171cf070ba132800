"""A classifier behind a real HTTP server on the loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatekeeper.classifiers import RemoteClassifier, build_classifier
from gatekeeper.classifiers.breaker import BreakerState
from gatekeeper.classifiers.remote import log_probabilities
from gatekeeper.classifiers.upstream import (
    UpstreamAnswerError,
    UpstreamDownError,
    UpstreamRefusedError,
)
from gatekeeper.errors import InputError
from tests.contracts.classifier import MEAN, STD, ClassifierContract
from tests.upstream import LocalUpstream, brightness, serving

NAMES = ("dark", "bright")
TENSOR = {"class_names": NAMES, "mean": (0, 0, 0), "std": (1, 1, 1), "size": (8, 8)}


def network(nudge: float) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        )
    with torch.no_grad():
        net[4].bias[0] += nudge
    return net.eval()


class TestRemote(ClassifierContract):
    """The network of the other contracts, behind V2; its revision stands for its weights."""

    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        self.net = network(0.0)

        def model(inputs: np.ndarray) -> np.ndarray:
            # Made beforehand: its seed is global, and requests come on several threads.
            with torch.inference_mode():
                return self.net(torch.from_numpy(inputs.copy())).numpy()

        with serving(LocalUpstream(model)) as self.local:
            yield

    def build(self, folder: Path, *, mean: Any = MEAN, nudge: float = 0.0) -> RemoteClassifier:
        self.net = network(nudge)
        return RemoteClassifier(
            self.local.v2, class_names=self.class_names, mean=mean, std=STD, size=12,
            revision=f"weights {nudge}",
        )  # fmt: skip

    def by_hand(self, inputs: Tensor) -> Tensor:
        return network(0.0)(inputs)


@pytest.fixture
def local() -> Iterator[LocalUpstream]:
    with serving(LocalUpstream()) as local:
        yield local


def flat(*values: float) -> Tensor:
    return torch.stack([torch.full((3, 8, 8), value) for value in values])


@pytest.mark.parametrize(
    ("datatype", "options"),
    [("FP32", {**TENSOR, "binary": False}), ("UINT8", {"send": "pixels"}),
     ("BYTES", {"send": "png"}), ("BYTES", {"send": "png", "binary": False})],
)  # fmt: skip
def test_every_form_of_v2(local: LocalUpstream, datatype: str, options: dict[str, Any]) -> None:
    local.datatype = datatype
    classifier = RemoteClassifier(local.v2, **{"class_names": NAMES, **options})
    levels = flat(51 / 255, 204 / 255)
    expected = brightness(levels.numpy())
    np.testing.assert_allclose(classifier.look(levels).logits, expected, atol=1e-5)
    assert local.count("/infer") == 2  # one for the example, one per batch
    assert (classifier.model_id, classifier.preprocessing is None) == ("net", "send" in options)


def test_features_come_in_the_same_answer(local: LocalUpstream) -> None:
    local.outputs = ("logits", "embedding")
    classifier = RemoteClassifier(
        local.v2, **TENSOR, logits_output="logits", features_output="embedding"
    )
    before = local.count("/infer")
    look = classifier.look(flat(0.2, 0.8))
    assert local.count("/infer") == before + 1
    np.testing.assert_array_equal(look.features, look.logits)


@pytest.mark.parametrize(
    "options",
    [{"answer": "result.by_class"},
     {"send": "json", "request_field": "instances", "answer": "predictions[*].scores"}],
)  # fmt: skip
def test_plain_http_by_a_mapping(local: LocalUpstream, options: dict[str, Any]) -> None:
    classifier = build_classifier(
        "remote", url=f"{local.url}/classify", protocol="http", class_names=NAMES, **options
    )
    values = [0.0, 0.2, 1.0, 0.4, 0.6]
    look = classifier.look(flat(*values))
    assert look.kind == "logits"
    expected = brightness(flat(*values).numpy())
    np.testing.assert_allclose(look.logits, expected, atol=1e-5)
    assert local.count("/classify") == 1 + (1 if "send" in options else 5)


def test_probabilities_become_log_probabilities(local: LocalUpstream) -> None:
    local.model = lambda inputs: np.tile([[0.75, 0.25]], (len(inputs), 1))
    classifier = RemoteClassifier(local.v2, **TENSOR, kind="probabilities")
    look = classifier.look(flat(0.1))
    assert look.kind == "log_probabilities"
    np.testing.assert_allclose(np.exp(look.logits), [[0.75, 0.25]], rtol=1e-6)
    local.model = brightness
    with pytest.raises(UpstreamAnswerError, match='declare kind = "logits"'):
        classifier.look(flat(0.1))


def test_certainty_stays_finite() -> None:
    told = log_probabilities(np.array([[1.0, 0.0], [0.5, 0.497]]))
    np.testing.assert_allclose(np.exp(told), [[1, 0], [0.5 / 0.997, 0.497 / 0.997]], atol=1e-7)
    assert np.isfinite(told).all()
    for wrong in ([[0.5, 0.4]], [[1.5, -0.5]], [[float("nan"), 1.0]]):
        with pytest.raises(InputError, match="sum to 1"):
            log_probabilities(np.array(wrong))


@pytest.mark.parametrize(
    ("fault", "error"),
    [("500", UpstreamDownError), ("garbage", UpstreamAnswerError), ("short", UpstreamAnswerError),
     ("drop", UpstreamDownError), ("404", UpstreamRefusedError)],
)  # fmt: skip
def test_a_failing_upstream_opens_the_breaker(
    local: LocalUpstream, fault: str, error: type[Exception]
) -> None:
    classifier = RemoteClassifier(local.v2, **TENSOR, breaker_failures=2)
    local.fault = fault
    for _ in range(2):
        with pytest.raises(error):
            classifier.look(flat(0.1, 0.9))
    asked = len(local.seen)
    state = classifier.upstream.breaker.state
    if fault == "404":  # the upstream works: it is our request that it does not like
        assert state is BreakerState.CLOSED
        return
    assert state is BreakerState.OPEN
    with pytest.raises(UpstreamDownError, match="left alone"):
        classifier.look(flat(0.1))
    assert len(local.seen) == asked


def test_the_address_is_not_the_model(local: LocalUpstream) -> None:
    def digest(upstream: LocalUpstream, **more: Any) -> str:
        return RemoteClassifier(upstream.v2, **TENSOR, **more).digest

    with serving(LocalUpstream()) as moved:
        assert digest(local) == digest(moved)
    assert len({digest(local), digest(local, revision="2"), digest(local, model_id="b")}) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"class_names": NAMES}, 'expected size, mean and std for send = "tensor", got no size'),
     ({**TENSOR, "send": "png"}, "where the upstream has its own"),
     ({**TENSOR, "kind": "odds"}, "expected kind among logits"),
     ({**TENSOR, "concurrency": 0}, "concurrency of at least 1"),
     ({"class_names": NAMES, "protocol": "http", "answer": "a[*]"}, r"without \[\*\]"),
     ({"class_names": NAMES, "protocol": "http", "send": "json"}, r"with \[\*\]"),
     ({**TENSOR, "class_names": ("one",)}, "class names")],
)  # fmt: skip
def test_options_that_cannot_be_meant(
    local: LocalUpstream, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        RemoteClassifier(local.v2, **options)


def test_names_that_the_model_leaves_open_are_asked_for(local: LocalUpstream) -> None:
    local.outputs = ("a", "b")
    with pytest.raises(InputError, match=r"logits_output, because .* exactly one output but a, b"):
        RemoteClassifier(local.v2, **TENSOR)
    assert RemoteClassifier(local.v2, **TENSOR, logits_output="b").class_names == NAMES
    local.fault = "garbage"
    with pytest.raises(UpstreamAnswerError, match="expected the metadata of a model"):
        RemoteClassifier(local.v2, **TENSOR)
