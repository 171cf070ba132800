"""The floors of the package: a module imports only from lower floors and from its own room."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "gatekeeper"

# Bottom to top. Rooms on one floor do not import one another, except on floors 0 and 1, where a
# room may import those written before it.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "types", "decision"),
    ("paths", "progress", "memory", "blas", "protocols", "filters", "wire"),
    (
        "metrics",
        "images",
        "corruptions",
        "signals",
        "classifiers",
        "restorers",
        "calibrators",
        "manifest",
        "mlp",
        "views",
        "testing",
    ),
    ("gate", "risk_control", "monitoring", "routing", "levels"),
    ("reliability",),
    ("recipe", "evidence", "bundle"),
    ("pipeline", "judging", "selection"),
    ("training", "fitting", "evaluation", "golden"),
    ("report", "tracking", "settings", "engine", "client", "review"),
    ("service", "batch", "demonstration"),
    ("scale", "adaptation"),
    ("cli",),
)
ORDERED_FLOORS = (0, 1)

# Heavy or foreign packages, and the only part of gatekeeper that may open each door.
DOORS = {
    "timm": "classifiers.timm",
    "onnxruntime": "classifiers.onnx",
    "mlflow": "tracking",
    "fastapi": "service",
    "starlette": "service",
    "uvicorn": "service",
    "ray": "scale",
    "opentelemetry": "service.tracing",
}

# Not rooms: the façade (lazy, checked in test_public_names.py) and `python -m gatekeeper`.
ENTRANCES = {"", "__main__"}

_PLACE = {
    room: (floor, order) for floor, rooms in enumerate(FLOORS) for order, room in enumerate(rooms)
}


def module_name(path: Path) -> str:
    """Dotted name below ``gatekeeper``; "" is the façade."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, inside functions and by ``import_module`` too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else None
            called = node.func.id if isinstance(node.func, ast.Name) else called
            first = node.args[0]
            if called in {"import_module", "__import__"} and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def floor_complaint(importer: str, imported: str) -> str | None:
    """Why room ``importer`` may not import room ``imported``; None if it may."""
    if importer == imported:
        return None
    here, there = _PLACE[importer], _PLACE[imported]
    if there[0] < here[0] or (there[0] == here[0] in ORDERED_FLOORS and there[1] < here[1]):
        return None
    return f"{importer} (floor {here[0]}) imports {imported} (floor {there[0]})"


def complaint(module: str, name: str) -> str | None:
    """Why ``module`` may not import the dotted ``name``; None if it may."""
    if name.startswith("."):
        return "imports are absolute"
    top, _, rest = name.partition(".")
    if top in DOORS and not f"{module}.".startswith(f"{DOORS[top]}."):
        return f"only gatekeeper.{DOORS[top]} imports {top}"
    if top != "gatekeeper" or rest == "__version__" or module in ENTRANCES:
        return None
    room = rest.split(".")[0]
    if room not in _PLACE:
        return f"gatekeeper.{room} is not a room; inside the package nothing imports the façade"
    return floor_complaint(module.split(".")[0], room)


def complaints(module: str, source: str) -> list[str]:
    """All broken rules of one module, with their lines."""
    found = ((line, complaint(module, name)) for line, name in imports_of(source))
    return [f"line {line}: {text}" for line, text in sorted(set(found)) if text]


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize("module", MODULES)
def test_module_keeps_to_its_floor(module: str) -> None:
    room = module.split(".")[0]
    assert room in _PLACE or room in ENTRANCES, f"give {room} a floor in FLOORS and design it in"
    assert complaints(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("metrics.selective", "from gatekeeper.gate import Gate", "gate (floor 3)"),
        ("gate", "def f():\n    import gatekeeper.pipeline", "line 2: gate (floor 3) imports pip"),
        ("signals.image", "from gatekeeper.images import decode", "signals (floor 2) imports im"),
        ("signals.image", "from gatekeeper import images", "signals (floor 2) imports images"),
        ("errors", "from gatekeeper.decision import Action", "errors (floor 0) imports decision"),
        ("paths", "from gatekeeper.wire import codec", "paths (floor 1) imports wire"),
        ("gate", "from gatekeeper import Decision", "nothing imports the façade"),
        ("gate", "from . import routing", "imports are absolute"),
        ("gate", "from .routing import Router", "imports are absolute"),
        ("gate", "from gatekeeper.attic import Box", "gatekeeper.attic is not a room"),
        ("classifiers.module", "import timm.layers", "only gatekeeper.classifiers.timm imports"),
        ("classifiers.timmy", "import timm", "only gatekeeper.classifiers.timm imports timm"),
        ("bundle", "from mlflow import log_metric", "only gatekeeper.tracking imports mlflow"),
        ("cli.serve", "import uvicorn", "only gatekeeper.service imports uvicorn"),
        ("cli.serve", "from starlette.types import ASGIApp", "only gatekeeper.service imports"),
        ("engine", "importlib.import_module('ray.serve')", "only gatekeeper.scale imports ray"),
        ("gate", "import_module('gatekeeper.cli')", "gate (floor 3) imports cli (floor 11)"),
    ],
)
def test_a_wrong_import_is_caught(module: str, source: str, expected: str) -> None:
    found = complaints(module, source)
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pipeline", "from gatekeeper.gate import Gate\nfrom gatekeeper.errors import InputError"),
        ("metrics.selective", "from gatekeeper.metrics.inputs import checked"),
        ("restorers.resshift.sampler", "from gatekeeper.restorers.resshift import schedule"),
        ("decision", "from gatekeeper.errors import InputError"),
        ("wire.codec", "from gatekeeper.protocols import Evidence"),
        ("classifiers.timm", "import timm"),
        ("tracking.registry", "def f():\n    import mlflow"),
        ("tracking", "import mlflow"),
        ("service.app", "from fastapi import FastAPI\nimport uvicorn"),
        ("report.page", "from gatekeeper import __version__"),
        ("cli", "import json\nimport numpy as np\nimport rayon"),
    ],
)
def test_a_right_import_passes(module: str, source: str) -> None:
    assert complaints(module, source) == []


def test_no_room_has_two_places() -> None:
    assert sum(map(len, FLOORS)) == len(_PLACE)


def test_the_floors_are_those_of_the_picture() -> None:
    picture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn: dict[int, list[str]] = {}
    for floor, rooms in re.findall(r"^\| (\d+) \| ([^|]+) \|", picture, flags=re.MULTILINE):
        names = [name.rstrip("/").removesuffix(".py") for name in re.findall(r"`(.+?)`", rooms)]
        drawn.setdefault(int(floor), []).extend(names)
    assert drawn == {floor: list(rooms) for floor, rooms in enumerate(FLOORS)}
