"""What every corruption owes: subclass, name it, inherit the tests."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.corruptions import CORRUPTIONS, GROUPS, SEVERITIES
from gatekeeper.errors import InputError
from gatekeeper.protocols import Corruption

SEEDS = np.array([3, 4, 4, -9, 2**62], dtype=np.int64)


def smooth_images() -> Tensor:
    """Five pictures of one slow wave each, 26×34, stored in 8 bit; the first two are grey."""
    height, width = 26, 34
    y = torch.arange(height)[:, None] / height
    x = torch.arange(width)[None, :] / width
    waves = [
        torch.sin(2 * torch.pi * (x + 0.5 * y + phase / 13)) * (0.3 + 0.01 * phase)
        for phase in range(15)
    ]
    images = torch.stack(waves).reshape(5, 3, height, width) + 0.5
    images[:2] = images[:2, :1]
    return (images * 255).round() / 255


class CorruptionContract:
    """``name`` is the key of the corruption under test; subclasses set it."""

    name = ""

    @pytest.fixture
    def images(self) -> Tensor:
        return smooth_images()

    @pytest.fixture
    def corruption(self) -> Corruption:
        return CORRUPTIONS[self.name]

    def test_fits_the_protocol_and_the_family_table(self, corruption: Corruption) -> None:
        assert isinstance(corruption, Corruption)
        assert corruption.name == self.name
        assert corruption.families
        assert set(corruption.families) <= set(GROUPS)

    @pytest.mark.parametrize("severity", SEVERITIES)
    def test_shape_type_range_and_8_bit_grid(
        self, corruption: Corruption, images: Tensor, severity: int
    ) -> None:
        corrupted = corruption(images, severity=severity, seeds=SEEDS)
        assert corrupted.shape == images.shape
        assert corrupted.dtype == torch.float32
        levels = corrupted.double() * 255
        assert (levels - levels.round()).abs().max() < 1e-4
        assert levels.round().min() >= 0
        assert levels.round().max() <= 255

    def test_input_is_untouched(self, corruption: Corruption, images: Tensor) -> None:
        before = images.clone()
        corrupted = corruption(images, severity=5, seeds=SEEDS)
        corrupted.zero_()
        assert torch.equal(images, before)

    @pytest.mark.parametrize("severity", SEVERITIES)
    def test_same_image_and_seed_same_answer_whatever_the_batch(
        self, corruption: Corruption, images: Tensor, severity: int
    ) -> None:
        together = corruption(images, severity=severity, seeds=SEEDS)
        alone = [
            corruption(images[i : i + 1], severity=severity, seeds=SEEDS[i : i + 1])
            for i in range(5)
        ]
        assert torch.equal(together, torch.cat(alone))
        order = [4, 0, 3, 2, 1]
        assert torch.equal(
            corruption(images[order], severity=severity, seeds=SEEDS[order]), together[order]
        )

    def test_global_random_state_is_neither_read_nor_changed(
        self, corruption: Corruption, images: Tensor
    ) -> None:
        torch.manual_seed(1)
        first = corruption(images, severity=3, seeds=SEEDS)
        after_corruption = torch.rand(4)
        torch.manual_seed(1)
        assert torch.equal(torch.rand(4), after_corruption)
        assert torch.equal(corruption(images, severity=3, seeds=SEEDS), first)

    def test_harm_grows_with_severity(self, corruption: Corruption, images: Tensor) -> None:
        harm = [
            (corruption(images, severity=severity, seeds=SEEDS) - images).abs().mean(dim=(1, 2, 3))
            for severity in SEVERITIES
        ]
        for mild, severe in itertools.pairwise(harm):
            assert (severe > mild).all()
        assert (harm[0] > 0).all()

    @pytest.mark.parametrize("severity", [0, 6, -1, 1.5, 2.0, "3", None])
    def test_other_severities_are_refused(
        self, corruption: Corruption, images: Tensor, severity: object
    ) -> None:
        with pytest.raises(InputError, match="severity must be one of 1…5"):
            corruption(images, severity=severity, seeds=SEEDS)  # type: ignore[arg-type]

    @pytest.mark.parametrize("n_seeds", [1, 4, 6])
    def test_one_seed_per_image(self, corruption: Corruption, images: Tensor, n_seeds: int) -> None:
        with pytest.raises(InputError, match=f"one seed per image.*got {n_seeds} seeds"):
            corruption(images, severity=1, seeds=np.arange(n_seeds))
