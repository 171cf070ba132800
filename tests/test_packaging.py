"""The package as others get it: version, dependencies, the wheel with its shipped data."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import gatekeeper

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def normalised(requirement: str) -> str:
    """Distribution name of a requirement, as the index compares names."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def top_level_imports(folder: Path) -> set[str]:
    """First component of everything that the Python files below ``folder`` import."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names


def undeclared(imports: set[str], declared: set[str]) -> set[str]:
    """Imported packages that no declared requirement brings."""
    ours = {"gatekeeper", "benchmarks", "tests", "conftest"}
    # Peers are not installed where the tests run, so what brings them has to be known.
    providers = {"cv2": ["opencv-python-headless"], **packages_distributions()}
    return {
        name
        for name in imports - ours - set(sys.stdlib_module_names)
        if not {normalised(each) for each in providers.get(name, [name])} & declared
    }


def from_wheel(installed: Path, code: str, cwd: Path) -> str:
    """Run code in a fresh interpreter that finds gatekeeper in the installed wheel only."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_version_is_the_newest_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    entries = re.findall(r"^## (\S+) – (\d{4}-\d{2}-\d{2})$", changelog, flags=re.MULTILINE)
    headings = re.findall(r"^## .*$", changelog, flags=re.MULTILINE)
    assert len(entries) == len(headings), "an entry is headed `## VERSION – DATE`"
    assert entries[0][0] == gatekeeper.__version__
    assert entries == sorted(entries, key=lambda entry: entry[1], reverse=True)


def test_version_has_a_single_source() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT


def test_everything_imported_is_declared() -> None:
    runtime = {normalised(each) for each in PROJECT["dependencies"]}
    extras = PROJECT["optional-dependencies"]
    optional = {normalised(each) for name in ("elpv", "onnx", "ray") for each in extras[name]}
    tested = {normalised(each) for each in extras["test"]}
    assert undeclared(top_level_imports(ROOT / "gatekeeper"), runtime | optional) == set()
    # Scripts in tests/ record the values of peers; the tests themselves read only the records.
    peers = {normalised(each) for name in ("bench", "fuzz") for each in extras[name]}
    assert undeclared(top_level_imports(ROOT / "tests"), runtime | tested | peers) == set()
    assert undeclared(top_level_imports(ROOT / "benchmarks"), runtime | tested | peers) == set()


def test_an_undeclared_import_is_seen() -> None:
    assert undeclared({"os", "sklearn", "torch"}, {"scikit-learn"}) == {"torch"}


def test_every_extra_of_the_code_is_tested() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {normalised(each) for each in extras["onnx"]} <= set(map(normalised, extras["test"]))


def test_wheel_is_complete_and_clean(installed_wheel: Path) -> None:
    package = {
        path.relative_to(ROOT / "gatekeeper")
        for path in (ROOT / "gatekeeper").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shipped = {
        Path("_shipped") / path.relative_to(ROOT)
        for folder in ("models", "calibration")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not any(part.startswith((".", "__")) for part in path.parts)
    }
    installed = {
        path.relative_to(installed_wheel / "gatekeeper")
        for path in (installed_wheel / "gatekeeper").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert installed == package | shipped
    assert Path("py.typed") in installed
    for name in shipped:
        original = ROOT.joinpath(*name.parts[1:])
        assert (installed_wheel / "gatekeeper" / name).read_bytes() == original.read_bytes()


def test_wheel_brings_nothing_else(installed_wheel: Path) -> None:
    folders = {path.name for path in installed_wheel.iterdir()}
    version = gatekeeper.__version__
    assert folders == {"bin", "gatekeeper", f"vision_gatekeeper-{version}.dist-info"}


def test_installed_wheel_runs(installed_wheel: Path, tmp_path: Path) -> None:
    out = from_wheel(
        installed_wheel,
        "import gatekeeper; print(gatekeeper.__version__, gatekeeper.__file__)",
        tmp_path,
    )
    version, file = out.split(maxsplit=1)
    assert version == gatekeeper.__version__
    assert Path(file.strip()).is_relative_to(installed_wheel)


def test_installed_wheel_has_the_command(installed_wheel: Path, tmp_path: Path) -> None:
    run = "import runpy, sys; sys.argv = ['gatekeeper', '--help']; "
    out = from_wheel(
        installed_wheel, run + "runpy.run_module('gatekeeper', run_name='__main__')", tmp_path
    )
    assert "demo" in out
    assert (installed_wheel / "bin" / "gatekeeper").exists()


def test_licence_is_apache() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_container_copies_only_what_exists() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, flags=re.MULTILINE)
    sources = [source for copy in copies for source in copy.split()]
    assert "gatekeeper" in sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("target", ["install", "demo", "check", "test", "bench", "fuzz", "docs"])
def test_make_knows_the_target(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"make {target} " in listed.stdout


def test_ci_runs_what_the_readme_says() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    last = script.read_text(encoding="utf-8").strip().splitlines()[-2:]
    assert [line.split()[-1] for line in last] == ["check", "test"]
