"""Every kind of model that can be evaluated, and how arguments are read."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from gatekeeper.cli.subjects import common_image_size, open_all, subject_of
from gatekeeper.errors import InputError
from tests.upstream import LocalUpstream, serving

CLASSES = tuple("0123456789")
SEEN = 'mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\nsize = 8\nclass_names = ["a", "b"]'


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def an_onnx_recipe(folder: Path) -> Path:
    """The mean over rows and columns, of which the first two channels are the logits."""
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0),
        helper.make_node("Gather", ["m", "first"], ["logits"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
            helper.make_tensor("first", TensorProto.INT64, [2], [0, 1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "mean.onnx")
    return write(
        folder / "mean.toml",
        'name = "mean"\n[classifier]\nkind = "onnx"\n[classifier.options]\n'
        f'path = "mean.onnx"\n{SEEN}',
    )


def test_an_onnx_file_is_named_by_a_recipe_beside_it(tmp_path: Path) -> None:
    (opened,) = open_all([str(an_onnx_recipe(tmp_path))])
    subject = subject_of(opened, ("a", "b"))
    assert (subject.name, subject.fitted) == ("mean", None)
    images = torch.zeros(1, 3, 8, 8)
    images[0, 1] = 1.0
    # 0 and 1 become −1 and 1.
    assert subject.classifier.look(images).logits.tolist() == [[-1.0, 1.0]]


def test_a_shipped_record_is_named_by_a_recipe(tmp_path: Path) -> None:
    text = (
        'name = "cifar"\n[classifier]\nrecord = "resnet18-cifar10"\n[data]\nimage_size = [32, 32]'
    )
    (opened,) = open_all([f"mine={write(tmp_path / 'r.toml', text)}"])
    assert opened.name == "mine"
    assert common_image_size([opened]) == (32, 32)
    subject = subject_of(opened, CLASSES)
    assert len(subject.classifier.class_names) == 10
    assert subject.classifier.look(torch.zeros(1, 3, 32, 32)).logits.shape == (1, 10)


def test_an_equals_sign_in_a_path_is_no_name(tmp_path: Path) -> None:
    folder = tmp_path / "a=b"
    folder.mkdir()
    path = an_onnx_recipe(folder)
    (opened,) = open_all([str(path)])
    assert (opened.name, opened.source) == ("mean", str(path))
    (named,) = open_all([f"x={path}"])
    assert (named.name, named.source) == ("x", str(path))


def test_models_without_a_size_leave_images_as_they_are(tmp_path: Path) -> None:
    opened = open_all([str(an_onnx_recipe(tmp_path))])
    assert common_image_size(opened) is None


def test_a_model_behind_an_address_needs_no_file() -> None:
    with serving(LocalUpstream(datatype="BYTES")) as local:
        (opened,) = open_all([f"far=v2:{local.v2}#logits_output=logits&revision=7"])
        subject = subject_of(opened, ("dark", "bright"))
        assert (subject.name, opened.image_size) == ("far", None)
        images = torch.full((1, 3, 8, 8), 51 / 255)
        expected = torch.tensor([[0.6, -0.6]]).numpy()
        assert subject.classifier.look(images).logits == pytest.approx(expected, abs=1e-6)
        assert open_all([f"v2:{local.v2}"])[0].name == "net"
        with pytest.raises(InputError, match="got mean: write a recipe"):
            open_all([f"v2:{local.v2}#mean=0.5"])


def test_a_recipe_may_name_a_remote_classifier(tmp_path: Path) -> None:
    with serving(LocalUpstream()) as local:
        text = (
            'name = "far"\n[classifier]\nkind = "remote"\n[classifier.options]\n'
            f'url = "{local.url}/classify"\nprotocol = "http"\nanswer = "result.by_class"\n'
            'class_names = ["dark", "bright"]'
        )
        (opened,) = open_all([str(write(tmp_path / "far.toml", text))])
        subject = subject_of(opened, ("dark", "bright"))
        assert subject.classifier.look(torch.ones(2, 3, 8, 8)).logits.tolist() == [[-1, 1]] * 2
