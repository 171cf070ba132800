"""The adapted restorer: kept, continued, and another one for other images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gatekeeper.adaptation import restorer as module
from gatekeeper.adaptation.recipe import AdaptedRestorer
from gatekeeper.adaptation.restorer import adapted_restorer
from gatekeeper.errors import DataError
from gatekeeper.progress import Silent
from gatekeeper.training.sources import DatasetImages
from tests import small_gate
from tests.adaptation.conftest import RESTORER, labelled_sample

OPTIONS = AdaptedRestorer.model_validate(RESTORER)


def images() -> tuple[DatasetImages, DatasetImages]:
    splits = small_gate.splits()
    clean = DatasetImages(small_gate.digits(), splits.train[:20])
    noisy = labelled_sample(splits.test[:20])
    return clean, DatasetImages(noisy, np.arange(20))


def adapted(work: Path, seed: int = 0, n_noisy: int = 20):
    clean, noisy = images()
    return adapted_restorer(
        clean, noisy.take(noisy.digests.argsort()[:n_noisy]), OPTIONS,
        seed=seed, work=work, progress=Silent(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    work = tmp_path_factory.mktemp("trained")
    return work, adapted(work).digest


def test_a_finished_training_is_read_from_the_disk(
    trained: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_train", lambda *_: pytest.fail("trained again"))
    assert adapted(trained[0]).digest == trained[1]


def test_a_training_that_was_cut_short_ends_the_same(
    trained: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []

    def broken(*arguments):
        steps.append(arguments[3])
        if arguments[3] == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    real = module._step
    monkeypatch.setattr(module, "_step", broken)
    with pytest.raises(KeyboardInterrupt):
        adapted(tmp_path)
    monkeypatch.setattr(module, "_step", lambda *a: (steps.append(a[3]), real(*a))[1])
    assert adapted(tmp_path).digest == trained[1]
    # Every second step is kept: the third is the only one that is made again.
    assert steps == [0, 1, 2, 2]


def test_other_images_and_seeds_make_other_restorers(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    assert adapted(tmp_path, seed=1).digest != trained[1]
    assert adapted(tmp_path, n_noisy=3).digest != trained[1]
    assert len(list(tmp_path.iterdir())) == 2


def test_torchs_own_generator_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    adapted(tmp_path)
    assert torch.rand(1) == expected


def test_nothing_to_adapt_to_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected captured images to adapt to"):
        adapted(tmp_path, n_noisy=0)
