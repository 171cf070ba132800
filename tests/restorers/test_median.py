from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.restorers import median
from gatekeeper.restorers.median import TripleMedian
from tests.contracts.restorer import SEEDS, RestorerContract


class TestTripleMedian(RestorerContract):
    def build(self) -> TripleMedian:
        return TripleMedian()

    def test_equals_three_medians_of_scipy(self, images: Tensor) -> None:
        expected = images.numpy()
        for _ in range(3):
            expected = ndimage.median_filter(expected, size=(1, 1, 3, 3), mode="mirror")
        restored = TripleMedian().restore(images, seeds=SEEDS)
        np.testing.assert_array_equal(restored.numpy(), expected)

    @pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
    def test_removes_isolated_impulses_exactly_on_a_flat_field(self, level: float) -> None:
        field = torch.full((1, 3, 30, 30), level)
        noisy = field.clone()
        noisy[..., ::3, ::3] = 1.0  # salt in every third place, corners and borders included
        noisy[..., 1::6, 1::6] = 0.0
        assert not torch.equal(noisy, field)
        assert torch.equal(TripleMedian().restore(noisy, seeds=np.arange(1)), field)

    def test_keeps_an_edge_and_removes_a_line(self) -> None:
        edge = torch.zeros(1, 3, 12, 12)
        edge[..., 6:] = 0.8
        assert torch.equal(TripleMedian().restore(edge, seeds=np.arange(1)), edge)
        line = torch.zeros(1, 3, 12, 12)
        line[..., 5] = 0.8
        assert not TripleMedian().restore(line, seeds=np.arange(1)).any()

    def test_a_side_of_one_pixel_is_refused(self) -> None:
        with pytest.raises(InputError, match="at least 2 px per side, got 1×9"):
            TripleMedian().restore(torch.zeros(1, 3, 1, 9), seeds=np.arange(1))

    def test_digest_follows_the_number_of_passes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = TripleMedian().digest
        monkeypatch.setattr(median, "_PASSES", 2)
        assert TripleMedian().digest != before
