"""The manifest of a directory: every file's sha256, checked on load."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from gatekeeper.errors import BundleError

MANIFEST = "MANIFEST.sha256"

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]*)")


def file_digest(path: Path) -> str:
    """The sha256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(directory: Path) -> str:
    """List every file of a flat directory; returns the sha256 of the manifest itself."""
    names = sorted(path.name for path in directory.iterdir() if path.name != MANIFEST)
    lines = [f"{file_digest(directory / name)}  {name}\n" for name in names]
    (directory / MANIFEST).write_text("".join(lines), encoding="ascii")
    return file_digest(directory / MANIFEST)


def verify_manifest(directory: Path) -> str:
    """Check every file of a bundle against its manifest.

    Args:
        directory: The bundle.

    Returns:
        sha256 of the manifest, which identifies the bundle.

    Raises:
        BundleError: the manifest is missing or damaged, or a file is changed, missing or extra.
    """
    manifest = directory / MANIFEST
    if not manifest.is_file():
        raise BundleError(
            f"expected a bundle with {MANIFEST} in {directory}, got none: is this the bundle's "
            "directory?"
        )
    listed = _listed(manifest)
    found = {path.name for path in directory.iterdir()} - {MANIFEST}
    if missing := sorted(listed.keys() - found):
        raise BundleError(f"the bundle {directory} lacks {', '.join(missing)}: fetch it again")
    if extra := sorted(found - listed.keys()):
        raise BundleError(
            f"the bundle {directory} holds {', '.join(extra)}, which its manifest does not list: "
            "remove it or fetch the bundle again"
        )
    for name, digest in listed.items():
        got = file_digest(directory / name)
        if got != digest:
            raise BundleError(
                f"{name} in the bundle {directory} was changed: expected sha256 {digest[:12]}…, "
                f"got {got[:12]}…: fetch the bundle again"
            )
    return file_digest(manifest)


def _listed(manifest: Path) -> dict[str, str]:
    listed = {}
    for line in manifest.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            raise BundleError(f"{manifest} is damaged at {line[:40]!r}: fetch the bundle again")
        listed[found[2]] = found[1]
    if not listed:
        raise BundleError(f"{manifest} lists nothing: fetch the bundle again")
    return listed
