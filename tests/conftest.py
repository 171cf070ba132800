"""What every test stands on: an own home, no telemetry, no network, fixed seeds, one wheel."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
SHARING = ("adaptation", "benchmarks", "cli", "evaluation", "levels", "report", "scale", "tracking")
"""Folders whose tests share fixtures that take seconds to make."""
OF_THE_WHEEL = ("test_packaging.py", "test_wheel_serving.py")
LONGEST = ("benchmarks", "cli", "scale", "test_notebooks.py", "test_readme.py")
LOOPBACK = ("127.0.0.1", "::1", "localhost", "")

hypothesis.settings.register_profile("tests", derandomize=True, deadline=None)
hypothesis.settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "20000")),
    deadline=None,
    print_blob=True,
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is imported or started: nothing reaches the user's home or a tracker."""
    home = Path(tempfile.mkdtemp(prefix="gatekeeper-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    os.environ["GATEKEEPER_HOME"] = str(home)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    # Workers share the cores and inherit this; two threads in each would only wait for one another.
    shared = bool(config.getoption("numprocesses", None)) or "PYTEST_XDIST_WORKER" in os.environ
    os.environ.setdefault("OMP_NUM_THREADS", "1" if shared else "2")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Tests that share what is dear to make run in one worker, one after another."""
    return _Sharing(config, log)


class _Sharing(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _shares_with(ROOT / nodeid.split("::")[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest begin first."""
    items.sort(key=lambda item: _place(item.path))


def _shares_with(path: Path) -> str:
    """Name of the group of tests that runs in one worker."""
    if not path.is_relative_to(TESTS):
        return str(path)
    first = path.relative_to(TESTS).parts[0]
    if path.name in OF_THE_WHEEL:
        return "wheel"
    return first if first in SHARING else str(path)


def _place(path: Path) -> int:
    first = path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else ""
    return LONGEST.index(first) if first in LONGEST else len(LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """A test that reaches for another machine fails, instead of passing only where it is up."""
    connect = socket.socket.connect

    def connect_to_loopback(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            pytest.fail(f"a test tried to connect to {address}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_to_loopback)
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    """A random generator that is the same in every run."""
    return np.random.default_rng(20261123)


@pytest.fixture(scope="session")
def make_seeds() -> Callable[..., np.ndarray]:
    """``make_seeds(n, start=0)``: n different item seeds, shape (n,)."""

    def seeds(n: int, start: int = 0) -> np.ndarray:
        return np.arange(start, start + n, dtype=np.int64) * 7919 + 17

    return seeds


@pytest.fixture(scope="session")
def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds nothing but the installed wheel; put it on PYTHONPATH to use it.

    The wheel is built from a copy, because a build writes ``build/`` and ``*.egg-info`` beside its
    sources and would pick up what an earlier build left there.
    """
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    for name in ("gatekeeper", "models", "calibration"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", "-q", *options, "--target", str(target)]
    done = subprocess.run(
        [*command, str(source)], capture_output=True, text=True, check=False, cwd=source
    )
    if done.returncode:
        pytest.fail(f"the wheel cannot be built and installed:\n{done.stdout}{done.stderr}")
    return target
