from __future__ import annotations

import numpy as np
import torch

from benchmarks.kept import Store
from benchmarks.levels_pairs import DEVELOPMENT, NETWORKS, SIZES, open_pairs
from gatekeeper.images import SPLIT_NAMES


def test_networks_give_one_logit_per_class():
    for side in (8, 28, 32):
        for network in NETWORKS.values():
            assert network(side, 7)(torch.zeros(2, 3, side, side)).shape == (2, 7)


def test_splits_are_named():
    for sizes in SIZES.values():
        assert set(SPLIT_NAMES) - {"test"} <= set(sizes)


def test_quick_pairs_are_trained_once_and_kept(tmp_path):
    store = Store(tmp_path)
    pairs = open_pairs(None, quick=True, n_images=120, store=store)
    assert tuple(pair.name for pair in pairs) == DEVELOPMENT
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    again = open_pairs(None, quick=True, n_images=120, store=store)
    assert sorted(tmp_path.iterdir()) == files
    for one, other in zip(pairs, again, strict=True):
        assert one.classifier.digest == other.classifier.digest
        assert one.images.digest == pairs[0].images.digest
        assert one.development
        assert one.data["split"] == "calibrate"
        answers = one.classifier.look(one.images.images).logits.argmax(axis=1)
        assert np.mean(answers == one.images.labels) > 0.85
