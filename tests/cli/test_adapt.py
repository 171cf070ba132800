"""``gatekeeper adapt``: exit codes, files, the challenger's alias, promotion by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gatekeeper.bundle import load_bundle
from gatekeeper.corruptions import CORRUPTIONS
from gatekeeper.images import load_dataset
from gatekeeper.tracking import Registry, TrackingStore

ADAPT = """
fit = "{fit}"
[restorer.training]
steps = 2
batch_size = 2
crop_px = 8
[restorer.network.unet]
widths = [4, 8]
[restorer.network.denoiser]
width = 4
multipliers = [1, 2]
groups = 2
"""


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of digits, as a camera took them."""
    folder = tmp_path_factory.mktemp("captured")
    data = load_dataset("digits", announce=lambda line: None).resized((16, 16))
    rows = np.arange(40)
    images = CORRUPTIONS["camera"](data.batch(rows), severity=3, seeds=rows)
    for row, image in enumerate((images * 255).round().byte().permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image).save(folder / f"{row}.png")
    return folder


@pytest.fixture(scope="module")
def recipe(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("adapt") / "adapt.toml"
    path.write_text(ADAPT.format(fit=recipe_file), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapt-work")


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of these tests alone: others count the versions of gate-tiny."""
    return tmp_path_factory.mktemp("adapt-home")


@pytest.fixture(autouse=True)
def _in_own_home(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEKEEPER_HOME", str(own_home))


@pytest.fixture(scope="module")
def adapted(gatekeeper, fitted, noisy: Path, recipe: Path, work: Path, own_home: Path):
    """A challenger that is not registered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEKEEPER_HOME", str(own_home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return gatekeeper(
            "adapt", fitted.bundle, "--captured", noisy, "--recipe", recipe,
            "--out", work / "one", "--work", work, "--no-tracking",
        )  # fmt: skip


def test_a_challenger_that_does_not_meet_the_rule_exits_with_one(adapted, work: Path) -> None:
    assert adapted.code == 1, adapted.err
    assert "MLflow" not in adapted.err
    record = json.loads((work / "one" / "adaptation.json").read_text(encoding="utf-8"))
    assert record["rule_met"] is False
    assert "NOT MET" in adapted.out
    assert "captured traffic: cannot certify: there is no random labelled sample" in adapted.out
    assert record["lineage"]["command"].startswith("gatekeeper adapt ")
    assert (work / "one" / "adaptation.html").read_text(encoding="utf-8").startswith("<!DOCTYPE")


def test_registered_with_its_lineage_and_promoted_by_hand(
    gatekeeper, adapted, fitted, noisy: Path, recipe: Path, work: Path
) -> None:
    certified = load_bundle(work / "one" / "bundle")[0].certificate["certified"]
    result = gatekeeper(
        "adapt", fitted.bundle, "--captured", noisy, "--recipe", recipe,
        "--out", work / "two", "--work", work, "--promote", "--json",
    )  # fmt: skip
    record = json.loads(result.out)
    assert record["lineage"]["champion"] == str(fitted.bundle)
    assert certified
    assert result.code == 0, result.err
    found = Registry(TrackingStore.from_environment()).resolve("models:/gate-tiny@champion")
    assert found.aliases == ("challenger", "champion")
    assert found.bundle == record["lineage"]["challenger_bundle"]
    assert found.tags["gatekeeper.adapted_from"] == record["lineage"]["champion_bundle"]
    assert found.tags["gatekeeper.captured_sha256"] == record["lineage"]["captured_digest"]
    assert f"MLflow: {found.uri} is champion now" in result.err


def test_bad_usage(gatekeeper, fitted, noisy: Path, recipe: Path, tmp_path: Path) -> None:
    given = ("--captured", noisy, "--recipe", recipe)
    both = gatekeeper("adapt", fitted.bundle, *given, "--promote", "--no-tracking")
    assert both.code == 2
    assert "--promote or --no-tracking" in both.err
    missing = gatekeeper(
        "adapt", fitted.bundle, "--captured", tmp_path / "none", "--recipe", recipe
    )
    assert missing.code == 2
    assert "the folder of a review queue" in missing.err
    assert gatekeeper("adapt", fitted.bundle).code == 2


def test_help_shows_an_example(gatekeeper) -> None:
    result = gatekeeper("adapt", "--help")
    assert result.code == 0
    assert "gatekeeper adapt runs/demo/bundle --captured" in result.out
