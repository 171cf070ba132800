"""The learning rate at its corners, Adam beside torch's own, the moving average, the state."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gatekeeper.errors import InputError, TrainingError
from gatekeeper.restorers.shared.optimising import Optimiser, one_cycle


def test_the_rate_rises_and_falls() -> None:
    assert one_cycle(0, steps=200, peak=1.0) == pytest.approx(1 / 25)
    assert one_cycle(15, steps=200, peak=1.0) == pytest.approx((1 / 25 + 1) / 2)
    assert one_cycle(30, steps=200, peak=1.0) == 1.0
    assert one_cycle(115, steps=200, peak=1.0) == pytest.approx((1 + 1e-3) / 2)
    assert one_cycle(200, steps=200, peak=1.0) == pytest.approx(1e-3)
    assert one_cycle(900, steps=200, peak=1.0) == pytest.approx(1e-3)
    assert one_cycle(0, steps=1, peak=1.0) == pytest.approx(1 / 25)


def line(value: float = 1.0) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def take(optimiser: Optimiser[nn.Linear], *layers: nn.Linear) -> None:
    optimiser.clear()
    total = torch.stack([(layer.weight**2).sum() for layer in layers]).sum()
    total.backward()
    optimiser.apply(total.item())


def test_steps_are_those_of_adam_at_the_rate_of_the_schedule() -> None:
    layer, beside, twin = line(), line(3.0), line()
    optimiser = Optimiser(
        layer, others={"beside": beside}, steps=8, learning_rate=0.1, ema_decay=0.9
    )
    adam = torch.optim.Adam(twin.parameters())
    for step in range(8):
        take(optimiser, layer, beside)
        adam.param_groups[0]["lr"] = one_cycle(step, steps=8, peak=0.1)
        adam.zero_grad()
        (twin.weight**2).sum().backward()
        adam.step()
    assert optimiser.steps_done == 8
    torch.testing.assert_close(layer.weight, twin.weight)
    assert beside.weight.item() < 3.0


def test_the_average_by_hand() -> None:
    layer = line()
    optimiser = Optimiser(layer, steps=10, learning_rate=0.1, ema_decay=0.2)
    expected = 1.0
    for decay in (2 / 11, 0.2, 0.2):  # (1 + step) / (10 + step), at most 0.2
        take(optimiser, layer)
        expected = decay * expected + (1 - decay) * layer.weight.item()
        assert optimiser.average.weight.item() == pytest.approx(expected)


def test_counters_of_a_network_are_copied_into_the_average() -> None:
    network = nn.Sequential(nn.BatchNorm2d(1))
    optimiser = Optimiser(network, steps=2, learning_rate=0.1, ema_decay=0.5)
    network(torch.rand(2, 1, 3, 3)).sum().backward()
    optimiser.apply(1.0)
    assert optimiser.average[0].num_batches_tracked.item() == 1


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_changes_nothing(loss: float) -> None:
    layer = line()
    optimiser = Optimiser(layer, steps=3, learning_rate=0.1, ema_decay=0.9)
    take(optimiser, layer)
    before = optimiser.state()
    (layer.weight**2).sum().backward()
    with pytest.raises(TrainingError, match="finite loss at step 2"):
        optimiser.apply(loss)
    after = optimiser.state()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_going_on_from_a_state_is_as_if_nothing_had_happened() -> None:
    layer = line()
    optimiser = Optimiser(layer, steps=9, learning_rate=0.1, ema_decay=0.9)
    for _ in range(4):
        take(optimiser, layer)
    kept = optimiser.state()
    other = line(7.0)
    resumed = Optimiser(other, steps=9, learning_rate=0.1, ema_decay=0.9)
    resumed.load_state(kept)
    for _ in range(5):
        take(optimiser, layer)
        take(resumed, other)
    ours, theirs = optimiser.state(), resumed.state()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert kept["steps_done"].item() == 4  # what was kept is a copy


def test_a_foreign_state_is_refused() -> None:
    optimiser = Optimiser(line(), steps=9, learning_rate=0.1, ema_decay=0.9)
    state = optimiser.state()
    with pytest.raises(InputError, match=r"differs in .* and 0 more"):
        optimiser.load_state({**state, "network.weight": torch.zeros(2, 2)})
    with pytest.raises(InputError, match="differs in denoiser"):
        optimiser.load_state({**state, "denoiser.weight": torch.zeros(1)})
