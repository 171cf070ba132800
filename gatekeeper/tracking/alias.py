"""The versions behind one alias, as a service needs them: resolved to a number, fetched, kept."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

from gatekeeper.errors import InputError
from gatekeeper.paths import home
from gatekeeper.tracking.registry import RegisteredVersion, Registry

_URI = re.compile(r"models:/(?P<name>[^/@:]+)(?:@(?P<alias>[^/@]+)|/[1-9]\d*)")


class ServedAlias:
    """What a URI of the registry names now, and what it named when all was well.

    Which version was served last is written down below the product's home, so that a service can
    start while the registry is down; the bundle itself is in the cache, under its own digest.

    Args:
        registry: Where the versions are.
        uri: ``models:/NAME@ALIAS``, which may move, or ``models:/NAME/VERSION``, which never does.

    Attributes:
        name: Name of the registered model.
        alias: The alias that is followed; "" where the URI names a version.

    Raises:
        InputError: the URI is neither.
    """

    def __init__(self, registry: Registry, uri: str) -> None:
        match = _URI.fullmatch(uri)
        if match is None:
            raise InputError(
                f"a registry URI is models:/NAME@ALIAS or models:/NAME/VERSION, got {uri!r}"
            )
        self.registry = registry
        self.uri = uri
        self.name: str = match["name"]
        self.alias: str = match["alias"] or ""

    def current(self) -> RegisteredVersion:
        """The version that the URI means now.

        Raises:
            TrackingError: there is none, or the registry is down.
        """
        return self.registry.resolve(self.uri)

    def known(self) -> tuple[RegisteredVersion, ...]:
        """All versions of the model, newest first.

        Raises:
            TrackingError: there is no such model, or the registry is down.
        """
        return tuple(self.registry.list_versions(self.name))

    def fetch(self, version: RegisteredVersion) -> Path:
        """The verified bundle of a version, from the cache where it is there.

        Raises:
            BundleError: it is not the bundle that was registered.
            TrackingError: it is not cached and the registry is down.
        """
        cached = self.registry.cached_bundle(version)
        return cached or self.registry.download_bundle(version.uri)

    def keep(self, version: RegisteredVersion) -> None:
        """Write down that this version serves well."""
        path = self._record()
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(asdict(version), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)

    def last_good(self) -> RegisteredVersion | None:
        """The version that was written down last; None where there is none that can be read."""
        try:
            fields = json.loads(self._record().read_text(encoding="utf-8"))
            version = RegisteredVersion(**{**fields, "aliases": tuple(fields["aliases"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return version if version.name == self.name else None

    def promote(self, number: int) -> RegisteredVersion:
        """Make a version the champion; see :meth:`Registry.promote`.

        Raises:
            BundleError: its bundle is not the one that was registered.
            TrackingError: it is not certified, fails its golden set, or the registry is down.
        """
        return promote_checked(self.registry, self.name, number)

    def roll_back(self) -> RegisteredVersion:
        """Make the former champion the champion again; see :meth:`Registry.rollback`.

        Raises:
            TrackingError: there is no former champion, or the registry is down.
        """
        return self.registry.rollback(self.name)

    def _record(self) -> Path:
        # A name of the registry may hold what no file name may.
        safe = re.sub(r"[^\w-]", "_", self.uri.removeprefix("models:/"))
        return home() / "served" / f"{safe}.json"


def promote_checked(registry: Registry, name: str, number: int) -> RegisteredVersion:
    """Make a version the champion, after what its own bundle says and how it decides.

    Args:
        registry: Where the versions are.
        name: Name of the registered model.
        number: The version.

    Raises:
        BundleError: its bundle is not the one that was registered.
        TrackingError: it is not certified, fails its golden set, or the registry is down.
    """
    from gatekeeper.bundle import load_bundle
    from gatekeeper.golden import check_golden

    fitted, _ = load_bundle(registry.download_bundle(f"models:/{name}/{number}"))
    certified = bool(fitted.certificate["certified"])
    return registry.promote(name, number, certified=certified, golden=check_golden)
