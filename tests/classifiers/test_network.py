"""The layer tap, pooling and devices."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from gatekeeper.classifiers.network import LayerTap, chosen_device, pooled
from gatekeeper.errors import InputError


def test_maps_are_averaged_and_vectors_are_copied():
    maps = torch.arange(8, dtype=torch.float64).reshape(1, 2, 2, 2)
    assert pooled(maps).tolist() == [[1.5, 5.5]]
    assert pooled(maps).dtype == torch.float32
    vector = torch.tensor([[1.0, 2.0]])
    copied = pooled(vector)
    vector.zero_()
    assert copied.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("value", [torch.ones(2, 3, 4), torch.ones(2), (torch.ones(2, 3),), None])
def test_other_layouts_are_not_guessed(value):
    assert pooled(value) is None


def test_maps_in_half_precision_are_averaged_in_full():
    maps = torch.full((1, 1, 100, 100), 1.0078125, dtype=torch.bfloat16)
    assert pooled(maps).item() == pytest.approx(1.0078125, abs=1e-6)


def test_a_tap_keeps_either_side_once():
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 3.0)
    nn.init.constant_(layer.bias, 1.0)
    before, after = LayerTap(layer, side="input"), LayerTap(layer, side="output")
    assert after.take() is None
    layer(torch.tensor([[2.0]]))
    assert before.take().tolist() == [[2.0]]
    assert after.take().tolist() == [[7.0]]
    assert after.take() is None


def test_each_thread_takes_what_its_own_pass_left():
    layer = nn.Identity()
    tap = LayerTap(layer, side="output")
    layer(torch.tensor([[1.0]]))
    with ThreadPoolExecutor(1) as other:
        assert other.submit(tap.take).result() is None
        other.submit(layer, torch.tensor([[2.0]])).result()
        assert tap.take().tolist() == [[1.0]]
        assert other.submit(tap.take).result().tolist() == [[2.0]]


def test_a_later_in_place_layer_does_not_change_what_was_tapped():
    first = nn.Linear(1, 1)
    nn.init.constant_(first.weight, -1.0)
    nn.init.constant_(first.bias, 0.0)
    tap = LayerTap(first, side="output")
    with torch.inference_mode():
        answer = nn.Sequential(first, nn.ReLU(inplace=True))(torch.tensor([[2.0]]))
    assert answer.tolist() == [[0.0]]
    assert tap.take().tolist() == [[-2.0]]


def test_the_device_is_the_one_asked_for_or_what_there_is(monkeypatch):
    assert chosen_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device(None) == torch.device("cpu")
    with pytest.raises(InputError, match="expected a CUDA device for 'cuda:1', got none"):
        chosen_device("cuda:1")
    with pytest.raises(InputError, match="got 'abacus'"):
        chosen_device("abacus")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen_device(None) == torch.device("cuda")
