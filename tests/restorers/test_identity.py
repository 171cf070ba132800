from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.restorers.identity import Identity
from tests.contracts.restorer import SEEDS, RestorerContract


class TestIdentity(RestorerContract):
    def build(self) -> Identity:
        return Identity()

    def test_changes_nothing_and_returns_a_copy(self, images: Tensor) -> None:
        before = images.clone()
        restored = Identity().restore(images, seeds=SEEDS)
        assert torch.equal(restored, before)
        restored.zero_()
        assert torch.equal(images, before)
