"""What the benchmark of adaptation is made of: traffic that is nobody's, tiles, a real camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("pywt", reason="the photographs come with the benchmark of the signals")

from benchmarks import adaptation_runs as module
from benchmarks.adaptation_runs import QUICK, Subject, fit_recipe, photographed, splits_of, tiles
from benchmarks.noise_adaptation_data import Domain
from gatekeeper.progress import Silent
from tests import small_gate


def subject(work: Path) -> Subject:
    data = small_gate.digits()
    return Subject(
        data=data,
        splits=splits_of(data, QUICK),
        recipe=fit_recipe("digits", QUICK),
        spec=small_gate.spec(),
        classifier=small_gate.classifier(),
        size=QUICK,
        work=work,
        progress=Silent(),
    )


def test_traffic_is_what_the_champion_leaves_over(tmp_path: Path) -> None:
    found = subject(tmp_path)
    rows = module._left_over(found)
    used = {
        digest
        for name in ("train", "validation", "fit", "calibrate", "certify", "test")
        for digest in found.data.digests[found.splits[name]].tolist()
    }
    assert not used & set(found.data.digests[rows].tolist())
    assert len(used) + len(rows) == len(set(found.data.digests.tolist()))


def test_a_photograph_depends_on_its_image_and_seed_alone() -> None:
    data = small_gate.digits()
    whole = photographed(data, np.arange(6), 0, "x")
    np.testing.assert_array_equal(photographed(data, np.array([4]), 0, "x")[0], whole[4])
    assert (photographed(data, np.arange(6), 1, "x") != whole).any()
    assert whole.shape == (6, 28, 28, 3)
    assert whole.dtype == np.uint8


def test_tiles_are_squares_of_the_image() -> None:
    image = torch.arange(3 * 96 * 64, dtype=torch.float32).reshape(3, 96, 64)
    cut = tiles(image)
    # Tops 0, 21, 42, 64 and lefts 0, 10, 21, 32.
    assert cut.shape == (16, 3, 32, 32)
    assert torch.equal(cut[0], image[:, :32, :32])
    assert torch.equal(cut[-1], image[:, 64:, 32:])
    assert len(tiles(torch.zeros(3, 32, 32))) == 1


def test_a_real_camera_is_judged_against_the_clean_capture(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    truth = [torch.full((3, 40, 40), 0.25 * (n + 1)) for n in range(2)]
    noisy = [
        (image + 0.1 * torch.randn(image.shape, generator=generator)).clamp(0, 1) for image in truth
    ]
    domain = Domain(
        name="camera",
        clean=truth,
        unlabelled=noisy,
        noisy=noisy,
        truth=truth,
        sets=np.array(["a", "a"]),
        groups=np.array(["x", "y"]),
        labels=None,
        facts={"name": "flat", "digest": "0"},
    )
    found = module.real_noise(domain, QUICK, small_gate.classifier(), 0, tmp_path, Silent())
    error = float(((noisy[0] - truth[0]).double() ** 2).mean())
    assert found["psnr_before"][0] == pytest.approx(-10 * np.log10(error), rel=1e-5)
    assert found["psnr_after"].shape == (2,)
    answers = small_gate.classifier().look(tiles(truth[0])).logits.argmax(axis=1)
    given = small_gate.classifier().look(tiles(noisy[0])).logits.argmax(axis=1)
    assert found["agrees_before"][0] == (answers == given).mean()


def test_the_full_study_keeps_the_classifiers_own_splits() -> None:
    from benchmarks.study import SPLIT_SIZES

    for name in ("train", "validation"):
        assert module.FULL.splits[name] == SPLIT_SIZES[name]
    assert sum(module.FULL.splits.values()) + module.FULL.captured < 50_000
