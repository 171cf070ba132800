"""Where things are: the product's home, its cache, and the models and certificates that ship."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Literal

from platformdirs import user_data_dir

from gatekeeper.errors import DataError

ShippedKind = Literal["models", "calibration"]

_PACKAGE = Path(__file__).resolve().parent


def home() -> Path:
    """The folder that gatekeeper writes to when no other is named; it may not exist yet.

    ``GATEKEEPER_HOME`` where that is set and not empty, else the platform's data directory.
    """
    named = os.environ.get("GATEKEEPER_HOME", "")
    return Path(named).expanduser() if named else Path(user_data_dir("gatekeeper", False))


def cache_dir() -> Path:
    """The folder under :func:`home` whose content can be deleted at any time and is made again."""
    return home() / "cache"


def shipped_root() -> Path:
    """The folder that holds ``models/`` and ``calibration/``.

    Raises:
        DataError: this is neither a checkout nor a complete installation.
    """
    return _root_for(_PACKAGE)


def _root_for(package: Path) -> Path:
    # The pyproject.toml tells a checkout from a site-packages that happens to hold a models/.
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "models").is_dir():
        return checkout
    if (package / "_shipped").is_dir():
        return package / "_shipped"
    raise DataError(
        f"expected models/ and calibration/ beside or inside {package}, found neither: "
        "install gatekeeper again or run it from a complete checkout"
    )


def shipped(kind: ShippedKind, name: str) -> Path:
    """The shipped recipe, record or certificate of that name, in a checkout or an installation.

    Args:
        kind: ``"models"`` or ``"calibration"``.
        name: A file or folder below it, such as ``"demo"`` or ``"demo/model.toml"``.

    Raises:
        DataError: there is nothing of that name; the message lists near matches.
    """
    root = shipped_root() / kind
    parts = PurePosixPath(name).parts
    inside = bool(parts) and ".." not in parts and not PurePosixPath(name).is_absolute()
    if inside and root.joinpath(*parts).exists():
        return root.joinpath(*parts)
    known = sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))
    near = get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there is: {', '.join(known)}"
    raise DataError(f"nothing called {name!r} is shipped in {kind}/; {hint}")
