"""What may lie in the repository: no big files, no pickles, no leftovers, the glossary's words."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "gatekeeper"
MODULES = sorted(PACKAGE.rglob("*.py"))

MB = 1_000_000
# Declared exceptions and their own limits; everything else stays below 1 MB.
LARGE = {
    "models/*/weights.safetensors": 20 * MB,
    "calibration/*/bundle/*": 20 * MB,
    "calibration/*/report.html": 2 * MB,
    "benchmarks/results/*": 2 * MB,
}
UNPICKLERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# Words that the glossary (docs/glossary.md) replaces; checked as parts of the names we define.
REPLACED = {
    "confidence": "reliability (calibrated), score (orders), or confidence_level (a guarantee)",
    "uncertainty": "score",
    "preds": "logits or labels",
    "reject": "abstain",
    "rejected": "abstained",
    "enhance": "restore",
    "enhanced": "restored",
    "enhancement": "restoration",
}
LEFTOVERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
OWN_MACHINE = re.compile(r"(?<![\w./<])/(home|Users|root|work|mnt)/\w")
TEXT = {".py", ".md", ".toml", ".cfg", ".ini", ".yml", ".yaml", ".ipynb", ".html", ".json", ""}


def tracked() -> list[str]:
    """Paths that git tracks and that still exist, relative to the top."""
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def limit(name: str) -> int:
    """Largest allowed size of a tracked file, in bytes."""
    return next((size for pattern, size in LARGE.items() if fnmatch(name, pattern)), MB)


def unsafe_loads(source: str) -> Iterator[str]:
    """Everything in a module that could unpickle."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            yield from (f"line {node.lineno}: import {name}" for name in names & UNPICKLERS)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").split(".")[0] in UNPICKLERS:
                yield f"line {node.lineno}: from {node.module}"
        elif isinstance(node, ast.Call):
            yield from _unsafe_call(node)


def _unsafe_call(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if called == "torch.load" and given.get("weights_only") != "True":
        yield f"line {node.lineno}: torch.load without weights_only=True"
    if called in {"torch.save", "torch.package.PackageImporter", "joblib.load"}:
        yield f"line {node.lineno}: {called}"
    if given.get("allow_pickle", "False") != "False":
        yield f"line {node.lineno}: {called} with allow_pickle"


def defined_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every function, class, argument and variable that a module defines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


def replaced_words(source: str) -> list[str]:
    """Names that use a word which the glossary replaces."""
    return [
        f"line {line}: {name}: say {REPLACED[word.lower()]}"
        for line, name in defined_names(source)
        for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name.replace("confidence_level", ""))
        if word.lower() in REPLACED
    ]


def test_no_big_files() -> None:
    names = tracked()
    assert "pyproject.toml" in names
    sizes = {name: (ROOT / name).stat().st_size for name in names}
    assert {name: size for name, size in sizes.items() if size > limit(name)} == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("README.md", MB),
        ("models/autoencoder/weights.safetensors", 20 * MB),
        ("models/autoencoder/other.safetensors", MB),
        ("calibration/demo/bundle/weights/gate.safetensors", 20 * MB),
        ("calibration/demo/report.html", 2 * MB),
        ("docs/report.html", MB),
    ],
)
def test_only_declared_files_may_be_bigger(name: str, expected: int) -> None:
    assert limit(name) == expected


def test_nothing_generated_is_tracked() -> None:
    patterns = ("*.pyc", "runs/*", "mlruns/*", "*.db", "*.egg-info/*", "*.pth", "*.pkl", ".venv/*")
    assert [n for n in tracked() if any(fnmatch(n, pattern) for pattern in patterns)] == []


def test_no_leftovers_in_text() -> None:
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name in tracked()
        if Path(name).suffix in TEXT and name != "LICENSE"
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
        if LEFTOVERS.search(line) or OWN_MACHINE.search(line)
    ]
    assert found == []


def test_leftovers_are_seen() -> None:
    assert LEFTOVERS.search("# TO" + "DO: later")
    assert not LEFTOVERS.search("todos os dias")
    assert OWN_MACHINE.search("open('/ho" + "me/anna/x.png')")
    assert not OWN_MACHINE.search("https://example.org/home/page")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_is_safe_and_speaks_the_glossary(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    asserts = [node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]
    assert asserts == [], "input is checked by raising, never by assert"
    assert list(unsafe_loads(source)) == []
    assert replaced_words(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from joblib import load",
        "import cloudpickle as c",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "np.load(path, allow_pickle=True)",
        "torch.save(model, path)",
    ],
)
def test_an_unsafe_load_is_caught(source: str) -> None:
    assert len(list(unsafe_loads(source))) == 1


def test_safe_loads_pass() -> None:
    source = "torch.load(p, weights_only=True)\nnp.load(p, allow_pickle=False)\nload_file(p)"
    assert list(unsafe_loads(source)) == []


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("confidence = 1", 1),
        ("def f(max_confidence): pass", 1),
        ("class RejectOption: pass", 1),
        ("confidence_level = 0.95", 0),
        ("def lower_bound(confidence_level): pass", 0),
        ("abstained = rejection = 1", 0),
    ],
)
def test_replaced_words_are_caught(source: str, caught: int) -> None:
    assert len(replaced_words(source)) == caught
