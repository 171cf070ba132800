"""Where a BUNDLE argument leads: a directory, a shipped one, or one from the registry."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.errors import BundleError


def resolve_bundle(text: str) -> Path:
    """The directory behind ``DIRECTORY``, ``shipped:ID`` or ``models:/NAME@alias``.

    Raises:
        BundleError: there is no such directory.
        DataError: nothing of that name is shipped.
        TrackingError: the registry has no such version.
    """
    if text.startswith("models:/"):
        from gatekeeper.tracking import Registry, TrackingStore

        return Registry(TrackingStore.from_environment()).download_bundle(text)
    if text.startswith("shipped:"):
        from gatekeeper.paths import shipped

        return shipped("calibration", text.removeprefix("shipped:")) / "bundle"
    directory = Path(text)
    if not directory.is_dir():
        raise BundleError(
            f"expected a bundle's directory, got {text}, which is none: "
            "`gatekeeper demo` makes one in runs/demo/bundle"
        )
    return directory
