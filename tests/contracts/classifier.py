"""What every classifier owes: subclass, write ``build`` and ``by_hand``, inherit the tests."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gatekeeper.errors import InputError
from gatekeeper.protocols import Classifier

MEAN = (0.31, 0.47, 0.52)
STD = (0.21, 0.26, 0.33)
OTHER_MEAN = (0.41, 0.47, 0.52)
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


class ClassifierContract:
    """Attributes say how the classifier under test is built; subclasses set them."""

    size = (12, 12)
    class_names = ("ant", "bee", "cat")
    n_features: int | None = None

    def build(
        self, folder: Path, *, mean: tuple[float, float, float] = MEAN, nudge: float = 0.0
    ) -> Classifier:
        """A new classifier with mean ``mean``, std ``STD``, and ``nudge`` added to one weight."""
        raise NotImplementedError

    def by_hand(self, inputs: Tensor) -> Tensor:
        """Logits of the same network for normalised inputs (B, 3, *size), by plain torch."""
        raise NotImplementedError

    @pytest.fixture
    def images(self) -> Tensor:
        return torch.rand(5, 3, *self.size, generator=torch.Generator().manual_seed(3))

    @pytest.fixture
    def classifier(self, tmp_path: Path) -> Classifier:
        return self.build(tmp_path)

    def test_fits_the_protocol(self, classifier: Classifier) -> None:
        assert isinstance(classifier, Classifier)
        assert classifier.class_names == self.class_names
        assert classifier.model_id
        assert re.fullmatch(r"[0-9a-f]{64}", classifier.digest)

    def test_look_has_rows_columns_and_types(self, classifier: Classifier, images: Tensor) -> None:
        look = classifier.look(images)
        assert look.kind == "logits"
        assert look.logits.shape == (5, 3)
        assert look.logits.dtype == np.float32
        if self.n_features is None:
            assert look.features is None
        else:
            assert look.features.shape == (5, self.n_features)
            assert look.features.dtype == np.float32

    def test_logits_are_those_of_the_network(self, classifier: Classifier, images: Tensor) -> None:
        mean = torch.tensor(MEAN).view(3, 1, 1)
        std = torch.tensor(STD).view(3, 1, 1)
        with torch.inference_mode():
            expected = self.by_hand((images - mean) / std).numpy()
        assert np.ptp(expected, axis=0).min() > 1e-4  # the rows differ, so rows are told apart
        np.testing.assert_allclose(classifier.look(images).logits, expected, **CLOSE)

    def test_a_row_does_not_depend_on_its_batch(
        self, classifier: Classifier, images: Tensor
    ) -> None:
        whole = classifier.look(images)
        backwards = classifier.look(images.flip(0))
        for row in range(len(images)):
            alone = classifier.look(images[row : row + 1])
            for other, index in ((alone, 0), (backwards, len(images) - 1 - row)):
                # Rounding is relative to the largest logit, not to one that happens to be small.
                scale = max(1.0, float(np.abs(whole.logits[row]).max()))
                np.testing.assert_allclose(
                    other.logits[index] / scale, whole.logits[row] / scale, **CLOSE
                )
                if self.n_features is not None:
                    np.testing.assert_allclose(other.features[index], whole.features[row], **CLOSE)

    def test_looks_of_several_threads_do_not_mix(
        self, classifier: Classifier, images: Tensor
    ) -> None:
        batches = [images.roll(shift, 0) for shift in range(4)] * 8
        expected = [classifier.look(batch) for batch in batches]
        with ThreadPoolExecutor(4) as pool:
            for got, want in zip(pool.map(classifier.look, batches), expected, strict=True):
                np.testing.assert_allclose(got.logits, want.logits, **CLOSE)
                if self.n_features is not None:
                    np.testing.assert_allclose(got.features, want.features, **CLOSE)

    def test_input_is_untouched_and_layout_does_not_matter(
        self, classifier: Classifier, images: Tensor
    ) -> None:
        kept = images.clone()
        first = classifier.look(images)
        assert torch.equal(images, kept)
        again = classifier.look(images.to(memory_format=torch.channels_last))
        np.testing.assert_allclose(again.logits, first.logits, **CLOSE)

    def test_global_randomness_is_neither_used_nor_moved(
        self, tmp_path: Path, images: Tensor
    ) -> None:
        state = torch.get_rng_state()
        first = self.build(tmp_path).look(images)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(99)
        np.testing.assert_array_equal(self.build(tmp_path).look(images).logits, first.logits)

    def test_other_sizes_are_resized(self, classifier: Classifier) -> None:
        images = torch.rand(2, 3, 37, 29, generator=torch.Generator().manual_seed(4))
        assert classifier.look(images).logits.shape == (2, 3)

    def test_digest_is_that_of_weights_and_preprocessing(self, tmp_path: Path) -> None:
        digest = self.build(tmp_path).digest
        assert self.build(tmp_path).digest == digest
        assert self.build(tmp_path, nudge=1e-3).digest != digest
        assert self.build(tmp_path, mean=OTHER_MEAN).digest != digest

    def test_a_wrong_mean_shows_in_the_logits(self, tmp_path: Path, images: Tensor) -> None:
        right = self.build(tmp_path).look(images).logits
        wrong = self.build(tmp_path, mean=OTHER_MEAN).look(images).logits
        assert np.abs(right - wrong).max() > 1e-3

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda x: x * 255, r"values in \[0, 1\], got .* divide 8-bit values by 255"),
            (lambda x: x - 0.5, r"values in \[0, 1\]"),
            (lambda x: x.masked_fill(x > 0.9, float("nan")), r"values in \[0, 1\], got nan"),
            (lambda x: (x * 255).to(torch.uint8), r"float32 tensor, got torch.uint8"),
            (lambda x: x.double(), r"float32 tensor, got torch.float64"),
            (lambda x: x.numpy(), r"float32 tensor, got ndarray"),
            (lambda x: x[:, :1], r"\(B, 3, H, W\) with B at least 1, got \(5, 1, "),
            (lambda x: x[0], r"\(B, 3, H, W\) with B at least 1, got \(3, "),
            (lambda x: x[:0], r"\(B, 3, H, W\) with B at least 1, got \(0, "),
        ],
    )
    def test_what_is_not_images_is_refused(
        self, classifier: Classifier, images: Tensor, change: object, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            classifier.look(change(images))
