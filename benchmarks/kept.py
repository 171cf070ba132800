"""Intermediate results, kept on disk under the hash of all that determines them."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from gatekeeper.types import FloatArray

ROOT = Path(__file__).resolve().parents[1]

_OWN = ("gatekeeper", "benchmarks")


@cache
def code_digest(*modules: str) -> str:
    """sha256 over modules of this checkout and all of ours that they import, directly or not.

    Args:
        modules: Dotted names, such as ``"gatekeeper.reliability.learned"``.
    """
    found: dict[Path, bytes] = {}
    waiting = [path for name in modules if (path := _file_of(name)) is not None]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = path.read_bytes()
            waiting += _imported(found[path])
    total = hashlib.sha256()
    for path in sorted(found):
        total.update(f"{path.relative_to(ROOT)}\n".encode())
        total.update(hashlib.sha256(found[path]).digest())
    return total.hexdigest()


def _imported(source: bytes) -> Iterator[Path]:
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # What is imported may be a module or something in it.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (path for name in names if (path := _file_of(name)) is not None)


def _file_of(module: str) -> Path | None:
    parts = module.split(".")
    if parts[0] not in _OWN:
        return None
    place = ROOT.joinpath(*parts)
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


class Store:
    """A folder of array files.

    Args:
        folder: Where they lie; made when the first one is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def arrays(
        self,
        name: str,
        facts: Mapping[str, Any],
        make: Callable[[], Mapping[str, FloatArray]],
    ) -> dict[str, FloatArray]:
        """The arrays that belong to these facts, from the disk or made and kept.

        Args:
            name: Beginning of the file's name, for people.
            facts: All that determines the arrays, JSON-ready.
            make: Makes them.
        """
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
        path = self.folder / f"{name}-{digest}.safetensors"
        if not path.is_file():
            made = {key: np.ascontiguousarray(array) for key, array in make().items()}
            self.folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            save_file(made, unfinished)
            unfinished.replace(path)
        arrays: dict[str, FloatArray] = load_file(path)
        return arrays
