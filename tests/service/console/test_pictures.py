"""Samples, restored images and reports of a real bundle."""

from __future__ import annotations

import base64
import shutil
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from gatekeeper.decision import Action
from gatekeeper.engine import GatekeeperStages
from gatekeeper.engine.stages import Doubted
from gatekeeper.evidence import restore_rows
from gatekeeper.pipeline import Gatekeeper
from gatekeeper.service.console.pictures import (
    bundle_directory,
    data_uri,
    fitted_8_bit,
    restored_images,
    samples_of,
)


def test_a_data_uri_holds_the_pixels() -> None:
    image = torch.tensor([[0, 51], [102, 255]]).div(255).expand(3, 2, 2)
    head, _, body = data_uri(image).partition(",")
    assert head == "data:image/png;base64"
    with Image.open(BytesIO(base64.b64decode(body))) as read:
        assert np.asarray(read)[:, :, 0].tolist() == [[0, 51], [102, 255]]


def test_an_image_at_the_gates_size_survives_its_png() -> None:
    torch.manual_seed(0)
    fitted = fitted_8_bit(torch.rand(3, 40, 61), (8, 8))
    assert fitted.shape == (3, 8, 8)
    with Image.open(BytesIO(base64.b64decode(data_uri(fitted).partition(",")[2]))) as read:
        again = torch.from_numpy(np.array(read)).permute(2, 0, 1).float().div(255)
    assert torch.equal(fitted_8_bit(again, (8, 8)), fitted)


def test_samples_are_the_golden_set_and_are_decided_as_it_says(gatekeeper: Gatekeeper) -> None:
    samples = samples_of(gatekeeper)
    assert len(samples) == 16
    decisions = gatekeeper.decide(torch.stack(samples))
    assert [decision.action for decision in decisions].count(Action.ABSTAIN) == 2


def test_restored_images_are_those_that_the_engine_looked_at(gatekeeper: Gatekeeper) -> None:
    images = torch.stack(samples_of(gatekeeper)[8:12])
    stages = GatekeeperStages(gatekeeper)
    looks = stages.first(images)
    decisions = gatekeeper.decide(images)
    found = 0
    for image, look, decision in zip(images, looks, decisions, strict=True):
        shown = restored_images(gatekeeper, image, decision)
        assert len(shown) == len(decision.attempts)
        assert shown[0] is None
        if isinstance(look, Doubted):
            found += 1
            expected = restore_rows(
                gatekeeper.fitted.restorers,
                image[None],
                np.array([look.restorer]),
                np.array([look.seed]),
            )[0]
            assert shown[1] is not None
            assert torch.equal(shown[1], expected)
            assert not torch.equal(expected, image)
    assert found >= 2


def test_what_is_no_gatekeeper_has_neither() -> None:
    other = SimpleNamespace(calibration_id="x", image_size=(4, 4))
    assert bundle_directory(other) is None
    assert samples_of(other) == []
    decision = SimpleNamespace(attempts=(1, 2))
    assert restored_images(other, torch.zeros(3, 4, 4), decision) == [None, None]


def test_a_bundle_without_a_golden_set_has_no_samples(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    bare = Gatekeeper.load(tmp_path / "bundle", device="cpu")
    (tmp_path / "bundle" / "golden.safetensors").write_bytes(b"damaged since it was loaded")
    assert samples_of(bare) == []
    (tmp_path / "bundle" / "golden.safetensors").unlink()
    assert samples_of(bare) == []
