"""Reports that lie beside a bundle."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.service.console.pictures import bundle_directory
from gatekeeper.service.served import ServedGatekeeper

NAMES = ("report.html", "evaluation.html", "levels.html")
"""What the commands call their pages; nothing else of that folder is shown."""
MAX_BYTES = 2_000_000


def reports_of(gatekeeper: ServedGatekeeper) -> dict[str, Path]:
    """Pages in the folder that holds the bundle, by name; ``demo`` and ``fit`` write one there.

    Only regular files of at most 2 MB count, which is what a report may have.
    """
    directory = bundle_directory(gatekeeper)
    if directory is None:
        return {}
    folder = directory.resolve().parent
    return {name: folder / name for name in NAMES if _is_report(folder / name)}


def _is_report(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_BYTES
