"""Images at the door: untrusted bytes, data sets, sizes, identities, splits."""

from __future__ import annotations

from gatekeeper.images.dataset import Dataset
from gatekeeper.images.datasets import DATASET_SPECS, load_dataset
from gatekeeper.images.decode import DECODE_REASONS, DecodeLimits, decode_image, decode_pixels
from gatekeeper.images.digests import image_digests, seeds_for, tensor_digests
from gatekeeper.images.resize import fit_to
from gatekeeper.images.splits import SPLIT_NAMES, Splits, make_splits

__all__ = [
    "DATASET_SPECS",
    "DECODE_REASONS",
    "SPLIT_NAMES",
    "Dataset",
    "DecodeLimits",
    "Splits",
    "decode_image",
    "decode_pixels",
    "fit_to",
    "image_digests",
    "load_dataset",
    "make_splits",
    "seeds_for",
    "tensor_digests",
]
