"""A small champion on disk, and captured digits: noisy, of *test*, some with labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatekeeper.adaptation.captured import UNLABELLED, Captured
from gatekeeper.adaptation.recipe import AdaptationRecipe
from gatekeeper.adaptation.run import Adapted, Champion, adapt, open_champion
from gatekeeper.bundle import save_bundle
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.golden import golden_files
from gatekeeper.images import Dataset, image_digests
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.progress import Silent
from tests import small_gate

RESTORER = {
    "training": {"steps": 3, "batch_size": 2, "crop_px": 8, "checkpoint_every": 2},
    "network": {
        "unet": {"widths": [4, 8]},
        "denoiser": {"width": 4, "multipliers": [1, 2], "groups": 2},
    },
    "objective": {"ramp_steps": 2},
}


def adaptation(**changes: object) -> AdaptationRecipe:
    return AdaptationRecipe.model_validate({"fit": "small.toml", "restorer": RESTORER, **changes})


def noisy_digits(rows: np.ndarray, seed: int, severity: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as a camera took them (N, 28, 28, 3) and their labels."""
    data = small_gate.digits()
    images = CORRUPTIONS["camera"](
        data.batch(rows), severity=severity, seeds=np.arange(len(rows)) + 1000 * seed
    )
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return pixels, data.labels[rows]


def capture(
    rows: np.ndarray, kinds: list[str], *, seed: int = 0, champion: str = "", labelled: bool = True
) -> Captured:
    """Captured digits; kinds are dealt round the rows, probability 1 for all."""
    pixels, labels = noisy_digits(rows, seed)
    n = len(rows)
    return Captured(
        images=pixels,
        digests=image_digests(pixels),
        kinds=np.array([kinds[row % len(kinds)] for row in range(n)], dtype="<U9"),
        labels=labels if labelled else np.full(n, UNLABELLED),
        probabilities=np.ones(n),
        bundles=np.full(n, champion, dtype="<U64"),
        source="a test",
    )


def labelled_sample(rows: np.ndarray, *, seed: int = 9) -> Dataset:
    pixels, labels = noisy_digits(rows, seed)
    return Dataset(
        name="sample",
        images=pixels,
        labels=labels,
        class_names=small_gate.digits().class_names,
        test_index=np.arange(0),
        licence="none",
        source="a test",
    )


@pytest.fixture(scope="session")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Champion:
    fitted = small_gate.small().result.fitted
    directory = tmp_path_factory.mktemp("champion") / "bundle"
    data, rows = small_gate.digits(), small_gate.splits().calibrate[:4]
    pixels = (data.batch(rows) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    save_bundle(fitted, directory, extra=golden_files(Gatekeeper(fitted, ""), pixels))
    return open_champion(directory)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished trainings and cells of all these tests."""
    return tmp_path_factory.mktemp("work")


def run(champion: Champion, work: Path, **changes: object) -> Adapted:
    given = {
        "captured": capture(small_gate.splits().test[slice(0, 300)], [""], labelled=False),
        "sample": None,
        **changes,
    }
    recipe = given.pop("recipe", adaptation())
    return adapt(
        champion,
        small_gate.digits(),
        given["captured"],
        recipe,
        small_gate.recipe(),
        sample=given["sample"],
        work=work,
        progress=Silent(),
    )


@pytest.fixture(scope="session")
def from_a_folder(champion: Champion, work: Path) -> Adapted:
    """Adapted to images that nobody has labelled."""
    return run(champion, work)
