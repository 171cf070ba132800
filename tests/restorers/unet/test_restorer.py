"""The U-Net as a restorer: the contract, its arithmetic, its state, little memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatekeeper.errors import BundleError
from gatekeeper.protocols import WeightedRestorer
from gatekeeper.restorers.unet import ResidualUNet, UNetConfig, UNetRestorer
from tests.contracts.restorer import SEEDS, RestorerContract

CONFIG = UNetConfig((4, 6, 8))


class TestUNetRestorer(RestorerContract):
    tolerance = 1e-5  # convolutions may sum in another order

    def build(self) -> UNetRestorer:
        with torch.random.fork_rng():
            torch.manual_seed(4)
            network = ResidualUNet(CONFIG)
            nn.init.normal_(network.head.weight, std=0.2)
        return UNetRestorer(network, device="cpu")

    def test_an_untrained_network_leaves_images_as_they_are(self, images: Tensor) -> None:
        restorer = UNetRestorer(ResidualUNet(CONFIG), device="cpu")
        assert torch.equal(restorer.restore(images, seeds=SEEDS), images)

    def test_the_answer_is_the_image_plus_the_residual_cut_to_its_range(
        self, images: Tensor
    ) -> None:
        restorer = self.build()
        with torch.no_grad():
            expected = (images + restorer.network(images)).clamp(0, 1)
        restored = restorer.restore(images, seeds=SEEDS)
        assert (restored != images).any()
        for row in (0, 4):  # the others are grey
            torch.testing.assert_close(restored[row], expected[row], rtol=0, atol=1e-6)

    def test_one_pass_of_the_network_and_no_other(self, images: Tensor) -> None:
        restorer, calls = self.build(), []
        restorer.network.register_forward_hook(lambda *_: calls.append(1))
        restorer.restore(images, seeds=SEEDS)
        assert calls == [1]

    def test_no_images_no_answers(self) -> None:
        nothing = self.build().restore(torch.zeros(0, 3, 8, 8), seeds=np.zeros(0, dtype=np.int64))
        assert nothing.shape == (0, 3, 8, 8)

    def test_a_batch_that_does_not_fit_is_restored_in_halves(self, images: Tensor) -> None:
        restorer = self.build()
        together = restorer.restore(images, seeds=SEEDS)

        def full(_network: nn.Module, arguments: tuple[Tensor]) -> None:
            if len(arguments[0]) > 2:
                raise torch.OutOfMemoryError("full")

        restorer.network.register_forward_pre_hook(full)
        halved = restorer.restore(images, seeds=SEEDS)
        torch.testing.assert_close(halved, together, rtol=0, atol=1e-5)

    def test_same_answer_and_digest_from_its_state(self, images: Tensor) -> None:
        restorer = self.build()
        assert isinstance(restorer, WeightedRestorer)
        before = torch.get_rng_state()
        again = UNetRestorer.from_state(restorer.state(), restorer.config(), device="cpu")
        assert torch.equal(torch.get_rng_state(), before)
        assert again.digest == restorer.digest
        assert torch.equal(
            again.restore(images, seeds=SEEDS), restorer.restore(images, seeds=SEEDS)
        )

    def test_digest_follows_weights_and_configuration(self) -> None:
        before = self.build().digest
        for name in ("down.0.0.weight", "head.bias"):
            restorer = self.build()
            with torch.no_grad():
                restorer.network.state_dict()[name][0] += 0.25
            assert restorer.digest != before
        assert UNetRestorer(ResidualUNet(UNetConfig((4, 6))), device="cpu").digest != before

    def test_what_does_not_fit_together_is_refused(self) -> None:
        restorer = self.build()
        state = restorer.state()
        with pytest.raises(BundleError, match="weights of a U-Net"):
            UNetRestorer.from_state(state, {"widths": [4, 6, 9]})
        with pytest.raises(BundleError, match="weights of a U-Net"):
            UNetRestorer.from_state(state, {"encoder": [4]})
        del state["head.bias"]
        with pytest.raises(BundleError, match="weights of a U-Net"):
            UNetRestorer.from_state(state, restorer.config())
