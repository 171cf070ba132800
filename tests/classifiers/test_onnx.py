"""ONNX networks against the same network in torch."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from gatekeeper.classifiers.onnx import OnnxClassifier
from gatekeeper.errors import DataError, InputError
from tests.contracts.classifier import MEAN, STD, ClassifierContract

NAMES = ("ant", "bee", "cat")
PLAIN = {"class_names": NAMES, "mean": (0, 0, 0), "std": (1, 1, 1), "size": (12, 12)}


def reference() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=True),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 3),
        ).eval()


def model(*, batch="n", inputs=None, nudge=0.0, outputs=("logits", "maps", "tokens")):
    """The reference as a graph of its own, written node by node."""
    net = reference()
    weights = {
        "w": net[0].weight,
        "b": net[0].bias,
        "v": net[4].weight,
        "c": net[4].bias + torch.tensor([nudge, 0, 0]),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["vector"]),
        helper.make_node("Gemm", ["vector", "v", "c"], ["logits"], transB=1),
        helper.make_node("LogSoftmax", ["logits"], ["log_probabilities"]),
        helper.make_node("ReduceMean", ["maps"], ["tokens"], axes=[3], keepdims=0),
    ]
    shapes = {
        "logits": [batch, 3],
        "log_probabilities": [batch, 3],
        "maps": [batch, 4, 10, 10],
        "vector": [batch, 4],
        "tokens": [batch, 4, 10],
    }
    inputs = inputs or {"image": (TensorProto.FLOAT, [batch, 3, 12, 12])}
    graph = helper.make_graph(
        nodes,
        "reference",
        [helper.make_tensor_value_info(name, *what) for name, what in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
        [numpy_helper.from_array(t.detach().numpy(), name) for name, t in weights.items()],
    )
    # The oldest format that these operators need: a fixed one, whatever package writes it.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def stored(folder, name="net.onnx", **options):
    path = folder / name
    onnx.save(model(**options), path)
    return path


class TestOnnx(ClassifierContract):
    n_features = 4

    def build(self, folder, *, mean=MEAN, nudge=0.0):
        return OnnxClassifier(
            stored(folder, nudge=nudge),
            class_names=NAMES,
            mean=mean,
            std=STD,
            size=12,
            logits_output="logits",
            features_output="maps",
        )

    def by_hand(self, inputs):
        return reference()(inputs)

    def test_features_are_the_maps_mean(self, classifier, images):
        mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
        with torch.inference_mode():
            expected = reference()[:2]((images - mean) / std).mean((2, 3)).numpy()
        np.testing.assert_allclose(classifier.look(images).features, expected, atol=1e-5)


class TestOnnxForOneImage(ClassifierContract):
    """Exported with a batch of exactly one, and with a single output."""

    def build(self, folder, *, mean=MEAN, nudge=0.0):
        path = stored(folder, batch=1, nudge=nudge, outputs=("logits",))
        return OnnxClassifier(path, class_names=NAMES, mean=mean, std=STD, size=12)

    def by_hand(self, inputs):
        return reference()(inputs)


def test_vectors_are_features_as_they_are(tmp_path):
    path = stored(tmp_path, outputs=("logits", "vector", "maps"))
    images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    options = {**PLAIN, "logits_output": "logits"}
    vector = OnnxClassifier(path, **options, features_output="vector")
    maps = OnnxClassifier(path, **options, features_output="maps")
    np.testing.assert_allclose(vector.look(images).features, maps.look(images).features, atol=1e-6)
    assert vector.digest != maps.digest


def test_log_probabilities_are_declared_and_checked(tmp_path):
    path = stored(tmp_path, outputs=("log_probabilities", "logits"))
    images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    look = OnnxClassifier(
        path, **PLAIN, logits_output="log_probabilities", kind="log_probabilities"
    ).look(images)
    assert look.kind == "log_probabilities"
    with torch.inference_mode():
        expected = reference()(images).log_softmax(1).numpy()
    np.testing.assert_allclose(look.logits, expected, atol=1e-5)
    with pytest.raises(InputError, match='declare kind = "logits"'):
        OnnxClassifier(path, **PLAIN, logits_output="logits", kind="log_probabilities")
    with pytest.raises(InputError, match="kind logits or log_probabilities, got 'probabilities'"):
        OnnxClassifier(path, **PLAIN, logits_output="logits", kind="probabilities")


def test_the_name_is_the_files(tmp_path):
    path = stored(tmp_path, "wolf.onnx", outputs=("logits",))
    assert OnnxClassifier(path, **PLAIN).model_id == "wolf"
    assert OnnxClassifier(path, **PLAIN, model_id="fox").model_id == "fox"


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        ({}, {}, "logits_output to say which output holds the logits, got logits, maps, tokens"),
        ({}, {"logits_output": "logit"}, "outputs among logits, maps, tokens, got logit:"),
        ({}, {"logits_output": "logits", "features_output": "pool"}, "got pool: declare"),
        ({}, {"logits_output": "maps"}, r"'maps' of shape \(B, 3\)"),
        (
            {},
            {"logits_output": "logits", "features_output": "tokens"},
            r"features of shape \(1, F\), got \(1, 4, 10\)",
        ),
        (
            {"outputs": ("logits",)},
            {"class_names": (*NAMES, "dog")},
            r"'logits' of shape \(B, 4\), one column per class name",
        ),
        ({"outputs": ("logits",)}, {"size": 16}, r"takes \(B, 3, 16, 16\)"),
        ({"outputs": ("logits",), "batch": 4}, {}, r"with B free or 1, got \[4, 3, 12, 12\]"),
        ({"outputs": ("logits",)}, {"device": "cuda"}, "that this onnxruntime offers, got 'cuda'"),
        ({"outputs": ("logits",)}, {"device": "abacus"}, "got 'abacus'"),
        (
            {
                "outputs": ("logits",),
                "inputs": {
                    "image": (TensorProto.FLOAT, ["n", 3, 12, 12]),
                    "mask": (TensorProto.FLOAT, ["n", 1]),
                },
            },
            {},
            r"one float32 input \(B, 3, H, W\), got image .*, mask ",
        ),
    ],
)
def test_networks_that_do_not_fit_are_refused(build, options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        OnnxClassifier(stored(tmp_path, **build), **{**PLAIN, **options})


def test_what_is_no_network_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        OnnxClassifier(tmp_path / "net.onnx", **PLAIN)
    (tmp_path / "net.onnx").write_bytes(b"garbage")
    with pytest.raises(InputError, match=r"got net.onnx, which onnxruntime refuses"):
        OnnxClassifier(tmp_path / "net.onnx", **PLAIN)


def test_weights_outside_the_file_are_refused_even_in_the_current_folder(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["pool"]),
            helper.make_node("Flatten", ["pool"], ["vector"]),
            helper.make_node("MatMul", ["vector", "w"], ["logits"]),
        ],
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 12, 12])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")],
    )
    linear = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(linear, path)
    OnnxClassifier(path, **PLAIN)
    onnx.save(linear, path, save_as_external_data=True, location="net.data", size_threshold=0)
    monkeypatch.chdir(tmp_path)
    # Left to itself, onnxruntime would take the weights from the current folder.
    onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    with pytest.raises(InputError, match="export it again without external data"):
        OnnxClassifier(path, **PLAIN)


def test_without_onnxruntime_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"install `vision-gatekeeper\[onnx\]`"):
        OnnxClassifier(stored(tmp_path, outputs=("logits",)), **PLAIN)
