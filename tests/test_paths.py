from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper import paths
from gatekeeper.errors import DataError


def _complete_checkout(root: Path) -> Path:
    (root / "gatekeeper").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (root / "models" / "small").mkdir(parents=True)
    (root / "models" / "small" / "model.toml").touch()
    (root / "calibration" / "small").mkdir(parents=True)
    return root / "gatekeeper"


def test_home_is_the_folder_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEKEEPER_HOME", str(tmp_path / "here"))
    assert paths.home() == tmp_path / "here"
    assert paths.cache_dir() == tmp_path / "here" / "cache"
    assert not paths.home().exists()


def test_home_expands_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GATEKEEPER_HOME", "~/gk")
    assert paths.home() == tmp_path / "gk"


@pytest.mark.parametrize("value", [None, ""])
def test_home_is_the_platforms_data_folder_where_nothing_is_named(monkeypatch, tmp_path, value):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if value is None:
        monkeypatch.delenv("GATEKEEPER_HOME", raising=False)
    else:
        monkeypatch.setenv("GATEKEEPER_HOME", value)
    assert paths.home().name == "gatekeeper"
    assert tmp_path in paths.home().parents


def test_a_checkout_is_served_from_its_own_folders(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "_PACKAGE", _complete_checkout(tmp_path))
    assert paths.shipped_root() == tmp_path
    assert paths.shipped("models", "small") == tmp_path / "models" / "small"
    assert paths.shipped("models", "small/model.toml").is_file()


def test_an_installation_is_served_from_inside_the_package(monkeypatch, tmp_path):
    # A models/ beside the package is somebody else's: there is no pyproject.toml.
    package = tmp_path / "site-packages" / "gatekeeper"
    (package / "_shipped" / "calibration" / "demo").mkdir(parents=True)
    (tmp_path / "site-packages" / "models").mkdir()
    monkeypatch.setattr(paths, "_PACKAGE", package)
    assert paths.shipped_root() == package / "_shipped"
    assert paths.shipped("calibration", "demo") == package / "_shipped" / "calibration" / "demo"


def test_an_incomplete_installation_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "gatekeeper")
    with pytest.raises(DataError, match="install gatekeeper again"):
        paths.shipped_root()


def test_an_unknown_name_is_refused_with_near_matches(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "_PACKAGE", _complete_checkout(tmp_path))
    with pytest.raises(DataError, match=r"'smal'.*did you mean small"):
        paths.shipped("models", "smal")
    with pytest.raises(DataError, match=r"there is: small, small/model\.toml"):
        paths.shipped("models", "zzzz")


@pytest.mark.parametrize("name", ["../calibration/small", "small/../../pyproject.toml", "/etc", ""])
def test_a_name_cannot_lead_out_of_the_folder(monkeypatch, tmp_path, name):
    monkeypatch.setattr(paths, "_PACKAGE", _complete_checkout(tmp_path))
    with pytest.raises(DataError, match="nothing called"):
        paths.shipped("models", name)


def test_this_very_checkout_or_installation_is_found():
    assert (paths.shipped_root() / "models").is_dir()
    assert (paths.shipped_root() / "calibration").is_dir()
