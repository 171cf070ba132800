"""What every corruption owes: subclass, name it, inherit the tests."""

from __future__ import annotations

import itertools
import json
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.corruptions import GROUPS, SEVERITIES, TabulatedCorruption, corruption
from gatekeeper.errors import InputError
from gatekeeper.protocols import Corruption
from tests.corruptions.reference import patches, true_class_probability

SEEDS = np.array([3, 4, 4, -9, 2**62], dtype=np.int64)
SIZES = ((28, 28), (32, 32), (33, 47), (64, 80), (96, 96), (224, 224), (300, 260))


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


def noisy_images(height: int, width: int, n: int = 2) -> Tensor:
    """White noise in colour, stored in 8 bit, shape (n, 3, height, width)."""
    codes = torch.randint(
        0, 256, (n, 3, height, width), generator=torch.Generator().manual_seed(height)
    )
    return codes.float() / 255


class CorruptionContract:
    """``name`` is the name of the corruption under test; subclasses set it.

    ``growing``: the severities over which the reference classifier must not get better.
    """

    name: ClassVar[str] = ""
    growing: ClassVar[tuple[int, ...]] = (1, 3, 5)

    @pytest.fixture
    def images(self) -> Tensor:
        return smooth_images()

    @pytest.fixture
    def corruption(self) -> TabulatedCorruption:
        return corruption(self.name)

    def test_fits_the_protocol_and_the_family_table(self, corruption: TabulatedCorruption) -> None:
        assert isinstance(corruption, Corruption)
        assert corruption.name == self.name
        assert corruption.families
        assert set(corruption.families) <= set(GROUPS)
        assert len(set(corruption.families)) == len(corruption.families)

    def test_shape_type_range_and_8_bit_grid(
        self, corruption: TabulatedCorruption, images: Tensor
    ) -> None:
        for severity in SEVERITIES:
            corrupted = corruption(images, severity=severity, seeds=SEEDS)
            assert corrupted.shape == images.shape
            assert corrupted.dtype == torch.float32
            levels = corrupted.double() * 255
            assert (levels - levels.round()).abs().max() < 1e-4
            assert levels.round().min() >= 0
            assert levels.round().max() <= 255

    @pytest.mark.parametrize(("height", "width"), [(28, 28), (65, 96), (5, 7), (1, 1)])
    def test_any_size(self, corruption: TabulatedCorruption, height: int, width: int) -> None:
        images = noisy_images(height, width)
        corrupted = corruption(images, severity=3, seeds=SEEDS[:2])
        assert corrupted.shape == images.shape
        assert corrupted.min() >= 0
        assert corrupted.max() <= 1

    def test_black_and_white_images(self, corruption: TabulatedCorruption) -> None:
        flat = torch.stack([torch.zeros(3, 20, 24), torch.ones(3, 20, 24)])
        corrupted = corruption(flat, severity=5, seeds=SEEDS[:2])
        assert torch.isfinite(corrupted).all()

    def test_input_is_untouched(self, corruption: TabulatedCorruption, images: Tensor) -> None:
        before = images.clone()
        corrupted = corruption(images, severity=5, seeds=SEEDS)
        corrupted.zero_()
        assert torch.equal(images, before)

    def test_same_image_and_seed_same_answer_whatever_the_batch(
        self, corruption: TabulatedCorruption, images: Tensor
    ) -> None:
        order = [4, 0, 3, 2, 1]
        for severity in (1, 4, 5):
            together = corruption(images, severity=severity, seeds=SEEDS)
            alone = [
                corruption(images[i : i + 1], severity=severity, seeds=SEEDS[i : i + 1])
                for i in range(5)
            ]
            assert torch.equal(together, torch.cat(alone))
            assert torch.equal(
                corruption(images[order], severity=severity, seeds=SEEDS[order]), together[order]
            )

    def test_a_severity_per_image_equals_a_call_per_image(
        self, corruption: TabulatedCorruption, images: Tensor
    ) -> None:
        severities = torch.tensor([2.4, 0.5, 5.5, 4.0, 3.3])
        together = corruption.at_severity(images, severity=severities, seeds=SEEDS)
        for i, severity in enumerate(severities.tolist()):
            alone = corruption.at_severity(
                images[i : i + 1], severity=severity, seeds=SEEDS[i : i + 1]
            )
            assert torch.equal(together[i : i + 1], alone)

    @pytest.mark.parametrize(("height", "width"), [(26, 34), (64, 70)])
    def test_whole_severities_and_tabulated_levels_are_the_same(
        self, corruption: TabulatedCorruption, height: int, width: int
    ) -> None:
        images = noisy_images(height, width)
        for severity, level in enumerate(corruption.levels_for(height, width), 1):
            expected = corruption(images, severity=severity, seeds=SEEDS[:2])
            for got in (
                corruption.at_severity(images, severity=severity, seeds=SEEDS[:2]),
                corruption.at(images, level=level, seeds=SEEDS[:2]),
            ):
                assert torch.equal(got, expected)

    @pytest.mark.parametrize(("height", "width"), SIZES)
    def test_levels_are_finite_and_ordered_and_tables_are_json(
        self, corruption: TabulatedCorruption, height: int, width: int
    ) -> None:
        levels = corruption.levels_for(height, width)
        assert np.isfinite(levels).all()
        steps = np.diff(levels)
        assert (steps > 0).all() or (steps < 0).all()
        table = corruption.table_for(height, width)
        assert json.loads(json.dumps(table, allow_nan=False)) == table
        assert table["corruption"] == self.name

    def test_global_random_state_is_neither_read_nor_changed(
        self, corruption: TabulatedCorruption, images: Tensor
    ) -> None:
        torch.manual_seed(1)
        first = corruption(images, severity=3, seeds=SEEDS)
        after_corruption = torch.rand(4)
        torch.manual_seed(1)
        assert torch.equal(torch.rand(4), after_corruption)
        assert torch.equal(corruption(images, severity=3, seeds=SEEDS), first)

    def test_a_classifier_gets_no_better_as_severity_grows(
        self, corruption: TabulatedCorruption
    ) -> None:
        images, labels = patches(6, 1)
        seeds = np.arange(len(images)) * 7 + 1
        right = [
            true_class_probability(corruption(images, severity=severity, seeds=seeds), labels)
            for severity in self.growing
        ]
        for mild, severe in itertools.pairwise(right):
            gain = severe - mild
            assert gain.mean() <= 3 * gain.std(ddof=1) / len(gain) ** 0.5 + 1e-6

    def test_other_severities_are_refused(
        self, corruption: TabulatedCorruption, images: Tensor
    ) -> None:
        for severity in (0, 6, -1, 1.5, 2.0, "3", None):
            with pytest.raises(InputError, match="severity must be one of 1…5"):
                corruption(images, severity=severity, seeds=SEEDS)  # type: ignore[arg-type]

    def test_continuous_severities_outside_the_range_are_refused(
        self, corruption: TabulatedCorruption, images: Tensor
    ) -> None:
        for severity in (-0.1, 6.1):
            with pytest.raises(InputError, match=r"expected severities of 0.5…5.5"):
                corruption.at_severity(images, severity=severity, seeds=SEEDS)
        with pytest.raises(InputError, match="expected a finite severity"):
            corruption.at_severity(images, severity=float("nan"), seeds=SEEDS)

    def test_one_seed_per_image(self, corruption: TabulatedCorruption, images: Tensor) -> None:
        for n_seeds in (1, 4, 6):
            with pytest.raises(InputError, match=f"one seed per image.*got {n_seeds} seeds"):
                corruption(images, severity=1, seeds=np.arange(n_seeds))


class PixelHarmContract(CorruptionContract):
    """For corruptions whose severities are ordered by the distance to the original, picture by
    picture.
    """

    def test_harm_in_pixels_grows_with_severity(
        self, corruption: TabulatedCorruption, images: Tensor
    ) -> None:
        harm = [
            (corruption(images, severity=severity, seeds=SEEDS) - images).abs().mean(dim=(1, 2, 3))
            for severity in SEVERITIES
        ]
        for mild, severe in itertools.pairwise(harm):
            assert (severe > mild).all()
        assert (harm[0] > 0).all()
