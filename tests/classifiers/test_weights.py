"""Weights: round trips, digests, and a door that executes nothing."""

from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from gatekeeper.classifiers.weights import (
    import_weights,
    load_into,
    load_safetensors,
    save_safetensors,
    state_digest,
)
from gatekeeper.errors import DataError, InputError


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return {
        "b.bias": torch.tensor([1.0, -2.0]),
        "a.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
        "n": torch.tensor(7),
        "half": torch.tensor([0.5], dtype=torch.bfloat16),
        "empty": torch.zeros(0, 3),
    }


def test_round_trip_is_exact(state, tmp_path):
    save_safetensors(state, tmp_path / "w.safetensors")
    loaded = load_safetensors(tmp_path / "w.safetensors")
    assert loaded.keys() == state.keys()
    for name, tensor in state.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    assert state_digest(loaded) == state_digest(state)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_the_same_tensors_give_the_same_bytes(state, tmp_path):
    save_safetensors(state, tmp_path / "one.safetensors")
    save_safetensors(dict(reversed(state.items())), tmp_path / "two.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (
        tmp_path / "two.safetensors"
    ).read_bytes()


def test_tied_and_channels_last_weights_are_written(tmp_path):
    weight = torch.rand(2, 3, 4, 4)
    tied = {"a": weight, "b": weight, "c": weight.to(memory_format=torch.channels_last)}
    save_safetensors(tied, tmp_path / "w.safetensors")
    for tensor in load_safetensors(tmp_path / "w.safetensors").values():
        assert torch.equal(tensor, weight)


def test_digest_sees_name_type_shape_and_every_value(state):
    digest = state_digest(state)
    assert state_digest(dict(reversed(state.items()))) == digest
    changed = [
        {**state, "b.bias": torch.tensor([1.0, -2.0000002])},
        {**state, "b.bias": torch.tensor([[1.0, -2.0]])},
        {**state, "b.bias": torch.tensor([1.0, -2.0]).view(torch.int32)},  # the same bytes
        {("c.bias" if name == "b.bias" else name): value for name, value in state.items()},
        {name: value for name, value in state.items() if name != "empty"},
    ]
    assert len({digest, *map(state_digest, changed)}) == 6


def test_digest_does_not_depend_on_memory_layout():
    weight = torch.rand(2, 3, 4, 4)
    other = weight.to(memory_format=torch.channels_last)
    assert state_digest({"w": weight}) == state_digest({"w": other})


def test_loading_into_a_module_by_value(tmp_path):
    module = nn.Linear(3, 2)
    wanted = {"weight": torch.ones(2, 3), "bias": torch.tensor([0.0, 5.0])}
    save_safetensors(wanted, tmp_path / "w.safetensors")
    load_into(module, tmp_path / "w.safetensors")
    assert module(torch.ones(1, 3)).tolist() == [[3.0, 8.0]]


def test_what_does_not_fit_is_listed_and_nothing_is_loaded(tmp_path):
    module = nn.Linear(3, 2)
    before = state_digest(module.state_dict())
    wrong = {"weight": torch.ones(4, 3), "extra": torch.ones(1)}
    save_safetensors(wrong, tmp_path / "w.safetensors")
    message = (
        r"got w.safetensors with missing: bias; unexpected: extra; "
        r"of another shape: weight \(4, 3\) instead of \(2, 3\): check"
    )
    with pytest.raises(InputError, match=message):
        load_into(module, tmp_path / "w.safetensors")
    assert state_digest(module.state_dict()) == before


def test_long_lists_are_cut(tmp_path):
    save_safetensors({f"x{i}": torch.ones(1) for i in range(9)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="unexpected: x0, x1, x2, x3, x4 and 4 more"):
        load_into(nn.Identity(), tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.bin", "w.ckpt", "w"])
def test_other_formats_are_not_read(name, tmp_path):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(InputError, match=rf"`gatekeeper data import-weights {name} w.safetensors`"):
        load_safetensors(tmp_path / name)


def test_missing_and_damaged_files_are_told(state, tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(DataError, match="no such file"):
        load_safetensors(path)
    save_safetensors(state, path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="damaged"):
        load_safetensors(path)


def test_saving_under_another_ending_is_refused(state, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.safetensors, got w\.pth"):
        save_safetensors(state, tmp_path / "w.pth")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda state: {"model": state, "arch": "resnet"},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {"model": "resnet", "state_dict": state},
    ],
    ids=["plain", "state_dict", "model", "both", "parallel", "named"],
)
def test_foreign_weights_are_imported_by_value(wrap, state, tmp_path):
    torch.save(wrap(state), tmp_path / "w.pth")
    digest = import_weights(tmp_path / "w.pth", tmp_path / "w.safetensors")
    assert digest == state_digest(state)
    assert state_digest(load_safetensors(tmp_path / "w.safetensors")) == digest


def test_a_prefix_that_is_not_on_every_name_stays(tmp_path):
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "w.pth")
    import_weights(tmp_path / "w.pth", tmp_path / "w.safetensors")
    assert set(load_safetensors(tmp_path / "w.safetensors")) == {"module.a", "b"}


class Evil:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("legacy", [False, True], ids=["torch.save", "bare pickle"])
def test_a_malicious_file_is_refused_and_not_executed(legacy, tmp_path):
    victim = tmp_path / "executed"
    source = tmp_path / "w.pth"
    content = {"state_dict": {"weight": torch.ones(1)}, "epoch": Evil(victim)}
    if legacy:
        source.write_bytes(pickle.dumps({"epoch": Evil(victim)}))
    else:
        torch.save(content, source)
    with pytest.raises(InputError, match="nothing of it was executed") as caught:
        import_weights(source, tmp_path / "w.safetensors")
    assert not victim.exists()
    assert not (tmp_path / "w.safetensors").exists()
    assert "weights_only" not in str(caught.value)  # torch's advice to unlock the door

    # The file is live: read without protection it does what it was made for.
    if legacy:
        pickle.loads(source.read_bytes())  # noqa: S301
    else:
        torch.load(source, weights_only=False)
    assert victim.exists()


def test_the_refused_part_is_named(tmp_path):
    torch.save({"state_dict": {}, "args": argparse.Namespace(lr=0.1)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"got w.pth with something else \(argparse.Namespace\)"):
        import_weights(tmp_path / "w.pth", tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04broken", b"\x80\x02."])
def test_garbage_is_refused(content, tmp_path):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(InputError, match="file of plain tensors"):
        import_weights(tmp_path / "w.pth", tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "got list"),
        (torch.ones(1), "got Tensor"),
        ({}, "got an empty one"),
        ({"state_dict": {}}, "got an empty one"),
        ({"a": torch.ones(1), "epoch": 3}, "got also epoch"),
        ({0: torch.ones(1)}, "got also 0"),
        pytest.param(
            {"a": torch.eye(2).to_sparse()},
            "only named dense tensors .* got also a",
            marks=pytest.mark.filterwarnings("ignore:Validating sparse tensor"),
        ),
        (
            {"state_dict": {"a": torch.ones(1)}, "model": {"a": torch.zeros(1)}},
            "got state_dict and model",
        ),
    ],
)
def test_what_is_not_one_state_dict_is_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=message):
        import_weights(tmp_path / "w.pth", tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()


def test_import_needs_a_source_and_a_new_safetensors_target(state, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        import_weights(tmp_path / "absent.pth", tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        import_weights(tmp_path / "w.pth", tmp_path / "w.onnx")
    (tmp_path / "w.safetensors").write_bytes(b"precious")
    with pytest.raises(InputError, match="which exists"):
        import_weights(tmp_path / "w.pth", tmp_path / "w.safetensors")
    assert (tmp_path / "w.safetensors").read_bytes() == b"precious"
