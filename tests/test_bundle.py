"""Bundles: save and load, and every way in which one can be wrong."""

from __future__ import annotations

import json
import pickle
import pickletools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gatekeeper.bundle import (
    EXTENDED_VERSION,
    GATE_FILE,
    SCHEMA_VERSION,
    load_bundle,
    save_bundle,
)
from gatekeeper.errors import BundleError, InputError
from gatekeeper.manifest import MANIFEST, file_digest, verify_manifest, write_manifest
from gatekeeper.paths import shipped
from gatekeeper.restorers import AutoencoderRestorer, UNetRestorer
from gatekeeper.restorers.autoencoder import AutoencoderConfig, SkipAutoencoder
from gatekeeper.restorers.unet import ResidualUNet, UNetConfig
from tests.small_gate import small


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    directory = tmp_path_factory.mktemp("bundles") / "small"
    return directory, save_bundle(small().result.fitted, directory)


@pytest.fixture
def bundle(saved: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved[0], tmp_path / "bundle"))


def rewrite(bundle: Path, **changes: object) -> None:
    """Change the gate file and make the manifest agree, as someone who means it would."""
    body = json.loads((bundle / GATE_FILE).read_text(encoding="utf-8"))
    (bundle / GATE_FILE).write_text(json.dumps({**body, **changes}), encoding="utf-8")
    write_manifest(bundle)


def test_what_a_bundle_holds(saved: tuple[Path, str]) -> None:
    directory, identity = saved
    names = {path.name for path in directory.iterdir()}
    assert names == {GATE_FILE, MANIFEST, "gate.safetensors", "classifier.safetensors"}
    assert identity == verify_manifest(directory) == file_digest(directory / MANIFEST)
    body = json.loads((directory / GATE_FILE).read_text(encoding="utf-8"))
    fitted = small().result.fitted
    assert body["schema_version"] == SCHEMA_VERSION
    assert body["policy"] == {
        "accept_raw_at": fitted.gate.accept_raw_at,
        "accept_restored_at": fitted.gate.accept_restored_at,
        "switch_margin": fitted.gate.switch_margin,
    }
    assert body["classifier"]["digest"] == fitted.classifier.digest
    assert body["classifier"]["options"]["checkpoint"] == "classifier.safetensors"
    assert body["certificate"]["target_risk"] == 0.1
    assert set(body["calibrators"]) == {"raw", "restored", "final"}
    assert body["restorer_of"] == {"impulse": "median", "dark": "exposure"}


def test_loading_rebuilds_the_same_gate(saved: tuple[Path, str]) -> None:
    directory, identity = saved
    loaded, found = load_bundle(directory, device="cpu")
    fitted = small().result.fitted
    assert found == identity
    assert loaded.gate == fitted.gate
    assert (loaded.name, loaded.seed, loaded.image_size) == ("small", 0, (28, 28))
    assert loaded.classifier.digest == fitted.classifier.digest
    for key in ("raw", "restored"):
        ours, theirs = fitted.predictors[key].state(), loaded.predictors[key].state()
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            np.testing.assert_array_equal(theirs[name], array)
    for key in ("raw", "restored", "final"):
        for name, array in fitted.calibrators[key].state().items():
            np.testing.assert_array_equal(loaded.calibrators[key].state()[name], array)
    for name, array in fitted.router.state().items():
        np.testing.assert_array_equal(loaded.router.state()[name], array)
    for name, array in fitted.conditions.state().items():
        np.testing.assert_array_equal(loaded.conditions.state()[name], array)
    assert loaded.accuracy is not None
    for name, array in fitted.accuracy.state().items():
        np.testing.assert_array_equal(loaded.accuracy.state()[name], array)


def test_a_bundle_of_before_the_estimate_of_accuracy_still_loads(tmp_path: Path) -> None:
    save_bundle(replace(small().result.fitted, accuracy=None), tmp_path / "old")
    fitted, _ = load_bundle(tmp_path / "old", device="cpu")
    assert fitted.accuracy is None


def test_saving_what_was_loaded_gives_the_same_bundle(saved, tmp_path: Path) -> None:
    loaded, identity = load_bundle(saved[0], device="cpu")
    assert save_bundle(loaded, tmp_path / "again") == identity


def test_saving_replaces_a_bundle_as_a_whole(bundle: Path) -> None:
    (bundle / "old").write_text("left over")
    save_bundle(small().result.fitted, bundle)
    verify_manifest(bundle)


@pytest.mark.parametrize("name", [GATE_FILE, "gate.safetensors", "classifier.safetensors"])
def test_a_changed_byte_is_refused(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name} in the bundle .* was changed"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", [GATE_FILE, "gate.safetensors", "classifier.safetensors"])
def test_a_missing_file_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}"):
        load_bundle(bundle)
    write_manifest(bundle)  # nor may the manifest be made to agree
    with pytest.raises(BundleError):
        load_bundle(bundle)


def test_an_extra_file_is_refused(bundle: Path) -> None:
    (bundle / "extra.safetensors").write_bytes(b"")
    with pytest.raises(BundleError, match=r"holds extra\.safetensors"):
        load_bundle(bundle)


@pytest.mark.parametrize("version", [EXTENDED_VERSION + 1, 0, "1"])
def test_another_schema_version_is_refused(bundle: Path, version: object) -> None:
    rewrite(bundle, schema_version=version)
    with pytest.raises(BundleError, match=f"has schema version {version}, this gatekeeper reads"):
        load_bundle(bundle)


def test_another_classifier_is_refused(bundle: Path) -> None:
    weights = load_file(bundle / "classifier.safetensors")
    weights["5.bias"] = weights["5.bias"] + 1e-3
    save_file(weights, bundle / "classifier.safetensors")
    write_manifest(bundle)
    with pytest.raises(BundleError, match=r"the classifier in .* is not the one that was calibr"):
        load_bundle(bundle)


def test_other_preprocessing_is_another_classifier(bundle: Path) -> None:
    body = json.loads((bundle / GATE_FILE).read_text(encoding="utf-8"))
    body["classifier"]["options"]["mean"] = [0.5, 0.5, 0.5]
    rewrite(bundle, classifier=body["classifier"])
    with pytest.raises(BundleError, match=r"the classifier in .* is not the one that was calibr"):
        load_bundle(bundle)


def test_another_restorer_is_refused(bundle: Path) -> None:
    body = json.loads((bundle / GATE_FILE).read_text(encoding="utf-8"))
    body["restorers"]["median"]["digest"] = "0" * 64
    rewrite(bundle, restorers=body["restorers"])
    with pytest.raises(BundleError, match=r"the restorer median in .* is not the one"):
        load_bundle(bundle)


def weighted() -> dict[str, AutoencoderRestorer | UNetRestorer]:
    """Two of one method under names of their own, and one of another method."""
    torch.manual_seed(3)
    unets = [ResidualUNet(UNetConfig((4, 4))) for _ in range(2)]
    for network in unets:  # they start as the identity, all alike
        torch.nn.init.normal_(list(network.parameters())[-1])
    small_one = SkipAutoencoder(AutoencoderConfig((4, 4, 4, 4, 4, 4), (4, 4, 4)))
    return {
        "autoencoder": AutoencoderRestorer(small_one, device="cpu"),
        "sharp": UNetRestorer(unets[0], device="cpu"),
        "unet": UNetRestorer(unets[1], device="cpu"),
    }


def test_every_restorer_with_weights_travels_in_a_file_of_its_own(tmp_path: Path) -> None:
    given = weighted()
    fitted = replace(small().result.fitted, restorers={**small().result.fitted.restorers, **given})
    save_bundle(fitted, tmp_path / "b")
    names = {path.name for path in (tmp_path / "b").iterdir()}
    assert {"autoencoder.safetensors", "sharp.safetensors", "unet.safetensors"} < names
    loaded, identity = load_bundle(tmp_path / "b", device="cpu")
    assert loaded.restorers.keys() == fitted.restorers.keys()
    for name, restorer in given.items():
        assert loaded.restorers[name].digest == restorer.digest
        assert loaded.restorers[name].name == restorer.name
    assert loaded.restorers["sharp"].digest != loaded.restorers["unet"].digest
    assert save_bundle(loaded, tmp_path / "again") == identity


def test_a_restorer_must_not_take_the_name_of_another_file(tmp_path: Path) -> None:
    fitted = replace(small().result.fitted, restorers={"gate": weighted()["unet"]})
    with pytest.raises(InputError, match="none of the bundle's own files, got 'gate'"):
        save_bundle(fitted, tmp_path / "b")


def test_changed_weights_of_a_restorer_are_refused(tmp_path: Path) -> None:
    bundle, given = tmp_path / "b", weighted()
    save_bundle(replace(small().result.fitted, restorers=given), bundle)
    weights = load_file(bundle / "sharp.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1}, bundle / "sharp.safetensors")
    write_manifest(bundle)
    with pytest.raises(BundleError, match=r"the restorer sharp in .* is not the one"):
        load_bundle(bundle)
    save_file({name: weights[name]}, bundle / "sharp.safetensors")
    write_manifest(bundle)
    with pytest.raises(BundleError):
        load_bundle(bundle)


def test_a_bundle_of_before_restorers_named_their_method_still_loads() -> None:
    issued = shipped("calibration", "small-resnet-fashion-mnist") / "bundle"
    body = json.loads((issued / GATE_FILE).read_text(encoding="utf-8"))
    loaded, _ = load_bundle(issued, device="cpu")
    kept = body["restorers"]["autoencoder"]
    assert loaded.restorers["autoencoder"].digest == kept["digest"]


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": {"accept_raw_at": -1.0, "accept_restored_at": 0.5, "switch_margin": 0.1}},
        {"policy": {}},
        {"calibrators": {"raw": "magic"}},
        {"image_size": []},
        {"restorers": {"unet": {"digest": ""}}},
    ],
)
def test_a_gate_file_that_cannot_be_followed_is_refused(bundle: Path, changes: dict) -> None:
    rewrite(bundle, **changes)
    with pytest.raises(BundleError, match="cannot be rebuilt"):
        load_bundle(bundle)


def test_a_gate_file_that_is_none_is_refused(bundle: Path) -> None:
    (bundle / GATE_FILE).write_text("[]", encoding="utf-8")
    write_manifest(bundle)
    with pytest.raises(BundleError, match=r"gate\.json in .* cannot be read"):
        load_bundle(bundle)


def test_damaged_arrays_are_refused(bundle: Path) -> None:
    (bundle / "gate.safetensors").write_bytes(b"\xff" * 64)
    write_manifest(bundle)
    with pytest.raises(BundleError, match="cannot be rebuilt"):
        load_bundle(bundle)


def test_the_identity_of_a_directory_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="expected a bundle"):
        load_bundle(tmp_path)


def test_no_file_is_a_pickle(saved: tuple[Path, str]) -> None:
    for path in saved[0].iterdir():
        with pytest.raises((ValueError, UnicodeDecodeError, IndexError)):
            list(pickletools.genops(path.read_bytes()))


def test_loading_unpickles_nothing(saved, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    load_bundle(saved[0], device="cpu")
