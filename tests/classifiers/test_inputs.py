"""What is checked before and after a look."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatekeeper.classifiers.inputs import check_images, checked_class_names, checked_look
from gatekeeper.errors import InputError


def test_rounding_beyond_the_range_is_let_through_and_more_is_not():
    check_images(torch.full((1, 3, 2, 2), 1.0005))
    check_images(torch.full((1, 3, 2, 2), -0.0005))
    with pytest.raises(InputError, match=r"values in \[0, 1\], got 1.01 to 1.01"):
        check_images(torch.full((1, 3, 2, 2), 1.01))


def test_class_names_become_a_tuple():
    assert checked_class_names(["ant", "bee"]) == ("ant", "bee")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("ant", "list of at least two"),
        (["ant"], "list of at least two"),
        (["ant", ""], "list of at least two non-empty"),
        (["ant", 3], "list of at least two non-empty strings"),
        (["ant", "bee", "ant"], "each class name once"),
    ],
)
def test_wrong_class_names_are_refused(names, message):
    with pytest.raises(InputError, match=message):
        checked_class_names(names)


def look(logits, features=None, kind="logits"):
    return checked_look(
        np.asarray(logits, dtype=np.float32), features, kind=kind, n_images=2, n_classes=2
    )


def test_a_good_look_passes_unchanged():
    features = np.ones((2, 3), dtype=np.float32)
    got = look([[1, 2], [3, 4]], features)
    assert got.logits.tolist() == [[1, 2], [3, 4]]
    assert got.features is features
    assert got.kind == "logits"
    declared = look(np.log([[0.25, 0.75], [1e-30, 1.0]]), kind="log_probabilities")
    assert declared.kind == "log_probabilities"


@pytest.mark.parametrize(
    ("logits", "features", "kind", "message"),
    [
        ([[1, 2, 3], [4, 5, 6]], None, "logits", r"shape \(2, 2\), got \(2, 3\)"),
        ([[1, 2]], None, "logits", r"shape \(2, 2\), got \(1, 2\)"),
        ([1, 2], None, "logits", r"shape \(2, 2\), got \(2,\)"),
        ([[1, 2], [3, np.nan]], None, "logits", "finite"),
        ([[1, 2], [3, np.inf]], None, "logits", "finite"),
        ([[1, 2], [3, 4]], np.ones((1, 3)), "logits", r"features of shape \(2, F\)"),
        ([[1, 2], [3, 4]], np.ones((2, 3, 4)), "logits", r"features of shape \(2, F\)"),
        ([[1, 2], [3, 4]], np.full((2, 1), np.nan), "logits", "finite"),
        ([[0.5, 0.5], [0.1, 0.9]], None, "log_probabilities", "exponentials sum to 1"),
    ],
)
def test_wrong_outputs_are_refused(logits, features, kind, message):
    with pytest.raises(InputError, match=message):
        look(logits, features, kind)
