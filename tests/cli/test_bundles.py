from __future__ import annotations

import pytest

from gatekeeper import paths
from gatekeeper.cli.bundles import resolve_bundle
from gatekeeper.errors import BundleError, DataError
from gatekeeper.manifest import verify_manifest


def test_a_directory_is_itself(tmp_path):
    assert resolve_bundle(str(tmp_path)) == tmp_path


def test_a_file_is_no_bundle(tmp_path):
    (tmp_path / "gate.json").touch()
    with pytest.raises(BundleError, match="expected a bundle's directory"):
        resolve_bundle(str(tmp_path / "gate.json"))


def test_a_shipped_one(monkeypatch, tmp_path):
    (tmp_path / "calibration" / "small" / "bundle").mkdir(parents=True)
    monkeypatch.setattr(paths, "shipped_root", lambda: tmp_path)
    assert resolve_bundle("shipped:small") == tmp_path / "calibration" / "small" / "bundle"
    with pytest.raises(DataError, match="did you mean small"):
        resolve_bundle("shipped:smal")


def test_one_from_the_registry_lies_in_the_cache(fitted, cli_home):
    found = resolve_bundle("models:/gate-tiny/1")
    assert found == cli_home / "cache" / "bundles" / fitted.summary["bundle"]
    assert verify_manifest(found) == fitted.summary["bundle"]
