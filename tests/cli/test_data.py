from __future__ import annotations

import json

import torch

from gatekeeper.classifiers import load_safetensors


def test_get_says_what_it_found(gatekeeper):
    done = gatekeeper("data", "get", "digits")
    assert done.code == 0
    assert done.out.startswith("digits: 5000 images of 28×28 px in 10 classes; ")


def test_get_as_json(gatekeeper):
    body = json.loads(gatekeeper("data", "get", "digits", "--json").out)
    assert (body["name"], body["n"], body["image_size"]) == ("digits", 5000, [28, 28])
    assert body["class_names"] == [str(digit) for digit in range(10)]
    assert set(body) == {"name", "n", "image_size", "class_names", "source", "licence"}


def test_foreign_weights_become_safetensors(gatekeeper, tmp_path):
    weights = {"layer.weight": torch.arange(6.0).reshape(2, 3)}
    torch.save({"state_dict": weights}, tmp_path / "net.pth")
    target = tmp_path / "net.safetensors"
    done = gatekeeper("data", "import-weights", tmp_path / "net.pth", target)
    assert done.code == 0, done.err
    assert done.out.startswith(f"wrote {target}; digest ")
    assert torch.equal(load_safetensors(target)["layer.weight"], weights["layer.weight"])


def test_weights_that_run_code_are_refused(gatekeeper, tmp_path):
    torch.save({"net": torch.nn.Linear(2, 2)}, tmp_path / "net.pth")
    done = gatekeeper("data", "import-weights", tmp_path / "net.pth", tmp_path / "o.safetensors")
    assert done.code == 2
    assert not (tmp_path / "o.safetensors").exists()
