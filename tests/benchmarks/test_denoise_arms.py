"""The arms: what they are trained on, and that nothing is mixed up or done twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import denoise_arms
from benchmarks.denoise_arms import ARMS, Arms, Budget, drawn_noise, fit, noisy, normalised
from benchmarks.denoise_networks import vgg_like
from benchmarks.kept import Store
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


def test_labels_stay_with_their_images_whatever_the_order() -> None:
    """The study behind this benchmark lost them: its loader shuffled, its labels did not."""
    labels = np.random.default_rng(0).integers(0, 2, 200)
    seen: list[int] = []

    def images(epoch: int, rows: np.ndarray) -> torch.Tensor:
        seen.extend(rows.tolist())
        return torch.from_numpy(labels[rows]).float().reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2)

    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    fit(
        network, images, labels, epochs=3, batch_size=10, peak=0.05, seed=1,
        device=torch.device("cpu"),
    )  # fmt: skip
    assert sorted(seen) == sorted([*range(200)] * 3)
    assert seen[:200] != list(range(200))
    with torch.inference_mode():
        answers = network(normalised(images(0, np.arange(200)))).argmax(dim=1).numpy()
    assert np.array_equal(answers, labels)


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
    monkeypatch.setattr(denoise_arms, "fit", None)
    monkeypatch.setattr(denoise_arms, "train_autoencoder", None)
    again = arms(data, splits, tmp_path).answers("vgg_like", "denoised")
    assert again.keys() == first.keys() == {*ARMS, "denoised clean"}
    for condition, labels in first.items():
        assert np.array_equal(labels, again[condition])
        assert len(labels) == 40
