from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from torch import Tensor

from gatekeeper.errors import BundleError
from gatekeeper.restorers.autoencoder.network import AutoencoderConfig, SkipAutoencoder
from gatekeeper.restorers.autoencoder.restorer import AutoencoderRestorer
from tests.contracts.restorer import SEEDS, RestorerContract

CONFIG = AutoencoderConfig(encoder=(4, 4, 8, 8, 12, 16), decoder=(12, 8, 4))


class TestAutoencoderRestorer(RestorerContract):
    tolerance = 1e-5  # convolutions may sum in another order

    def build(self) -> AutoencoderRestorer:
        torch.manual_seed(4)
        return AutoencoderRestorer(SkipAutoencoder(CONFIG), device="cpu")

    def test_same_answer_and_digest_from_its_state(self, images: Tensor) -> None:
        restorer = self.build()
        again = AutoencoderRestorer.from_state(restorer.state(), restorer.config(), device="cpu")
        assert again.digest == restorer.digest
        assert torch.equal(
            again.restore(images, seeds=SEEDS), restorer.restore(images, seeds=SEEDS)
        )

    def test_digest_follows_weights_and_statistics(self) -> None:
        before = self.build().digest
        for name in ("enc1.0.weight", "dec2.3.running_var"):
            restorer = self.build()
            with torch.no_grad():
                restorer.network.state_dict()[name][0] += 0.25
            assert restorer.digest != before

    def test_widths_of_their_own_travel_with_the_weights(self, images: Tensor) -> None:
        torch.manual_seed(4)
        config = AutoencoderConfig(CONFIG.encoder, CONFIG.decoder, transposed=(5, 6, 7, 9))
        restorer = AutoencoderRestorer(SkipAutoencoder(config), device="cpu")
        assert restorer.config()["transposed"] == (5, 6, 7, 9)
        plain = self.build()
        assert "transposed" not in plain.config()
        kept = AutoencoderRestorer.from_state(plain.state(), asdict(CONFIG), device="cpu")
        assert kept.digest == plain.digest
        again = AutoencoderRestorer.from_state(restorer.state(), restorer.config(), device="cpu")
        assert again.digest == restorer.digest
        assert torch.equal(
            again.restore(images, seeds=SEEDS), restorer.restore(images, seeds=SEEDS)
        )

    def test_weights_of_other_widths_are_refused(self) -> None:
        restorer = self.build()
        for config in ({}, {**restorer.config(), "decoder": (8, 8, 8)}, {"encoder": 3}):
            with pytest.raises(BundleError, match="weights of a skip autoencoder and the widths"):
                AutoencoderRestorer.from_state(restorer.state(), config)
