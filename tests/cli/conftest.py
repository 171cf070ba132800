"""The command line in this process, and a small gate that is fitted twice by ``gatekeeper fit``."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gatekeeper.cli import main
from gatekeeper.images import load_dataset

RECIPE = """
name = "tiny"
[data]
dataset = "digits"
image_size = [16, 16]
[data.splits]
train = 0.3
validation = 0.03
fit = 0.17
calibrate = 0.15
certify = 0.2
test = 0.1
[classifier.training]
epochs = 4
min_steps = 1
batch_size = 32
learning_rate = 0.1
crop_padding_px = 0
[conditions]
seen = ["gaussian", "impulse", "dark"]
held_out = ["contrast"]
clean_share = 0.7
[restorers]
steps = 5
[restorers.restorer_of]
gaussian = "autoencoder"
impulse = "median"
dark = "exposure"
[predictor]
hidden = 16
members = 1
epochs = 3
looks_per_image = 2
[policy]
target_risk = 0.15
confidence_level = 0.9
"""


@dataclass(frozen=True)
class Result:
    """What a command left on its two streams, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Fitted:
    """One ``gatekeeper fit``."""

    result: Result
    folder: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))


def run(*arguments: object) -> Result:
    """``gatekeeper ARGUMENTS…`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Result(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def gatekeeper() -> Callable[..., Result]:
    return run


@pytest.fixture(scope="session")
def cli_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli-home")


@pytest.fixture(scope="session")
def in_cli_home(cli_home: Path) -> Callable[[], contextlib.AbstractContextManager[None]]:
    @contextlib.contextmanager
    def inside() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GATEKEEPER_HOME", str(cli_home))
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            yield

    return inside


@pytest.fixture(autouse=True)
def _home_of_these_tests(
    in_cli_home: Callable[[], contextlib.AbstractContextManager[None]],
) -> Iterator[None]:
    with in_cli_home():
        yield


@pytest.fixture(scope="session", autouse=True)
def _quiet_alembic() -> None:
    """Its handler keeps the stream that it found first, which a redirection has closed since."""
    logging.getLogger("alembic").setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def _fit(recipe: Path, folder: Path) -> Fitted:
    return Fitted(run("fit", recipe, "--out", folder, "--require-certificate"), folder)


@pytest.fixture(scope="session")
def fitted(
    recipe_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    in_cli_home: Callable[[], contextlib.AbstractContextManager[None]],
) -> Fitted:
    """The first fit: version 1 of gate-tiny."""
    with in_cli_home():
        return _fit(recipe_file, tmp_path_factory.mktemp("fit") / "one")


@pytest.fixture(scope="session")
def fitted_again(
    fitted: Fitted,
    recipe_file: Path,
    in_cli_home: Callable[[], contextlib.AbstractContextManager[None]],
) -> Fitted:
    """The same fit again: version 2."""
    with in_cli_home():
        return _fit(recipe_file, fitted.folder.with_name("two"))


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Digits of the data set as PNG, JPEG and WebP files, by format."""
    folder = tmp_path_factory.mktemp("photos")
    data = load_dataset("digits", announce=lambda line: None)
    pixels = (data.batch(np.array([7]))[0] * 255).round().byte().permute(1, 2, 0).numpy()
    found = {}
    for name in ("PNG", "JPEG", "WEBP"):
        found[name] = folder / f"digit.{name.lower()}"
        Image.fromarray(pixels).save(found[name], format=name)
    return found
