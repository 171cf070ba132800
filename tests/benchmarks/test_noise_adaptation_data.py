"""Pairs of cameras from files, which scenes are adapted to, and the synthetic camera."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("pywt", reason="the photographs come with the benchmark of the signals")

from benchmarks import noise_adaptation_data as module
from benchmarks.study import Study
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.errors import DataError


def camera_folder(place: Path) -> Path:
    """Camera A with scenes attic, bed, car and B with dog, one crop each, of different levels."""
    names = ("A_3-5_125_1600_attic_7", "A_3-5_125_1600_bed_7", "A_3-5_125_800_car_1", "B_8_8_dog_2")
    for level, name in enumerate(names):
        for kind, offset in (("real", 100), ("mean", 0)):
            (place / kind).mkdir(exist_ok=True)
            pixels = np.full((24, 20, 3), 10 * level + offset, dtype=np.uint8)
            Image.fromarray(pixels).save(place / kind / f"{name}_{kind}.png")
    return place


def test_pairs_are_matched_by_name_in_a_folder_and_in_an_archive(tmp_path: Path) -> None:
    folder = camera_folder(tmp_path)
    pairs = module.load_pairs(folder)
    assert [(p.camera, p.scene) for p in pairs] == [
        ("A", "attic"), ("A", "bed"), ("A", "car"), ("B", "dog"),
    ]  # fmt: skip
    for level, pair in enumerate(pairs):
        assert pair.real.shape == (3, 24, 20)
        assert torch.equal(pair.real, torch.full((3, 24, 20), (10 * level + 100) / 255))
        assert torch.equal(pair.mean, torch.full((3, 24, 20), 10 * level / 255))
    with ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in sorted(folder.glob("*/*.png")):
            archive.write(file, file.relative_to(folder))
    packed = module.load_pairs(tmp_path / "all.zip")
    assert all(torch.equal(a.mean, b.mean) for a, b in zip(pairs, packed, strict=True))


def test_what_holds_no_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder or a zip archive"):
        module.load_pairs(tmp_path / "missing.zip")
    with pytest.raises(DataError, match="found none"):
        module.load_pairs(tmp_path)
    folder = camera_folder(tmp_path)
    (folder / "mean" / "B_8_8_dog_2_mean.png").unlink()
    with pytest.raises(DataError, match="a partner B_8_8_dog_2_mean"):
        module.load_pairs(folder)


def test_every_second_scene_of_the_largest_camera_is_adapted_to(tmp_path: Path) -> None:
    pairs = module.load_pairs(camera_folder(tmp_path))
    clean = [torch.zeros(3, 9, 9)]
    domain = module.camera_domain(pairs, clean)
    assert [image[0, 0, 0].item() * 255 for image in domain.unlabelled] == pytest.approx([100, 120])
    assert domain.sets.tolist() == ["other scenes", "other cameras"]
    assert domain.groups.tolist() == ["A bed", "B dog"]
    assert domain.noisy[0][0, 0, 0].item() * 255 == pytest.approx(110)
    assert domain.truth[1][0, 0, 0].item() * 255 == pytest.approx(30)
    assert domain.facts["scenes"] == ["attic", "car"]
    brighter = module.camera_domain(pairs, [torch.ones(3, 9, 9)])
    assert brighter.facts["digest"] != domain.facts["digest"]


def test_one_scene_is_not_enough(tmp_path: Path) -> None:
    pairs = module.load_pairs(camera_folder(tmp_path))
    with pytest.raises(DataError, match="at least two scenes"):
        module.camera_domain([pairs[0], pairs[3]], [])


def test_photographs_of_a_folder_and_of_scikit_image(tmp_path: Path) -> None:
    Image.fromarray(np.full((12, 14, 3), 51, dtype=np.uint8)).save(tmp_path / "a.png")
    (photo,) = module.photos_of(str(tmp_path))
    assert torch.equal(photo, torch.full((3, 12, 14), 0.2))
    pairs, clean = module.quick_pairs()
    assert (len(pairs), len(clean)) == (8, 4)
    assert {p.camera for p in pairs} == {"A", "B"}
    assert all(not torch.equal(p.real, p.mean) for p in pairs)


def test_the_synthetic_camera_shares_no_image_between_its_parts(quick_study: Study) -> None:
    splits = quick_study.splits
    small = replace(splits, train=splits.train[:41], test=splits.test[:30])
    study = replace(quick_study, splits=small)
    domain = module.synthetic_domain(study)
    assert (len(domain.clean), len(domain.unlabelled), len(domain.noisy)) == (21, 20, 30)
    assert torch.equal(domain.clean[1], study.data.batch(small.train[2:3])[0])
    assert torch.equal(torch.stack(list(domain.truth)), study.data.batch(small.test))
    assert domain.labels.tolist() == study.data.labels[small.test].tolist()
    severities, counts = np.unique(domain.sets, return_counts=True)
    assert severities.tolist() == [f"severity {n}" for n in range(1, 6)]
    assert counts.min() >= 1
    # One image by itself, from its own digest.
    position = small.test[4:5]
    seeds = module.seeds_for(0, study.data.digests[position], "noise adaptation/judged")
    severity = int(domain.sets[4].removeprefix("severity "))
    alone = CORRUPTIONS["camera"](study.data.batch(position), severity=severity, seeds=seeds)
    assert torch.equal(alone[0], domain.noisy[4])
