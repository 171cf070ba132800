"""Versions, aliases, promotion and rollback; bundles fetched once and verified."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.errors import BundleError, InputError, TrackingError
from gatekeeper.paths import cache_dir
from gatekeeper.tracking.store import TrackingStore

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHAMPION = "champion"
CHALLENGER = "challenger"
BUNDLE_TAG = "gatekeeper.bundle_sha256"
GOLDEN_TAG = "gatekeeper.golden"
CERTIFIED_TAG = "gatekeeper.certified"
# On the registered model: former champions, oldest first, comma-separated.
HISTORY_TAG = "gatekeeper.former_champions"
_HISTORY_LENGTH = 100
_URI = re.compile(r"models:/(?P<name>[^/@:]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[1-9]\d*))")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """One version of a registered model, pinned to its number.

    Attributes:
        name: Name of the registered model.
        version: Version, counted from 1.
        aliases: Aliases that point here, sorted.
        tags: Text by key.
        run_id: The run that made it; None where it was registered without one.
        created_ms: When it was registered, milliseconds since 1970 (UTC).
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    run_id: str | None
    created_ms: int

    @property
    def uri(self) -> str:
        """``models:/NAME/VERSION``, which never moves as an alias does."""
        return f"models:/{self.name}/{self.version}"

    @property
    def bundle(self) -> str:
        """Identity of its bundle (sha256 of the manifest); "" where gatekeeper did not log it."""
        digest = self.tags.get(BUNDLE_TAG, "")
        return digest if re.fullmatch(r"[0-9a-f]{64}", digest) else ""


@dataclass(frozen=True, slots=True)
class Registry:
    """The registered models of one store.

    Attributes:
        store: Where the registry is kept.
    """

    store: TrackingStore

    def list_names(self) -> list[str]:
        """The names of all registered models, sorted.

        Raises:
            TrackingError: the store refused.
        """
        with self.store.calls("list the registered models"):
            client = self.store.client()
            names: list[str] = []
            token: str | None = None
            while True:
                page = client.search_registered_models(page_token=token)
                names += [model.name for model in page]
                token = page.token
                if not token:
                    return sorted(names)

    def list_versions(self, name: str) -> list[RegisteredVersion]:
        """The versions of one model, newest first.

        Raises:
            TrackingError: there is no such model, or the store refused.
        """
        model = self._model(name)
        quote = '"' if "'" in name else "'"
        with self.store.calls(f"list the versions of {name!r}"):
            client = self.store.client()
            found: list[ModelVersion] = []
            token: str | None = None
            while True:
                page = client.search_model_versions(f"name={quote}{name}{quote}", page_token=token)
                found += page
                token = page.token
                if not token:
                    break
        versions = [_pinned(version, model) for version in found]
        return sorted(versions, key=lambda version: version.version, reverse=True)

    def resolve(self, uri: str) -> RegisteredVersion:
        """The version that a URI means now; ask once and keep the number.

        Args:
            uri: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.

        Raises:
            InputError: the URI is neither.
            TrackingError: no such model, alias or version, or the store refused.
        """
        match = _URI.fullmatch(uri)
        if match is None:
            raise InputError(
                f"a registry URI is models:/NAME@ALIAS or models:/NAME/VERSION, got {uri!r}"
            )
        name, alias, number = match["name"], match["alias"], match["version"]
        model = self._model(name)
        if alias is not None:
            if alias not in model.aliases:
                raise _missing("alias", alias, model.aliases, f"of model {name!r}")
            number = model.aliases[alias]
        return self._version(model, number)

    def download_bundle(self, uri: str) -> Path:
        """The verified bundle of a version, fetched at most once.

        Args:
            uri: As for :meth:`resolve`.

        Returns:
            ``<home>/cache/bundles/<sha256 of the manifest>``; verified on every call.

        Raises:
            InputError: the URI is malformed.
            BundleError: what the store holds is not the bundle that was registered.
            TrackingError: no such version, it was not logged by gatekeeper, or the store refused.
        """
        version = self.resolve(uri)
        target = _cached_at(version)
        if cached := self.cached_bundle(version):
            return cached
        self._fetch(version, version.bundle, target)
        return target

    def cached_bundle(self, version: RegisteredVersion) -> Path | None:
        """The verified bundle of a version that was fetched before; asks nothing of the store.

        What is in its place and is not that bundle is discarded, which is said in the log.

        Raises:
            TrackingError: the version was not logged by gatekeeper.
        """
        from gatekeeper.manifest import verify_manifest

        target = _cached_at(version)
        if not target.exists():
            return None
        try:
            if verify_manifest(target) == version.bundle:
                return target
            problem = "it is another bundle"
        except BundleError as error:
            problem = str(error)
        _LOG.warning("discarding the cached bundle %s: %s", version.bundle, problem)
        shutil.rmtree(target)
        return None

    def promote(
        self, name: str, version: int, *, certified: bool, golden: Callable[[Path], None]
    ) -> RegisteredVersion:
        """Make a version the champion, if it is certified and decides the golden set rightly.

        The outcome of the golden-set check is kept as a tag of the version; the champion so far
        is remembered for :meth:`rollback`. Promoting the champion again changes nothing.

        Args:
            name: Name of the registered model.
            version: Version to promote.
            certified: Whether the certificate in its bundle says certified.
            golden: Gets the verified bundle's directory; raises if a golden image is decided
                differently.

        Returns:
            The version as it stands now.

        Raises:
            BundleError: the bundle in the store is not the one that was registered.
            TrackingError: not certified, the golden-set check failed, no such version, or the
                store refused; the champion then stays what it was.
        """
        chosen = self.resolve(f"models:/{name}/{version}")
        if not certified:
            self._tag(chosen, CERTIFIED_TAG, "false")
            raise TrackingError(
                f"{chosen.uri} is not certified, so {CHAMPION} stays as it is; fit it until it can "
                f"be certified, or serve the version by its number"
            )
        self._tag(chosen, CERTIFIED_TAG, "true")
        self._check_golden(chosen, golden)
        with self.store.calls(f"promote {chosen.uri}"):
            client = self.store.client()
            model = client.get_registered_model(name)
            champion = model.aliases.get(CHAMPION)
            if champion is not None and int(champion) != version:
                # History first: if the next call fails, rollback still finds a true former
                # champion, and promoting again does not write it twice.
                former = [v for v in _history(model) if v != int(champion)] + [int(champion)]
                kept = ",".join(str(v) for v in former[-_HISTORY_LENGTH:])
                client.set_registered_model_tag(name, HISTORY_TAG, kept)
            client.set_registered_model_alias(name, CHAMPION, str(version))
        return self.resolve(chosen.uri)

    def rollback(self, name: str) -> RegisteredVersion:
        """Give ``champion`` back to the version that had it before.

        Returns:
            The version that is the champion now.

        Raises:
            TrackingError: there is no former champion, it was deleted, or the store refused.
        """
        model = self._model(name)
        champion = model.aliases.get(CHAMPION)
        former = [v for v in _history(model) if champion is None or v != int(champion)]
        if not former:
            raise TrackingError(
                f"model {name!r} has no former champion to roll back to; promote a version instead"
            )
        restored = self._version(model, str(former[-1]))
        with self.store.calls(f"roll {name!r} back"):
            client = self.store.client()
            client.set_registered_model_alias(name, CHAMPION, str(restored.version))
            kept = ",".join(str(v) for v in former[:-1])
            client.set_registered_model_tag(name, HISTORY_TAG, kept)
        return self.resolve(restored.uri)

    def _model(self, name: str) -> RegisteredModel:
        from mlflow.exceptions import MlflowException

        with self.store.calls(f"look up the model {name!r}"):
            try:
                return self.store.client().get_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        raise _missing("model", name, self.list_names(), "in the registry")

    def _version(self, model: RegisteredModel, number: str) -> RegisteredVersion:
        from mlflow.exceptions import MlflowException

        with self.store.calls(f"look up version {number} of {model.name!r}"):
            try:
                return _pinned(self.store.client().get_model_version(model.name, number), model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        known = sorted(version.version for version in self.list_versions(model.name))
        raise _missing("version", number, map(str, known), f"of model {model.name!r}")

    def _tag(self, version: RegisteredVersion, key: str, value: str) -> None:
        with self.store.calls(f"tag {version.uri}"):
            self.store.client().set_model_version_tag(
                version.name, str(version.version), key, value
            )

    def _check_golden(self, version: RegisteredVersion, golden: Callable[[Path], None]) -> None:
        directory = self.download_bundle(version.uri)
        try:
            golden(directory)
        except Exception as error:
            self._tag(version, GOLDEN_TAG, "failed")
            raise TrackingError(
                f"{version.uri} failed the golden-set check, so {CHAMPION} stays as it is: {error}"
            ) from error
        self._tag(version, GOLDEN_TAG, "passed")

    def _fetch(self, version: RegisteredVersion, digest: str, target: Path) -> None:
        from gatekeeper.manifest import verify_manifest

        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
            with self.store.calls(f"download {version.uri}"):
                from mlflow.artifacts import download_artifacts

                location = self.store.client().get_model_version_download_uri(
                    version.name, str(version.version)
                )
                local = Path(
                    download_artifacts(
                        artifact_uri=location, dst_path=scratch, tracking_uri=self.store.uri
                    )
                )
            found = sorted(local.glob("artifacts/*/MANIFEST.sha256"))
            if len(found) != 1:
                raise BundleError(
                    f"the model of {version.uri} must hold exactly one bundle, found {len(found)}; "
                    f"its artifacts were changed: fit and register it again"
                )
            got = verify_manifest(found[0].parent)
            if got != digest:
                raise BundleError(
                    f"{version.uri} was registered with bundle {digest} but the store holds {got}; "
                    f"its artifacts were changed: fit and register it again"
                )
            # Another process may have put the same verified bytes there first.
            if not target.exists():
                found[0].parent.rename(target)


def _cached_at(version: RegisteredVersion) -> Path:
    """Where its bundle is or would be; the tag becomes a folder name, so it must be a digest."""
    if not version.bundle:
        raise TrackingError(
            f"{version.uri} has no valid tag {BUNDLE_TAG}, so it was not logged by gatekeeper; "
            f"choose a version that was"
        )
    return cache_dir() / "bundles" / version.bundle


def _pinned(version: ModelVersion, model: RegisteredModel) -> RegisteredVersion:
    number = int(version.version)
    return RegisteredVersion(
        name=version.name,
        version=number,
        aliases=tuple(sorted(a for a, v in model.aliases.items() if int(v) == number)),
        tags=dict(version.tags),
        run_id=version.run_id or None,
        created_ms=int(version.creation_timestamp),
    )


def _history(model: RegisteredModel) -> list[int]:
    text = model.tags.get(HISTORY_TAG, "")
    return [int(part) for part in text.split(",") if part]


def _missing(kind: str, wanted: str, existing: Iterable[str], where: str) -> TrackingError:
    known = list(existing)
    near = get_close_matches(wanted, known)
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    listed = ", ".join(known) if known else "none"
    return TrackingError(f"there is no {kind} {wanted!r} {where}; there are: {listed}{hint}")
