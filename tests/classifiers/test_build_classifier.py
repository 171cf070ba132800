"""The mapping of kinds, its errors, and what naming a classifier costs."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
import torch
from torch import nn

import gatekeeper.classifiers
from gatekeeper.classifiers import CLASSIFIERS, build_classifier
from gatekeeper.classifiers.module import ModuleClassifier
from gatekeeper.errors import DataError, InputError

OPTIONS = {"class_names": ["ant", "bee"], "mean": [0, 0, 0], "std": [1, 1, 1], "size": 2}


def test_every_kind_leads_to_a_classifier_class():
    assert list(CLASSIFIERS) == sorted(CLASSIFIERS)
    for home, name in (spec.split(":") for spec in CLASSIFIERS.values()):
        found = getattr(import_module(home), name)
        assert getattr(gatekeeper.classifiers, name) is found
        assert callable(found.look)


def test_a_classifier_is_built_from_a_recipes_options():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    built = build_classifier("module", module=network, **OPTIONS)
    assert isinstance(built, ModuleClassifier)
    assert built.class_names == ("ant", "bee")
    assert built.look(torch.rand(3, 3, 2, 2)).logits.shape == (3, 2)


def test_what_the_logits_hold_is_an_option_like_any_other(tmp_path):
    # The class is reached, and it is the file that is missing.
    with pytest.raises(DataError, match=r"none\.onnx"):
        build_classifier("onnx", path=tmp_path / "none.onnx", kind="log_probabilities", **OPTIONS)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("tim", {}, "among module, onnx, remote, timm, got 'tim'; did you mean timm"),
        ("qqq", {}, "got 'qqq'$"),
        ("module", {"module": "a:b", "clas_names": []}, "got 'clas_names'; did you mean class_na"),
        ("module", {"module": "a:b"}, "also needs class_names, mean, std, size"),
        ("timm", {"name": "resnet18", "class_names": ["a", "b"]}, "also needs checkpoint"),
    ],
)
def test_wrong_kinds_and_options_are_refused(kind, options, message):
    with pytest.raises(InputError, match=message):
        build_classifier(kind, **options)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'TimmClassifierr'"):
        gatekeeper.classifiers.TimmClassifierr  # noqa: B018  # the access is what is tested


def test_naming_costs_nothing_and_a_kind_pulls_in_its_own_library_only():
    code = (
        "import sys\n"
        "def heavy(): return [n for n in ('onnxruntime', 'timm', 'torch') if n in sys.modules]\n"
        "import gatekeeper.classifiers as c; print(heavy())\n"
        "c.ModuleClassifier; c.OnnxClassifier; print(heavy())\n"
        "c.TimmClassifier; print(heavy())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['torch']", "['timm', 'torch']"]
