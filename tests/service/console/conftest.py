"""The bundle that ships, loaded once per file that needs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gatekeeper.paths import shipped
from gatekeeper.pipeline import Gatekeeper

SHIPPED = "small-resnet-fashion-mnist"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with a report beside it, as ``gatekeeper demo`` leaves it."""
    folder = tmp_path_factory.mktemp("console")
    origin = shipped("calibration", SHIPPED)
    shutil.copytree(origin / "bundle", folder / "bundle")
    shutil.copy(origin / "report.html", folder)
    return folder / "bundle"


@pytest.fixture(scope="module")
def gatekeeper(bundle: Path) -> Gatekeeper:
    return Gatekeeper.load(bundle, device="cpu")
