"""Finished restorers of an adaptation on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatekeeper.classifiers import load_safetensors, save_safetensors
from gatekeeper.protocols import WeightedRestorer
from gatekeeper.restorers import rebuilt_restorer

_CONFIG = "config.json"
_WEIGHTS = "weights.safetensors"


def is_kept(folder: Path) -> bool:
    """Whether a finished restorer lies there."""
    return (folder / _CONFIG).is_file()


def keep_restorer(restorer: WeightedRestorer, folder: Path) -> None:
    """Write it; a folder that :func:`is_kept` holds all of it."""
    save_safetensors(restorer.state(), folder / _WEIGHTS)
    kept = {"method": restorer.name, "config": restorer.config()}
    unfinished = folder / f"{_CONFIG}.part"
    unfinished.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    unfinished.replace(folder / _CONFIG)


def kept_restorer(folder: Path) -> WeightedRestorer:
    """Read what :func:`keep_restorer` wrote.

    Raises:
        BundleError: weights and configuration are not of one restorer.
    """
    kept: Mapping[str, Any] = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    return rebuilt_restorer(kept["method"], load_safetensors(folder / _WEIGHTS), kept["config"])
