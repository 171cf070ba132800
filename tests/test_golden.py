from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save

from gatekeeper.bundle import save_bundle
from gatekeeper.errors import BundleError
from gatekeeper.golden import GOLDEN_DECISIONS, GOLDEN_IMAGES, check_golden, golden_files
from gatekeeper.pipeline import Gatekeeper
from tests.small_gate import small, stream_images


@pytest.fixture(scope="module")
def gatekeeper():
    return Gatekeeper(small().result.fitted, "small")


@pytest.fixture(scope="module")
def files(gatekeeper):
    pixels = (stream_images(8) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return golden_files(gatekeeper, np.asarray(pixels))


@pytest.fixture
def bundle_with(gatekeeper, tmp_path):
    """Save the gate with these golden files and return its directory."""

    def saved(files):
        save_bundle(gatekeeper.fitted, tmp_path / "bundle", extra=files)
        return tmp_path / "bundle"

    return saved


def changed(files, change):
    expected = json.loads(files[GOLDEN_DECISIONS])
    change(expected)
    return {**files, GOLDEN_DECISIONS: json.dumps(expected).encode()}


def test_it_records_what_the_gate_decides(gatekeeper, files):
    expected = json.loads(files[GOLDEN_DECISIONS])
    pixels = (stream_images(8) * 255).round() / 255
    decisions = gatekeeper.decide(pixels)
    assert [row["label"] for row in expected] == [d.label for d in decisions]
    assert [row["action"] for row in expected] == [d.action.value for d in decisions]
    assert [row["reliability"] for row in expected] == pytest.approx(
        [d.reliability for d in decisions], abs=1e-5
    )


def test_a_bundle_passes_its_own(bundle_with, files):
    check_golden(bundle_with(files))


def test_numerical_dust_is_forgiven(bundle_with, files):
    def nudge(expected):
        expected[2]["reliability"] += 5e-4

    check_golden(bundle_with(changed(files, nudge)))


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.update(reliability=row["reliability"] + 2e-3),
        lambda row: row.update(action="abstain" if row["action"] == "accept" else "accept"),
        lambda row: row["attempts"][0].update(label=row["attempts"][0]["label"] + 1),
        lambda row: row["attempts"][0].update(restorer="median"),
    ],
    ids=["reliability", "action", "label", "restorer"],
)
def test_another_decision_is_refused(bundle_with, files, change):
    directory = bundle_with(changed(files, lambda expected: change(expected[3])))
    with pytest.raises(BundleError, match=r"golden image 3 of .* is decided differently here"):
        check_golden(directory)


@pytest.mark.parametrize("name", [GOLDEN_IMAGES, GOLDEN_DECISIONS])
def test_a_bundle_without_a_golden_set_is_refused(bundle_with, files, name):
    with pytest.raises(BundleError, match="expected a golden set in"):
        check_golden(bundle_with({n: content for n, content in files.items() if n != name}))


def test_fewer_expectations_than_images_are_refused(bundle_with, files):
    with pytest.raises(BundleError, match="got 8 golden images and 7 decisions"):
        check_golden(bundle_with(changed(files, lambda expected: expected.pop())))


def test_an_empty_golden_set_proves_nothing(bundle_with):
    empty = {
        GOLDEN_IMAGES: save({"images": np.zeros((0, 28, 28, 3), dtype=np.uint8)}),
        GOLDEN_DECISIONS: b"[]",
    }
    with pytest.raises(BundleError, match="got 0 golden images"):
        check_golden(bundle_with(empty))
