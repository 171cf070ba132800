"""What labels teach an adapted restorer: the loss by hand, a dimming undone, kept and resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gatekeeper.adaptation import recognition as module
from gatekeeper.adaptation.recipe import Recognition
from gatekeeper.adaptation.recognition import (
    RecognitionTraining,
    Taught,
    shifted,
    taught_restorer,
)
from gatekeeper.errors import InputError, TrainingError
from gatekeeper.images import Dataset
from gatekeeper.progress import Silent
from gatekeeper.protocols import TrainingBatch
from gatekeeper.restorers import AutoencoderRestorer, Identity, UNetRestorer
from gatekeeper.restorers.autoencoder import AutoencoderConfig, SkipAutoencoder
from gatekeeper.restorers.unet import ResidualUNet, UNetConfig
from gatekeeper.training.sources import DatasetImages

SIDE = 16
FEW = Recognition(steps=4, batch_size=4, least_labels=5, check_every=2)


class Brightness:
    """Says class 1 where an image's mean is above one half; frozen and differentiable."""

    digest = "b" * 64

    def logits_with_gradient(self, images: Tensor) -> Tensor:
        above = 8.0 * (images.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([-above, above], dim=1)


class Blind(Brightness):
    """Whatever it is shown, both classes are alike."""

    def logits_with_gradient(self, images: Tensor) -> Tensor:
        return 0.0 * super().logits_with_gradient(images)


class Remote:
    digest = "c" * 64


def unet() -> UNetRestorer:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return UNetRestorer(ResidualUNet(UNetConfig(widths=(4, 8))), device="cpu")


def dataset(n: int, *, dimmed: bool) -> Dataset:
    """Plain images, half of them bright; dimmed ones are all below one half."""
    rng = np.random.default_rng(1 if dimmed else 2)
    labels = np.arange(n) % 2
    level = np.where(labels == 1, 200, 60) + rng.integers(-30, 30, n)
    pixels = np.broadcast_to(level[:, None, None, None], (n, SIDE, SIDE, 3)).astype(np.float64)
    pixels = pixels + rng.integers(-5, 6, (n, SIDE, SIDE, 3))
    return Dataset(
        name="plain",
        images=(pixels * (0.5 if dimmed else 1.0)).round().astype(np.uint8),
        labels=labels,
        class_names=("dark", "bright"),
        test_index=np.arange(0),
        licence="none",
        source="a test",
    )


def batch(n: int = 6) -> TrainingBatch:
    noisy, clean = dataset(n, dimmed=True), dataset(n, dimmed=False)
    every = np.arange(n)
    return TrainingBatch(
        clean=clean.batch(every), degraded=noisy.batch(every), labels=noisy.labels, seeds=every
    )


def taught(work: Path, n: int = 40, **changes: object) -> Taught:
    given = {
        "restorer": unet(),
        "classifier": Brightness(),
        "options": FEW,
        "seed": 0,
        **changes,
    }
    labelled = DatasetImages(dataset(n, dimmed=True), np.arange(n))
    clean = DatasetImages(dataset(30, dimmed=False), np.arange(30))
    return taught_restorer(
        given["restorer"], labelled, clean, given["classifier"], given["options"],
        highest_sigma=0.1, flips=True, seed=given["seed"], work=work, progress=Silent(),
    )  # fmt: skip


def test_the_loss_by_hand() -> None:
    restorer = unet()
    options = Recognition(identity_weight=0.5)
    training = RecognitionTraining(restorer, options, Brightness().logits_with_gradient)
    shown = batch()
    assert shown.labels is not None
    labels = torch.from_numpy(shown.labels)
    with torch.no_grad():
        got = float(training.loss(shown.degraded, labels, shown.clean))
        restored = (shown.degraded + restorer.network(shown.degraded)).clamp(0, 1)
        changed = restorer.network(shown.clean)
        wrong = F.cross_entropy(Brightness().logits_with_gradient(restored), labels)
        expected = wrong + 0.5 * torch.sqrt(changed**2 + 1e-6).mean()
    assert got == pytest.approx(float(expected), abs=1e-6)


def test_what_hid_the_class_is_undone_and_clean_images_stay() -> None:
    rng = np.random.default_rng(0)
    noisy, clean = dataset(64, dimmed=True), dataset(64, dimmed=False)
    changes = {}
    for weight in (0.0, 20.0):
        options = Recognition(
            steps=150, batch_size=16, learning_rate=5e-3, identity_weight=weight, ema_decay=0.9
        )
        training = RecognitionTraining(unet(), options, Brightness().logits_with_gradient)
        for _ in range(150):
            rows, others = rng.integers(0, 64, 16), rng.integers(0, 64, 16)
            training.step(
                TrainingBatch(
                    clean=clean.batch(others),
                    degraded=noisy.batch(rows),
                    labels=noisy.labels[rows],
                    seeds=rows,
                )
            )
        training.choose(DatasetImages(noisy, np.arange(64)))
        restorer = training.export()
        seeds = np.arange(64)
        before, after = noisy.batch(seeds), restorer.restore(noisy.batch(seeds), seeds=seeds)
        answers = [
            Brightness().logits_with_gradient(images).argmax(dim=1).numpy()
            for images in (before, after)
        ]
        # Before, everything looks dark: half of the answers are right.
        assert (answers[0] == noisy.labels).mean() == 0.5
        if weight == 0.0:
            assert (answers[1] == noisy.labels).mean() == 1.0
        untouched = clean.batch(seeds)
        change = (restorer.restore(untouched, seeds=seeds) - untouched).abs().mean()
        changes[weight] = float(change)
    assert changes[20.0] < 0.5 * changes[0.0]


def test_the_given_restorer_stays_as_it_is(tmp_path: Path) -> None:
    given = unet()
    before = given.digest
    found = taught(tmp_path, restorer=given)
    assert given.digest == before != found.restorer.digest
    assert found.to_json() == {"n_labels": 40, "left_out": ""}


def test_an_autoencoder_learns_too(tmp_path: Path) -> None:
    config = AutoencoderConfig(encoder=(4, 4, 4, 4, 8, 8), decoder=(8, 4, 4))
    given = AutoencoderRestorer(SkipAutoencoder(config), device="cpu")
    options = FEW.model_copy(update={"steps": 40, "learning_rate": 1e-2, "identity_weight": 0.0})
    found = taught(tmp_path, restorer=given, options=options)
    assert found.restorer.name == "autoencoder"
    assert found.restorer.digest != given.digest


def test_what_is_finished_is_read_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = taught(tmp_path).restorer.digest
    monkeypatch.setattr(module, "_train", lambda *_: pytest.fail("trained again"))
    assert taught(tmp_path).restorer.digest == first
    assert [len(list(folder.iterdir())) for folder in tmp_path.iterdir()] == [2]


def test_a_training_that_was_cut_short_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = taught(tmp_path / "whole").restorer.digest
    steps = []
    real = RecognitionTraining.step

    def broken(self: RecognitionTraining, shown: TrainingBatch) -> float:
        steps.append(len(steps))
        if len(steps) == 4:
            raise KeyboardInterrupt
        return real(self, shown)

    monkeypatch.setattr(RecognitionTraining, "step", broken)
    with pytest.raises(KeyboardInterrupt):
        taught(tmp_path / "cut")
    assert taught(tmp_path / "cut").restorer.digest == expected
    # Two steps were kept: the third is made again, and the fourth.
    assert len(steps) == 6


def test_other_labels_seeds_and_options_make_other_restorers(tmp_path: Path) -> None:
    digests = {
        taught(tmp_path).restorer.digest,
        taught(tmp_path, seed=1).restorer.digest,
        taught(tmp_path, n=20).restorer.digest,
        taught(tmp_path, options=FEW.model_copy(update={"identity_weight": 3.0})).restorer.digest,
    }
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"n": 4}, "4 labelled images that may teach, fewer than 5"),
        ({"classifier": Remote()}, "the classifier gives no gradients"),
        ({"options": FEW.model_copy(update={"steps": 0})}, "the recipe asks for no steps"),
        ({"restorer": Identity()}, "a restorer of kind identity is not one network"),
    ],
)
def test_what_cannot_be_taught_is_left_and_said(
    changes: dict[str, object], reason: str, tmp_path: Path
) -> None:
    given = changes.get("restorer", unet())
    found = taught(tmp_path, **{"restorer": given, **changes})
    assert found.restorer is given
    assert found.to_json() == {"n_labels": 0, "left_out": reason}
    assert not list(tmp_path.iterdir())


def test_the_state_that_is_best_on_labels_kept_aside_is_used() -> None:
    """Without a step the average is the given network; a ruined one does not take its place."""
    restorer = unet()
    training = RecognitionTraining(restorer, FEW, Brightness().logits_with_gradient)
    data = dataset(300, dimmed=True)  # more than one block
    held = DatasetImages(data, np.arange(300))
    images = data.batch(np.arange(300))
    with torch.no_grad():
        restored = (images + restorer.network(images)).clamp(0, 1)
        logits = Brightness().logits_with_gradient(restored)
        expected = F.cross_entropy(logits, torch.from_numpy(data.labels))
    assert training.choose(held) == pytest.approx(float(expected), abs=1e-5)
    ruined = {name: t + 3.0 for name, t in training.state().items() if name.startswith("average.")}
    training.load_state({**training.state(), **ruined})
    assert training.choose(held) > float(expected)
    assert training.export().digest == restorer.digest


def test_what_makes_nothing_better_is_left_and_said(tmp_path: Path) -> None:
    given = unet()
    found = taught(tmp_path, restorer=given, classifier=Blind())
    assert found.restorer is given
    assert found.left_out == "nothing was better on 8 labelled images that were kept aside"


def test_images_that_choose_never_teach() -> None:
    rows = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    labelled = DatasetImages(dataset(10, dimmed=True), rows)
    learned, held = module._apart(labelled, Recognition(validation_share=0.3), seed=0)
    assert len(held.digests) == 3 == len(set(held.digests))
    assert not set(held.digests) & set(learned.digests)
    # What is repeated stays repeated.
    assert len(learned.digests) == sum(digest not in held.digests for digest in labelled.digests)


def test_images_are_moved_by_whole_pixels_and_mirrored_at_the_border() -> None:
    rows = torch.arange(SIDE, dtype=torch.float32)
    images = (rows[:, None] * SIDE + rows[None, :]).expand(200, 3, SIDE, SIDE).contiguous()
    seeds = np.arange(200)
    moved = shifted(images, seeds, share=0.125)
    assert torch.equal(moved, shifted(images, seeds, share=0.125))
    # The middle says by how much each moved: up to two pixels of sixteen, either way.
    middle = moved[:, 0, 8, 8].long() - (8 * SIDE + 8)
    down = torch.div(middle + 2, SIDE, rounding_mode="floor")
    right = middle - down * SIDE
    assert set(down.tolist()) == set(right.tolist()) == {-2, -1, 0, 1, 2}
    for image, d, r in zip(moved[:20, 0], down.tolist(), right.tolist(), strict=False):
        reflected = np.pad(images[0, 0].numpy(), 2, mode="reflect")
        expected = reflected[2 + d : 2 + d + SIDE, 2 + r : 2 + r + SIDE]
        np.testing.assert_array_equal(image.numpy(), expected)
    assert torch.equal(shifted(images, seeds, share=0.0), images)


def test_clean_images_are_rehearsed_with_their_own_labels_and_noise() -> None:
    traffic, clean = dataset(20, dimmed=True), dataset(30, dimmed=False)
    shown = module._Shown(
        DatasetImages(traffic, np.arange(20)),
        DatasetImages(clean, np.arange(30)),
        FEW.model_copy(update={"shift": 0.0}),
        highest_sigma=0.1,
        flips=False,
        seed=0,
    ).batch(0)
    assert shown.labels is not None
    assert len(shown.degraded) == len(shown.clean) == len(shown.labels) == 6
    # Whole images without flips: the clean ones can be found again, and with them their labels.
    every = clean.batch(np.arange(30))
    found = [int((every - one).abs().sum(dim=(1, 2, 3)).argmin()) for one in shown.clean[:2]]
    np.testing.assert_array_equal(shown.labels[4:], clean.labels[found])
    for noisy, of in zip(shown.degraded[4:], every[found], strict=True):
        assert 0.0 < float((noisy - of).abs().mean()) < 0.1
    every = traffic.batch(np.arange(20))
    found = [int((every - one).abs().sum(dim=(1, 2, 3)).argmin()) for one in shown.degraded[:4]]
    assert torch.equal(every[found], shown.degraded[:4])
    np.testing.assert_array_equal(shown.labels[:4], traffic.labels[found])


def test_a_batch_without_labels_is_refused() -> None:
    training = RecognitionTraining(unet(), FEW, Brightness().logits_with_gradient)
    shown = batch()
    with pytest.raises(InputError, match="expected labels in the batch"):
        training.step(replace(shown, labels=None))


def test_a_loss_that_is_not_finite_changes_nothing() -> None:
    training = RecognitionTraining(
        unet(), FEW, lambda images: images.mean() * torch.full((6, 2), torch.inf)
    )
    before = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    with pytest.raises(TrainingError, match="expected a finite loss"):
        training.step(batch())
    for name, tensor in training.network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_another_kind_of_restorer_is_refused() -> None:
    with pytest.raises(InputError, match="expected a U-Net or an autoencoder"):
        RecognitionTraining(Identity(), FEW, Brightness().logits_with_gradient)  # type: ignore[arg-type]
