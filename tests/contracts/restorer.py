"""What every restorer owes: subclass, write ``build``, inherit the tests."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.protocols import Restorer

SEEDS = np.array([5, 1, 1, 2**61, -7], dtype=np.int64)


class RestorerContract:
    """``tolerance`` is how far a row may depend on its batch: 0 is not at all."""

    tolerance = 0.0

    def build(self) -> Restorer:
        """A new restorer, the same each time."""
        raise NotImplementedError

    @pytest.fixture
    def restorer(self) -> Restorer:
        return self.build()

    @pytest.fixture
    def images(self) -> Tensor:
        """Five noisy pictures, 18×23: colour, grey, black, white, nearly flat."""
        images = torch.rand(5, 3, 18, 23, generator=torch.Generator().manual_seed(11))
        images[1] = images[1, :1]
        images[2], images[3] = 0.0, 1.0
        images[4] = 0.4 + 0.01 * images[4]
        return (images * 255).round() / 255

    def test_fits_the_protocol(self, restorer: Restorer) -> None:
        assert isinstance(restorer, Restorer)
        assert restorer.name

    def test_digest_is_a_stable_sha256(self, restorer: Restorer) -> None:
        assert re.fullmatch(r"[0-9a-f]{64}", restorer.digest)
        assert self.build().digest == restorer.digest

    def test_shape_type_and_range(self, restorer: Restorer, images: Tensor) -> None:
        restored = restorer.restore(images, seeds=SEEDS)
        assert restored.shape == images.shape
        assert restored.dtype == torch.float32
        assert restored.min() >= 0
        assert restored.max() <= 1

    def test_input_is_untouched(self, restorer: Restorer, images: Tensor) -> None:
        before = images.clone()
        restored = restorer.restore(images, seeds=SEEDS)
        assert restored.data_ptr() != images.data_ptr()
        assert torch.equal(images, before)

    def test_same_seed_same_answer(self, restorer: Restorer, images: Tensor) -> None:
        torch.manual_seed(0)
        first = restorer.restore(images, seeds=SEEDS)
        assert torch.equal(restorer.restore(images, seeds=SEEDS), first)
        assert torch.equal(self.build().restore(images, seeds=SEEDS), first)

    def test_a_row_does_not_depend_on_its_batch(self, restorer: Restorer, images: Tensor) -> None:
        together = restorer.restore(images, seeds=SEEDS)
        order = [3, 0, 4, 1, 2]
        shuffled = restorer.restore(images[order], seeds=SEEDS[order])
        alone = torch.cat(
            [restorer.restore(images[i : i + 1], seeds=SEEDS[i : i + 1]) for i in range(5)]
        )
        assert (shuffled - together[order]).abs().max() <= self.tolerance
        assert (alone - together).abs().max() <= self.tolerance

    def test_a_grey_image_stays_grey(self, restorer: Restorer, images: Tensor) -> None:
        restored = restorer.restore(images, seeds=SEEDS)
        for row in (1, 2, 3):
            assert torch.equal(restored[row], restored[row, :1].expand(3, -1, -1))

    def test_a_mask_is_refused_where_holes_are_not_filled(
        self, restorer: Restorer, images: Tensor
    ) -> None:
        with pytest.raises(InputError, match="leave out the mask"):
            restorer.restore(images, seeds=SEEDS, mask=torch.ones(5, 1, 18, 23))
