"""A kept state is that of this very training, or it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gatekeeper.classifiers import save_safetensors
from gatekeeper.errors import InputError
from gatekeeper.training.checkpoint import Checkpoint

MINE, THEIRS = bytes(range(32)), bytes(32)


class Counting:
    """A training whose whole state is one number."""

    def __init__(self, value: float) -> None:
        self.value = torch.tensor(value)

    def state(self) -> dict[str, Tensor]:
        return {"value": self.value}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        assert set(state) == {"value"}
        self.value = state["value"]


def test_state_and_number_of_steps_come_back(tmp_path: Path) -> None:
    path, other = tmp_path / "c.safetensors", Counting(0.0)
    kept = Checkpoint(path, MINE)
    assert kept.said() == "nothing was kept yet"
    assert kept.load(other) == 0
    kept.save(Counting(2.5), 40)
    assert kept.said() == f"the state after step 40 is kept in {path}"
    again = Checkpoint(path, MINE)
    assert again.load(other) == 40
    assert other.value == 2.5
    assert again.said() == kept.said()
    assert kept.forget() == 0
    assert not path.exists()


def test_another_trainings_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    Checkpoint(path, THEIRS).save(Counting(1.0), 3)
    with pytest.raises(InputError, match="of this very training"):
        Checkpoint(path, MINE).load(Counting(0.0))
    save_safetensors({"network.weight": torch.ones(2)}, path)
    with pytest.raises(InputError, match="of this very training"):
        Checkpoint(path, MINE).load(Counting(0.0))
