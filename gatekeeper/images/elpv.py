"""Solar cells in electroluminescence images, where the package elpv-dataset is installed."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from gatekeeper.errors import DataError
from gatekeeper.images.dataset import Dataset


def load_elpv() -> Dataset:
    """2,624 grey images of solar cells, 300×300, functional or defective.

    Raises:
        DataError: the package elpv-dataset is not installed.

    Source:
        Deitsch et al. 2019, "Automatic classification of defective photovoltaic module cells in
        electroluminescence images". The probability of a defect is one of 0, 1/3, 2/3, 1.
    """
    try:
        elpv = import_module("elpv_dataset.utils")
    except ModuleNotFoundError as error:
        raise DataError(
            "the data set elpv needs the package elpv-dataset, which is not installed: "
            "pip install 'vision-gatekeeper[elpv]' (non-commercial licence)"
        ) from error
    images, probability, _ = elpv.load_dataset()
    return Dataset(
        name="elpv",
        images=np.asarray(images, dtype=np.uint8),
        labels=(np.asarray(probability) > 0.5).astype(np.int64),
        class_names=("functional", "defective"),
        test_index=np.empty(0, dtype=np.int64),
        licence="CC BY-NC-SA 4.0: non-commercial use only",
        source="The installed package elpv-dataset.",
        note="A cell counts as defective where the experts' probability of a defect exceeds 0.5.",
    )
