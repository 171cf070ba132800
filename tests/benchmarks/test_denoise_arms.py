"""The arms: what they are trained on, and that nothing is mixed up or done twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import denoise_arms
from benchmarks.denoise_arms import ARMS, Arms, Budget, drawn_noise, noisy, normalised
from benchmarks.denoise_networks import vgg_like
from benchmarks.kept import Store
from benchmarks.trainings import Shown, Tuning
from gatekeeper.images import Dataset, Splits, make_splits
from gatekeeper.progress import Silent
from tests import small_gate

TINY = Budget(
    sizes={**small_gate.SIZES, "train": 60, "test": 40},
    base_epochs=1,
    tuning_epochs=1,
    denoiser_steps=1,
    batch_size=20,
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return replace(small_gate.digits().resized((16, 16)), name="tiny")


@pytest.fixture(scope="module")
def splits(data: Dataset) -> Splits:
    return make_splits(
        data.labels, data.digests, test_index=data.test_index, sizes=TINY.sizes, seed=0
    )


@pytest.fixture
def tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(n_classes: int, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return vgg_like(n_classes, widths=(4, 4))

    monkeypatch.setattr(denoise_arms, "NETWORKS", {"vgg_like": plain})


def test_labels_stay_with_their_images_whatever_the_order(
    data, splits, tmp_path, monkeypatch, tiny_networks
) -> None:
    """The study behind this benchmark lost them: its loader shuffled, its labels did not."""
    seen: list[tuple[bytes, int]] = []

    def recording(tuning: Tuning, batch: Shown) -> float:
        pairs = zip(batch.images, batch.labels.tolist(), strict=True)
        seen.extend((image.numpy().tobytes(), label) for image, label in pairs)
        tuning._optimiser.steps_done += 1
        return 0.0

    monkeypatch.setattr(Tuning, "step", recording)
    arms(data, splits, tmp_path)._base("vgg_like")
    train = splits.train
    images = (image.numpy().tobytes() for image in data.batch(train))
    expected = list(zip(images, data.labels[train].tolist(), strict=True))
    assert sorted(seen) == sorted(expected)
    assert seen != expected


def test_an_arm_learns(data, splits, tmp_path, tiny_networks) -> None:
    longer = replace(TINY, base_epochs=60)
    study = Arms(data, splits, longer, seed=0, store=Store(tmp_path), progress=Silent())
    network = study._network("vgg_like")
    network.load_state_dict(study._base("vgg_like"))
    with torch.inference_mode():
        answers = network.eval()(normalised(data.batch(splits.train))).argmax(dim=1).numpy()
    assert np.mean(answers == data.labels[splits.train]) > 0.3  # ten classes


def test_noise_has_the_declared_strength() -> None:
    grey, seeds = torch.full((300, 3, 16, 16), 0.5), np.arange(300)
    sigma = noisy(grey, seeds)[:, 0].flatten(1).std(dim=1)
    assert float(sigma.mean()) == pytest.approx(0.2, abs=0.005)
    drawn = drawn_noise(grey, seeds)[:, 0].flatten(1).std(dim=1)
    assert 0.04 < float(drawn.min()) < 0.08
    assert 0.26 < float(drawn.max()) < 0.33


def arms(data: Dataset, splits: Splits, folder: Path, seed: int = 0) -> Arms:
    return Arms(data, splits, TINY, seed=seed, store=Store(folder), progress=Silent())


def test_the_noise_that_judges_is_one_and_the_noise_that_trains_is_many(
    data, splits, tmp_path
) -> None:
    one, other = arms(data, splits, tmp_path), arms(data, splits, tmp_path, seed=1)
    rows = splits.test[:5]
    judged = [a.shown("noisy", rows, "test", 0) for a in (one, other)]
    assert torch.equal(*judged)
    trained = [a.shown("noisy", rows, "base 0", a.seed) for a in (one, other)]
    assert not torch.equal(*trained)
    single = one.shown("noisy", rows[3:4], "test", 0)
    assert torch.equal(single[0], judged[0][3])


def test_denoiser_and_classifiers_see_train_only(data, splits, tmp_path, tiny_networks) -> None:
    class Recording(Dataset):
        def batch(self, indices):
            self.__dict__.setdefault("read", set()).update(np.asarray(indices).tolist())
            return super().batch(indices)

    watched = Recording(
        **{name: getattr(data, name) for name in data.__dataclass_fields__}
    )  # the same images
    some = arms(watched, splits, tmp_path)
    _ = some.denoiser
    for arm in ARMS:
        some._tuned("vgg_like", arm)
    assert watched.read <= set(splits.train.tolist())


def test_what_is_kept_is_not_trained_again(
    data, splits, tmp_path, monkeypatch, tiny_networks
) -> None:
    first = arms(data, splits, tmp_path).answers("vgg_like", "denoised")
    monkeypatch.setattr(denoise_arms, "Tuning", None)
    monkeypatch.setattr(denoise_arms, "AutoencoderTraining", None)
    again = arms(data, splits, tmp_path).answers("vgg_like", "denoised")
    assert again.keys() == first.keys() == {*ARMS, "denoised clean"}
    for condition, labels in first.items():
        assert np.array_equal(labels, again[condition])
        assert len(labels) == 40
